"""One-step training at p = inf with its full eps from the first step: what happens, and which setting cures it.

MNIST, the network of config/objectives.yaml, trained on 10000 images and read on held-out training images only. Prints
a table of docs/objectives.md; four minutes on one core. Run after results/data/mnist.npz is there
(python workflow/scripts/prepare_data.py mnist results/data/mnist.npz).
"""

import math
from typing import Any

import torch

from gradreg.attacks import steepest as attacks
from gradreg.data import splits as arrays
from gradreg.models.checkpoint import build
from gradreg.planning.entries import recipe
from gradreg.planning.specs import ModelSpec, ObjectiveSpec, TrainingSpec
from gradreg.reporting import summaries
from gradreg.reporting.tables import interval
from gradreg.training import block as training

DATA = "results/data/mnist.npz"
SEEDS, EPS = range(3), 0.1
MODEL = {"kind": "maxout", "units": [100, 100], "pieces": 4, "init": 0.05}
TRAIN = {"max_norm": 1.9365}
STEP = {"kind": "perturb"}
# Name, what differs in the objective, in the network and in training.
CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("one step, full eps at once", STEP, {}, {}),
    ("eps rises over half of the training", STEP, {}, {"eps_warmup": 0.5}),
    ("small initial weights, U(-.005, .005)", STEP, {"init": 0.005}, {}),
    ("half of the loss unperturbed (alpha = .5)", STEP | {"alpha": 0.5}, {}, {}),
    ("random start of size 2 (N-FGSM)", STEP | {"start": 2.0}, {}, {}),
    ("gradient alignment, weight .2", {"kind": "alignment", "weight": 0.2}, {}, {}),
    ("three steps", {"kind": "adversarial", "steps": 3}, {}, {}),
]


def main() -> None:
    torch.set_num_threads(1)
    train, held_out = arrays.held_in(DATA, 10000), arrays.held_out(DATA, 10000)
    attacked = held_out.first(500)
    x, y = attacked.pixels(), attacked.labels
    print("| training | validation error, % | after one step, % | after 20 steps, % |")
    print("| --- | --- | --- | --- |")
    for name, objective, model, train_settings in CASES:
        spec = TrainingSpec(
            ModelSpec.of(MODEL | model),
            ObjectiveSpec.of(objective | {"p": math.inf, "eps": EPS}),
            recipe(TRAIN, train_settings),
        )
        replicas = training.train_block(SEEDS, train, held_out, spec, torch.device("cpu"))
        errors: list[list[float]] = [[], [], []]
        for replica in replicas:
            net = build(spec.model, (1, 28, 28), 10).eval().requires_grad_(False)
            net.load_state_dict(replica.parameters)
            errors[0].append(100 * replica.history[-1]["held_out_error"])
            for i, steps in ((1, 1), (2, 20)):
                moved = attacks.multi_step(net, x, y, math.inf, EPS, steps)
                errors[i].append(100 * (net(moved).argmax(1) != y).float().mean().item())
        shown = [interval(sum(values) / len(values), summaries.half_width(values), 1) for values in errors]
        print(f"| {name} | " + " | ".join(shown) + " |", flush=True)


if __name__ == "__main__":
    main()
