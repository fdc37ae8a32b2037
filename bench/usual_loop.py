"""Training as most people write it: torchvision's MNIST, ToTensor, a DataLoader with two workers, two passes a batch.

python -m bench.usual_loop FOLDER IMAGES EPOCHS DEVICE; prints the seconds of all epochs but the first and the test
error as JSON.
"""

import json
import sys
import time

import torch
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import MNIST
from torchvision.transforms import ToTensor

from bench import jobs
from gradreg.data import splits as arrays


def main() -> None:
    folder, n_train, epochs, device = sys.argv[1:]
    torch.set_num_threads(1)
    data = Subset(MNIST(folder, train=True, transform=ToTensor()), range(int(n_train)))
    loader = DataLoader(data, jobs.BATCH, shuffle=True, num_workers=2, drop_last=True)
    net, criterion = jobs.network().to(device), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), jobs.RATE, jobs.MOMENTUM, nesterov=True)
    ends = []
    for _ in range(int(epochs)):
        for x, y in loader:
            x, y = x.to(device), y.to(device)
            x.requires_grad_(True)
            (g,) = torch.autograd.grad(criterion(net(x), y), x)
            length = g.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
            optimizer.zero_grad()
            criterion(net((x + jobs.EPS * g / length).detach()), y).backward()
            optimizer.step()
        ends.append(time.perf_counter())
    test = arrays.load(jobs.MNIST, "test")
    print(json.dumps({"later": ends[-1] - ends[0], "error": jobs.share_wrong(net.cpu(), test.pixels(), test.labels)}))


if __name__ == "__main__":
    main()
