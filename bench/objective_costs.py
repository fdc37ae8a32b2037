"""What a training step of each objective costs, in units of a plain step, on the network of config/objectives.yaml.

One core, random images of MNIST's size, batches of 128; the objectives take turns, so that a machine's moods meet all
of them. Prints the table of docs/objectives.md, medians over rounds with their quartiles; about two minutes.
"""

import math
import statistics
import time
from typing import Any

import torch

from gradreg import training
from gradreg.data.arrays import Split
from gradreg.sweep import training as recipe

STEPS, ROUNDS = 20, 6
MODEL = {"kind": "maxout", "units": [100, 100], "pieces": 4, "init": 0.05}
TRAIN = recipe({"min_steps": STEPS, "max_norm": 1.9365})
OBJECTIVES: dict[str, dict[str, Any]] = {
    "plain": {"kind": "plain"},
    "noise-gaussian": {"kind": "noise", "distribution": "gaussian"},
    "noise-uniform": {"kind": "noise", "distribution": "uniform"},
    "perturb": {"kind": "perturb"},
    "perturb-half": {"kind": "perturb", "alpha": 0.5},
    "perturb-through": {"kind": "perturb", "differentiate": True},
    "perturb-start": {"kind": "perturb", "start": 2.0},
    "penalty": {"kind": "penalty"},
    "penalty-squared": {"kind": "penalty", "power": 2},
    "difference-squared": {"kind": "finite_difference", "h": 0.01, "power": 2},
    "difference-central": {"kind": "finite_difference", "h": 0.01, "order": 2},
    "adversarial": {"kind": "adversarial", "steps": 3},
    "curvature": {"kind": "curvature", "h": 0.05},
    "alignment": {"kind": "alignment", "weight": 0.2},
}


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (1280, 1, 28, 28), generator=generator, dtype=torch.uint8)
    data = Split(images, torch.randint(0, 10, (1280,), generator=generator), 255, 10)
    times: dict[tuple[str, float], list[float]] = {}
    for turn in range(ROUNDS + 1):  # the first warms up
        for name, objective in OBJECTIVES.items():
            for p in (2.0, math.inf):
                own = objective if name == "plain" else objective | {"p": p, "eps": 0.01}
                marks: list[float] = []
                hp = {"model": MODEL, "objective": own, "train": TRAIN | {"epochs": 2}}
                training.train_block(
                    [0], data, None, hp, torch.device("cpu"), lambda e, r, m=marks: m.append(time.perf_counter())
                )
                if turn:
                    times.setdefault((name, p), []).append((marks[1] - marks[0]) / STEPS)
    print(f"plain: {1000 * statistics.median(times['plain', 2.0]):.1f} ms per step")
    print("| objective | p = 2 | p = inf |")
    print("| --- | --- | --- |")
    for name in OBJECTIVES:
        ratios = [
            [own / base for own, base in zip(times[name, p], times["plain", p], strict=True)] for p in (2.0, math.inf)
        ]
        cells = []
        for values in ratios:
            low, middle, high = statistics.quantiles(values, n=4)
            cells.append(f"{middle:.2f} ({low:.2f}-{high:.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
