"""The smoke scale: the same jobs on a few images, in minutes."""

import copy
from collections.abc import Mapping
from typing import Any

from gradreg.planning.entries import final_sizes, test_size
from gradreg.planning.numerals import middle

FINAL, SELECTION, VALIDATION, TEST, ATTACKED, BATCH, STEPS = 100, 60, 20, 60, 20, 20, 2
SUFFIX = "-smoke"


def smoke(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config, cut small: every network, objective, norm and size stays, with one eps, one seed, one epoch.

    The result has another name; cut again, it does not change.
    """
    cut = copy.deepcopy(dict(config))
    cut["experiment"] = config["experiment"].removesuffix(SUFFIX) + SUFFIX
    # Sizes that differ stay different, so that no two runs become one.
    sizes = sorted({size for entry in cut["sweep"] for size in final_sizes(entry)})
    for i, entry in enumerate(cut["sweep"]):
        entry["n_train"] = [FINAL + sizes.index(size) for size in final_sizes(entry)]
        entry["selection"] = {"n_train": SELECTION + i, "n_validation": VALIDATION, "seeds": 1, "by": "error"}
        _cut(entry)
    return cut


def _cut(entry: dict[str, Any]) -> None:
    entry["n_test"] = min(test_size(entry), TEST)
    entry["seeds"] = 1
    entry["baseline"] = dict([next(iter(entry["baseline"].items()))])
    for place in (entry, *entry["objectives"].values()):
        if "eps" in place:
            place["eps"] = {p: [middle(grid)] for p, grid in place["eps"].items()}
    attack = entry["attack"]
    attack |= {"images": ATTACKED, "steps": STEPS, "eps": {p: [middle(grid)] for p, grid in attack["eps"].items()}}
    # The search of some takes minutes for a single image of a large network.
    attack["strong"] = {name: {"attacks": ["random"], "images": ATTACKED, "seeds": 1} for name in attack["strong"]}
    attack["noise"] = {name: [middle(levels)] if levels else [] for name, levels in attack["noise"].items()}
    entry["gallery"].pop("eps", None)
    if "transfer" in entry:
        entry["transfer"] |= {"images": ATTACKED, "eps": {}}
    parts = [setting for part in ("models", "baseline", "objectives") for setting in entry[part].values()]
    trains = [setting["train"] for setting in parts if "train" in setting]
    for train in trains:
        for key in ("epochs", "batch_size", "min_steps"):
            train.pop(key, None)
    for train in (entry["train"], *trains):
        if train.get("precision") == "tf32":  # which needs a GPU
            train["precision"] = "float32"
    entry["train"] |= {"epochs": 1, "batch_size": BATCH, "min_steps": 0}
