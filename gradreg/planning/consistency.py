"""Rules between the entries of a sweep: numbers of images and seeds, and who trains what on them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gradreg.planning import entries
from gradreg.planning.checks import Mistakes, check_entry
from gradreg.planning.entries import Entry
from gradreg.planning.numerals import Numeral
from gradreg.planning.yaml_files import KeyPath
from gradreg.registry.datasets import DATASETS

Entries = Mapping[int, Entry]


def check_sweep(sweep: Entries) -> Mistakes:
    """All mistakes of a sweep, whose entries, by their place in it, are complete and as the schema says."""
    sized: dict[int, Entry] = {}
    for i, entry in sweep.items():
        mistakes = list(_image_numbers(entry))
        yield from ((("sweep", i, *path), text) for path, text in mistakes)
        if not any(path[-1] == "n_train" for path, _ in mistakes):
            sized[i] = entry
    for rule in RULES:
        yield from rule(sized)
    for i, entry in sweep.items():
        yield from ((("sweep", i, *path), text) for path, text in check_entry(entry))


def _image_numbers(entry: Entry) -> Mistakes:
    dataset, sizes = DATASETS[entry["dataset"]], entries.final_sizes(entry)
    share = entry["selection"]["n_train"]
    if entries.test_size(entry) > dataset.n_test:
        yield ("n_test",), f"{entry['n_test']} is more than the {dataset.n_test} test images"
    if len(set(sizes)) < len(sizes):
        yield ("n_train",), f"{entry['n_train']} names a number twice; all is {dataset.n_train}"
    elif not isinstance(share, int) and Numeral(share).value >= 1:
        yield ("selection", "n_train"), f"{share} is not a share below 1"


def _each_size(sweep: Entries) -> Iterator[tuple[KeyPath, Entry, int, int]]:
    """(path of the entry, entry, training images of its final runs, of the selection runs behind them)."""
    for i, entry in sweep.items():
        for n_train in entries.final_sizes(entry):
            yield ("sweep", i), entry, n_train, entries.selection_size(entry, n_train)


def _enough_images(sweep: Entries) -> Mistakes:
    for path, entry, n_train, n_selection in _each_size(sweep):
        dataset, selection = entry["dataset"], entry["selection"]
        available, used = DATASETS[dataset].n_train, n_selection + selection["n_validation"]
        if n_train > available:
            yield (*path, "n_train"), f"{n_train} is more than the {available} training images of {dataset}"
        if n_selection < 1:
            yield (*path, "selection", "n_train"), f"{selection['n_train']} of {n_train} images is none"
        if used > available:
            text = f"n_train + n_validation = {used} is more than the {available} training images of {dataset}"
            yield (*path, "selection"), f"{text}: the validation images would be trained on"


def _nothing_chosen_on_the_test_set(sweep: Entries) -> Mistakes:
    evaluated = {(entry["dataset"], n_train): path[1] for path, entry, n_train, _ in _each_size(sweep)}
    for path, entry, _, n_selection in _each_size(sweep):
        final = evaluated.get((entry["dataset"], n_selection))
        if final is not None:
            text = f"sweep[{final}] evaluates runs of {n_selection} images on the test set; take another number"
            yield (*path, "selection", "n_train"), f"{text}, so that nothing is chosen there"


def _equal_settings(sweep: Entries) -> Mistakes:
    """What is shared by all models at one number of training images."""
    evaluated = {(entry["dataset"], n_train) for _, entry, n_train, _ in _each_size(sweep)}
    seen: dict[tuple[str, int, KeyPath], Any] = {}
    for path, entry, n_train, n_selection in _each_size(sweep):
        dataset, selection = entry["dataset"], entry["selection"]
        shared: list[tuple[KeyPath, int, Any]] = []
        if (dataset, n_selection) not in evaluated:  # a mistake in itself
            shared = [(("seeds",), n_train, entry["seeds"]), (("selection", "seeds"), n_selection, selection["seeds"])]
            shared += [(("selection", name), n_train, selection[name]) for name in ("by", "n_validation")]
        n_test = entries.test_size(entry)
        attacked = min(entry["attack"]["images"], max(n_test, selection["n_validation"]))
        shared += [(("n_test",), n_train, n_test), (("attack", "images"), n_train, attacked)]
        shared.append((("attack", "steps"), n_train, entry["attack"]["steps"]))
        for name, block in entry["attack"]["strong"].items():
            same = {"seeds": entries.strong_seeds(entry, block), "images": block["images"], "attacks": block["attacks"]}
            shared += [(("attack", "strong", name, key), n_train, value) for key, value in same.items()]
        if "transfer" in entry:
            shared.append((("transfer",), n_train, vars(entries.transfer(entry))))
        for key, n, value in shared:
            place = ("seeds",) if key in (("seeds",), ("selection", "seeds")) else key
            before = seen.setdefault((dataset, n, place), value)
            if before != value:
                yield (*path, *key), f"{value}, but {before} elsewhere for {dataset} with n_train = {n}"


def _equal_grids(sweep: Entries) -> Mistakes:
    """Selection runs of one model on as many images are shown together: the same settings must compete."""
    seen: dict[tuple[str, int, str], tuple[KeyPath, Any]] = {}
    for path, entry, _, n_selection in _each_size(sweep):
        settings = [entry["baseline"], *((name, _competing(entry, name)) for name in sorted(entry["objectives"]))]
        for name in entry["models"]:
            where, before = seen.setdefault((entry["dataset"], n_selection, name), (path, settings))
            if before != settings:
                text = f"sweep[{where[1]}] has selection runs of {name} on {n_selection} images too"
                yield (*path, "selection", "n_train"), f"{text}, with other settings; take another number"


def _competing(entry: Entry, objective: str) -> dict[str, Any]:
    """The settings of an objective, with the eps that compete in any order."""
    block = entry["objectives"][objective]
    grid = block.get("eps", entry.get("eps", {}))
    return {**block, "eps": {p: sorted(map(str, eps)) for p, eps in grid.items()}}


def _one_entry_per_model(sweep: Entries) -> Mistakes:
    owners: dict[tuple[str, int, str], KeyPath] = {}
    for path, entry, n_train, _ in _each_size(sweep):
        for name in entry["models"]:
            owner = owners.setdefault((entry["dataset"], n_train, name), path)
            if owner != path:
                where = f"for {entry['dataset']} with n_train = {n_train}"
                yield (*path, "models", name), f"sweep[{owner[1]}] has a model of this name {where}"


def _halves_of_their_own(sweep: Entries) -> Mistakes:
    """Nothing else may be trained on as many images as the halves of a training set have."""
    for (_, i), entry, n_train, _ in _each_size({i: entry for i, entry in sweep.items() if entries.has_halves(entry)}):
        path, half, held_out = ("sweep", i, "transfer", "halves"), n_train // 2, entry["selection"]["n_validation"]
        others = {j: other for j, other in sweep.items() if other["dataset"] == entry["dataset"]}
        if half < 1:
            yield path, f"{n_train} image has no halves"
        if any(half in sizes for _, _, *sizes in _each_size(others)):
            text = f"half of {n_train} images is {half}, on which other networks are trained; take another number"
            yield path, text
        trained = [
            entries.recipe(entry["train"], model.get("train", {}), plain.get("train", {}))
            for model in entry["models"].values()
            for plain in entry["baseline"].values()
        ]
        if half <= held_out and any(one.patience is not None for one in trained):
            yield path, f"patience holds out {held_out} images, and half of {n_train} has no more"


RULES: tuple[Callable[[Entries], Mistakes], ...] = (
    _enough_images,
    _nothing_chosen_on_the_test_set,
    _equal_settings,
    _equal_grids,
    _one_entry_per_model,
    _halves_of_their_own,
)
