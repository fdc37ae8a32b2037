"""What an entry of a config's sweep means: its recipes, grids, numbers of images and attacks.

An entry is a block of a resolved config: complete, and its numbers are ``numerals.Numeral``.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from gradreg import registry
from gradreg.planning.numerals import Numeral, canonical, middle
from gradreg.planning.specs import JoinedGrid, Recipe, StrongAttackSpec, TransferSpec
from gradreg.registry.datasets import DATASETS

DEFAULT_RECIPE = "one-cycle"
OF_WEIGHTS, OF_PROGRAM = ".safetensors", ".pt2"  # how the names of files of networks end
Entry = Mapping[str, Any]


def recipe(*layers: Mapping[str, Any]) -> Recipe:
    """All settings of a training: those of the recipe that is named, and those written out, the last layer first."""
    written = {key: value for layer in layers for key, value in layer.items()}
    recipes = registry.section("recipes")
    defaults, named = recipes[DEFAULT_RECIPE], recipes[written.pop("recipe", DEFAULT_RECIPE)]
    return Recipe(**defaults["settings"] | named["settings"] | written)


def is_program(file: str) -> bool:
    """Whether a file has a network as torch.export saved it, not the weights of one."""
    return file.endswith(OF_PROGRAM)


def strengths(entry: Entry, objective: Mapping[str, Any]) -> JoinedGrid:
    """The grid p -> eps of one objective of an entry; of several norms together, both are joined."""
    values: JoinedGrid = objective["eps"] if "eps" in objective else entry["eps"]
    return values


def final_sizes(entry: Entry) -> list[int]:
    """The numbers of training images of the final runs of an entry."""
    sizes = entry["n_train"] if isinstance(entry["n_train"], list) else [entry["n_train"]]
    return [DATASETS[entry["dataset"]].n_train if size == "all" else int(size) for size in sizes]


def selection_size(entry: Entry, n_train: int) -> int:
    """The training images of the selection runs behind final runs on n_train images."""
    written = entry["selection"]["n_train"]
    if isinstance(written, int):
        return written
    return int(n_train * Fraction(canonical(written)))


def test_size(entry: Entry) -> int:
    """The test images on which the final runs of an entry are evaluated."""
    return DATASETS[entry["dataset"]].n_test if entry["n_test"] == "all" else int(entry["n_test"])


def halves(n_train: int) -> list[tuple[int, int]]:
    """The two disjoint halves of n_train images: (number of images, number of images before them)."""
    half = n_train // 2
    return [(half, 0), (half, half)]


def has_halves(entry: Entry) -> bool:
    """Whether the baseline of an entry is trained on the halves of its training images, too."""
    return bool(entry.get("transfer", {}).get("halves"))


def transfer(entry: Entry) -> TransferSpec:
    """The transfer of an entry, which has one."""
    block, attack = entry["transfer"], entry["attack"]
    eps = {p: block["eps"].get(p, middle(grid)) for p, grid in attack["eps"].items()}
    return TransferSpec(min(block["images"], test_size(entry)), attack["steps"], attack["batch_size"], eps)


def strong_norms(entry: Entry, block: Mapping[str, Any]) -> list[Numeral]:
    """The attacked norms that all the attacks of a strong attack support."""
    supported = [registry.lookup("attacks", kind).get("norms") for kind in block["attacks"]]
    return [p for p in entry["attack"]["eps"] if all(norms is None or p in norms for norms in supported)]


def strong_seeds(entry: Entry, block: Mapping[str, Any]) -> int:
    """The number of seeds whose networks get a strong attack."""
    return int(min(block["seeds"] or entry["seeds"], entry["seeds"]))


def strong(entry: Entry, block: Mapping[str, Any]) -> StrongAttackSpec:
    """A strong attack of an entry, at the strengths it names or at the middle ones."""
    attack, chosen = entry["attack"], block.get("eps", {})
    grids = {p: attack["eps"][p] for p in strong_norms(entry, block)}
    if not registry.lookup("attacks", block["attacks"][0]).get("minimum"):
        grids = {p: [chosen.get(p, middle(grid))] for p, grid in grids.items() if p in (chosen or grids)}
    images = min(block["images"], test_size(entry))
    return StrongAttackSpec(block["attacks"], images, attack["steps"], attack["batch_size"], grids)
