"""Training as adversarial-robustness-toolbox has it: its AdversarialTrainer with its fast gradient method.

python -m bench.toolbox FOLDER IMAGES EPOCHS DEVICE; prints the seconds of all epochs but the first and the test
error as JSON.
"""

import json
import sys
import time

import numpy as np
import torch
from art.attacks.evasion import FastGradientMethod
from art.defences.trainer import AdversarialTrainer
from art.estimators.classification import PyTorchClassifier

from bench import jobs
from gradreg.data import splits as arrays


def main() -> None:
    _, n_train, epochs, device = sys.argv[1:]
    torch.set_num_threads(1)
    split, test = arrays.held_in(jobs.MNIST, int(n_train)), arrays.load(jobs.MNIST, "test")
    net = jobs.network()
    optimizer = torch.optim.SGD(net.parameters(), jobs.RATE, jobs.MOMENTUM, nesterov=True)
    classifier = PyTorchClassifier(
        net, torch.nn.CrossEntropyLoss(), (1, 28, 28), 10, optimizer, device_type="gpu" if device == "cuda" else "cpu"
    )
    attack = FastGradientMethod(classifier, norm=2, eps=jobs.EPS, batch_size=jobs.BATCH)
    images, labels = split.pixels().numpy(), np.eye(10, dtype=np.float32)[split.labels.numpy()]
    trainer = AdversarialTrainer(classifier, attack, ratio=1.0)
    trainer.fit(images, labels, jobs.BATCH, 1)
    start = time.perf_counter()
    trainer.fit(images, labels, jobs.BATCH, int(epochs) - 1)
    seconds = time.perf_counter() - start
    error = jobs.share_wrong(net.cpu(), test.pixels(), test.labels)
    print(json.dumps({"later": seconds, "error": error}))


if __name__ == "__main__":
    main()
