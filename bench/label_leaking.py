"""Why eps rises slowly: p = inf on MNIST, with and without, from small and from ordinary initial weights.

Read on held-out training images only. Prints the table of docs/method.md; about two minutes per row on one core.
Run after results/data/mnist.npz is there (python workflow/scripts/prepare_data.py mnist results/data/mnist.npz).
"""

import math

import torch

from gradreg.data import splits as arrays
from gradreg.models.checkpoint import build
from gradreg.planning.entries import recipe
from gradreg.planning.specs import ModelSpec, ObjectiveSpec, TrainingSpec
from gradreg.training import block as training

DATA = "results/data/mnist.npz"
EPOCHS = 12
ORDINARY = math.sqrt(3 / 784)  # uniform weights of standard deviation 1 / sqrt(784)
ROWS = [("constant", ORDINARY, 0.0), ("constant", 0.005, 0.0), ("rises", ORDINARY, 0.5), ("rises", 0.005, 0.5)]


def main() -> None:
    torch.set_num_threads(1)
    train, held_out = arrays.held_in(DATA, 50000), arrays.held_out(DATA, 10000)
    print("| eps | initial weights | training loss on x + s | training loss on x | validation error, % |")
    print("| --- | --- | --- | --- | --- |")
    for eps, init, warmup in ROWS:
        model = ModelSpec("maxout", settings={"units": [240, 240], "pieces": 5, "init": init})
        train_recipe = recipe({"epochs": EPOCHS, "max_norm": 1.9365, "eps_warmup": warmup})
        spec = TrainingSpec(model, ObjectiveSpec("perturb", p=math.inf, eps=0.1), train_recipe)
        (replica,) = training.train_block([0], train, held_out, spec, torch.device("cpu"))
        net = build(model, (1, 28, 28), 10)
        net.load_state_dict(replica.parameters)
        part = train.first(10000)
        clean = torch.nn.functional.cross_entropy(net(part.pixels()), part.labels).item()
        last = replica.history[-1]
        error = 100 * last["held_out_error"]
        print(f"| {eps} | U(-{init:.3f}, {init:.3f}) | {last['loss']:.3f} | {clean:.3f} | {error:.2f} |", flush=True)


if __name__ == "__main__":
    main()
