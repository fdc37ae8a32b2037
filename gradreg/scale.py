"""The smoke scale: the same jobs on a few images, in minutes."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from gradreg.labels import parse
from gradreg.sweep import final_sizes, test_size

FINAL, SELECTION, VALIDATION, TEST, ATTACKED, BATCH, STEPS = 100, 80, 20, 60, 20, 20, 2
OWN = ("epochs", "batch_size", "min_steps")


def smoke(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config, cut small: every network, objective and norm stays, with one eps, one seed and one epoch.

    The result is a config of full scale under a name of its own.
    """
    cut = copy.deepcopy(dict(config))
    cut |= {"experiment": f"{config['experiment']}-smoke", "scale": "full"}
    for entry in cut["sweep"]:
        _cut(entry)
    return cut


def _cut(entry: dict[str, Any]) -> None:
    entry["n_test"] = min(test_size(entry), TEST)
    entry["n_train"] = min(FINAL, *final_sizes(entry))
    entry["selection"] = {"n_train": SELECTION, "n_validation": VALIDATION, "seeds": 1}
    entry["seeds"] = 1
    entry["baseline"] = dict([next(iter(entry["baseline"].items()))])
    for place in (entry, *entry["objectives"].values()):
        if "eps" in place:
            place["eps"] = {p: [middle(grid)] for p, grid in place["eps"].items()}
    attack = entry["attack"]
    attack |= {"images": ATTACKED, "steps": STEPS, "eps": {p: [middle(grid)] for p, grid in attack["eps"].items()}}
    entry["gallery"].pop("eps", None)
    for part in ("models", "baseline", "objectives"):
        for own in entry[part].values():
            for key in OWN:
                own.get("train", {}).pop(key, None)
    entry["train"] |= {"epochs": 1, "batch_size": BATCH, "min_steps": 0}


def middle(grid: Sequence[str]) -> str:
    """The middle one of some labels of numbers (the larger of two)."""
    return sorted(grid, key=parse)[len(grid) // 2]
