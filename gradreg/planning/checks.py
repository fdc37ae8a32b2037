"""What an entry of a config's sweep means, and what the schema cannot say of it."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from gradreg import registry
from gradreg.planning.numerals import canonical, middle, parse
from gradreg.registry.datasets import DATASETS

SCHEMA = Path(__file__).with_name("config.schema.yaml")
KeyPath = tuple[str | int, ...]
LEAST_H = 0.0001
TAKEN = {"none", "one_step", "multi_step", "steepest", "gaussian", "uniform"}  # by what is always measured
TAKEN |= {"gradient_estimate", "curvature_estimate"}
DEFAULT_RECIPE = "one-cycle"


@functools.cache
def schema() -> Any:
    """The config's schema, with what is registered filled in."""
    rules = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    _fill_in(rules)
    return rules


def _fill_in(rules: Any) -> None:
    """Expand x-registered: a name is one of those registered; a block has the settings of its kind."""
    for own in rules.values() if isinstance(rules, dict) else rules if isinstance(rules, list) else ():
        _fill_in(own)
    if not isinstance(rules, dict) or "x-registered" not in rules:
        return
    registered = registry.section(rules["x-registered"])
    if "properties" not in rules:
        rules["enum"] = list(registered)
        return
    common, rules["properties"] = rules["properties"], {"kind": {"enum": offered(rules["x-registered"])}}
    rules["allOf"] = [
        {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {
                "x-kind": kind,
                "properties": {"kind": {}, **registered[kind].get("settings", {}), **common},
                "required": [n for n, own in registered[kind].get("settings", {}).items() if "default" not in own],
                "additionalProperties": False,
            },
        }
        for kind in offered(rules["x-registered"])
    ]


def offered(section: str) -> list[str]:
    """The kinds of a section that a config can ask for: those that always run are not among them."""
    return [kind for kind, own in registry.section(section).items() if not own.get("always")]


def training(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a training: those of the recipe, and what is written out, the last layer first."""
    written = {key: value for layer in layers for key, value in layer.items()}
    recipes = registry.section("recipes")
    values: dict[str, Any] = dict(recipes[DEFAULT_RECIPE]["settings"])
    values |= recipes[written.pop("recipe", DEFAULT_RECIPE)]["settings"]
    return values | written


def strengths(entry: Mapping[str, Any], definition: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """The grid p -> [eps, ...] of one objective of an entry."""
    grid: Mapping[str, Sequence[str]] = definition["eps"] if "eps" in definition else entry["eps"]
    return grid


def final_sizes(entry: Mapping[str, Any]) -> list[int]:
    """The training images of the final runs of an entry of the sweep, as an axis."""
    sizes = entry["n_train"] if isinstance(entry["n_train"], list) else [entry["n_train"]]
    return [DATASETS[entry["dataset"]].n_train if size == "all" else int(size) for size in sizes]


def selection_size(entry: Mapping[str, Any], n_train: int) -> int:
    """The training images of the selection runs behind final runs on n_train images."""
    written = entry["selection"]["n_train"]
    if isinstance(written, int):
        return written
    return int(n_train * Fraction(canonical(written)))


def halves(n_train: int) -> list[tuple[int, int]]:
    """The two disjoint halves of so many training images: (their number, how many come before them)."""
    half = n_train // 2
    return [(half, 0), (half, half)]


def has_halves(entry: Mapping[str, Any]) -> bool:
    """Whether the baseline of an entry is trained on the halves of its training images, too."""
    return bool(entry.get("transfer", {}).get("halves"))


def transfer(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an entry's transfer, with its strengths written out."""
    own, attack = entry["transfer"], entry["attack"]
    moved = {p: own["eps"].get(p, middle(grid)) for p, grid in attack["eps"].items()}
    settings = {"images": min(own["images"], test_size(entry)), "eps": moved}
    return settings | {key: attack[key] for key in ("steps", "batch_size")}


def test_size(entry: Mapping[str, Any]) -> int:
    """The test images on which the final runs of an entry are read."""
    return DATASETS[entry["dataset"]].n_test if entry["n_test"] == "all" else int(entry["n_test"])


def check_entries(entries: Mapping[int, dict[str, Any]]) -> Iterator[tuple[KeyPath, str]]:
    """What the schema cannot say; entries, by their place in the sweep, are complete."""
    yield from _check_sizes(entries)
    for i, entry in entries.items():
        for path, text in _check_entry(entry):
            yield ("sweep", i, *path), text


def _check_entry(entry: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    spec = DATASETS[entry["dataset"]]
    yield from _check_functions(entry)
    for name, model in entry["models"].items():
        lists = registry.lookup("models", model["kind"]).get("same_length", [])
        for key in lists:
            if len(model[key]) != len(model[lists[0]]):
                yield (
                    ("models", name, key),
                    f"has {len(model[key])} values, {lists[0]} {len(model[lists[0]])}: one for each layer is needed",
                )
    yield from _check_training(entry)
    for name in entry["objectives"].keys() & entry["baseline"].keys():
        yield ("objectives", name), "the baseline has a setting of this name"
    if "baseline" in entry["objectives"]:
        yield ("objectives", "baseline"), "this name is taken by the baseline"
    yield from _check_attacks(entry)
    lengths: list[tuple[KeyPath, Mapping[str, Sequence[str]]]] = [(("attack", "eps"), entry["attack"]["eps"])]
    for name, definition in entry["objectives"].items():
        at = ("objectives", name)
        if "eps" not in definition and "eps" not in entry:
            yield at, "'eps' is missing, here or for the whole entry (p: [eps, ...])"
            continue
        for key, text in _check_objective(definition, strengths(entry, definition)):
            yield (*at, *key), text
        if definition["space"] == "whitened":
            for model in [name for name, model in entry["models"].items() if model["input"] != "whitened"]:
                yield (*at, "space"), f"model {model} whitens nothing; give it input: whitened"
            continue
        if registry.moves(definition["kind"]):
            path: KeyPath = (*at, "eps") if "eps" in definition else ("eps",)
            lengths.append((path, strengths(entry, definition)))
        if "h" in definition:
            lengths.append(((*at, "h"), {p: [h] for p, h in definition["h"].items()}))
    for part in ("gallery", "transfer"):
        for p in entry.get(part, {}).get("eps", {}).keys() - entry["attack"]["eps"].keys():
            yield (part, "eps"), f"p = {p} is not among the attacked norms"
    for path, grid in lengths:
        for key, text in _longer_than_the_box(grid, math.prod(spec.image_shape)):
            # h has one value per p, where eps has a list.
            yield (*path, *(key[:1] if path[-1] == "h" else key)), f"{path[-1]} = {text}"
    for label in entry["gallery"]["classes"]:
        if label >= spec.classes:
            yield ("gallery", "classes"), f"{entry['dataset']} has no class {label}"


def _check_functions(entry: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """That the files of what is registered are there."""
    used: list[tuple[KeyPath, str, str]] = [(("dataset",), "datasets", entry["dataset"])]
    for section in ("models", "objectives"):
        used += [((section, name, "kind"), section, own["kind"]) for name, own in entry[section].items()]
    attack = entry["attack"]
    used += [(("attack", "others", name, "kind"), "attacks", own["kind"]) for name, own in attack["others"].items()]
    for name, own in attack["strong"].items():
        used += [(("attack", "strong", name, "attacks", i), "attacks", kind) for i, kind in enumerate(own["attacks"])]
    for path, section, kind in used:
        text = registry.missing(section, kind)
        if text:
            yield path, text


def _check_attacks(entry: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Names, norms and settings of the attacks beside the family's own."""
    attack = entry["attack"]
    for part in ("others", "strong"):
        for name in attack[part].keys() & TAKEN:
            yield ("attack", part, name), "this name is taken by what is always measured"
    for name in attack["others"].keys() & attack["strong"].keys():
        yield ("attack", "strong", name), "there is another attack of this name"
    for name, other in attack["others"].items():
        registered = registry.lookup("attacks", other["kind"])
        path: KeyPath = ("attack", "others", name, "kind")
        if registered.get("minimum"):
            yield path, f"{other['kind']} has no eps; name it under strong"
        for p in attack["eps"].keys() - set(registered.get("norms", attack["eps"])):
            yield path, f"{other['kind']} does not know p = {p}; name it under strong"
    for name, own in attack["strong"].items():
        path = ("attack", "strong", name)
        for i, kind in enumerate(own["attacks"]):
            registered = registry.lookup("attacks", kind)
            if any("default" not in setting for setting in registered.get("settings", {}).values()):
                yield (*path, "attacks", i), f"{kind} has settings that must be given; name it under others"
            if registered.get("minimum") and (len(own["attacks"]) > 1 or "eps" in own):
                yield (*path, "attacks", i), f"{kind} has no eps, and stands alone"
        for p in own.get("eps", {}).keys() - set(strong_norms(entry, own)):
            yield (*path, "eps"), f"p = {p} is not attacked, or not known to {', '.join(own['attacks'])}"
        if not strong_norms(entry, own):
            yield path, f"no norm under attack.eps is known to {', '.join(own['attacks'])}"


def strong_norms(entry: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """The attacked norms that all the attacks of a strong attack know."""
    known = [registry.lookup("attacks", kind).get("norms") for kind in own["attacks"]]
    return [p for p in entry["attack"]["eps"] if all(norms is None or p in norms for norms in known)]


def strong_seeds(entry: Mapping[str, Any], own: Mapping[str, Any]) -> int:
    """The seeds whose networks a strong attack is run on."""
    return int(min(own["seeds"] or entry["seeds"], entry["seeds"]))


def _check_training(entry: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """Settings of training that do not go together: the entry's with each model's and each objective's."""
    properties = schema()["$defs"]["training"]["properties"]
    settings = [(part, name) for part in ("baseline", "objectives") for name in entry[part]]
    for model_name, model in entry["models"].items():
        for part, name in settings:
            layers: list[tuple[KeyPath, dict[str, Any]]] = [
                (("train",), entry["train"]),
                (("models", model_name, "train"), model.get("train", {})),
                ((part, name, "train"), entry[part][name].get("train", {})),
            ]
            whole = training(*(layer for _, layer in layers))

            def at(key: str, layers: list[tuple[KeyPath, dict[str, Any]]] = layers) -> KeyPath:
                """Where a setting is written, or else the recipe that has it."""
                written = [(*path, own) for own in (key, "recipe") for path, layer in layers if own in layer]
                return next((path for path in reversed(written) if path[-1] == key), (written or [("train",)])[-1])

            for path, layer in layers:
                for key in layer:
                    for other, allowed in properties[key].get("x-with", {}).items():
                        if whole[other] not in allowed and (allowed != ["a number"] or whole[other] is None):
                            yield (*path, key), f"counts only with {other}: {' or '.join(allowed)}"
            known = registry.lookup("models", model["kind"]).get("layers")
            count = sum(len(model[key]) for key in known) + 1 if known is not None else None
            for key in ("lr_factors", "max_norm"):
                values = whole[key]
                if isinstance(values, list) and count is None:
                    yield at(key), f"{key}: a {model['kind']} takes one number for all layers"
                elif isinstance(values, list) and len(values) != count:
                    yield at(key), f"{key} has {len(values)} values, but {model_name} {count} layers with weights"
            if whole["patience"] is not None and whole["eps_warmup"]:
                yield at("eps_warmup"), "eps_warmup is a share of all epochs, and a patience may end them before"
            if whole["retrain"] != "none" and whole["patience"] is None:
                yield at("retrain"), f"retrain: {whole['retrain']} needs a patience; or take retrain: none"
            if whole["retrain"].startswith("continue") and whole["lr_schedule"] not in ("exponential", "constant"):
                yield at("retrain"), f"retrain: {whole['retrain']} needs lr_schedule: exponential or constant"
            held_out = entry["selection"]["n_validation"]
            if whole["patience"] is not None and min(final_sizes(entry)) <= held_out:
                yield at("patience"), f"patience holds out {held_out} of the training images, and there are no more"


def _check_sizes(entries: Mapping[int, dict[str, Any]]) -> Iterator[tuple[KeyPath, str]]:
    """Numbers of images and seeds, and who trains what on them."""
    read_on_test = {(e["dataset"], n): i for i, e in entries.items() for n in final_sizes(e)}
    seeds: dict[tuple[str, int], int] = {}
    owners: dict[tuple[str, int, str], int] = {}
    attacked: dict[tuple[str, int, str, str], Any] = {}
    transferred: dict[tuple[str, int], dict[str, Any]] = {}
    for i, entry in entries.items():
        here: KeyPath = ("sweep", i)
        dataset, selection = entry["dataset"], entry["selection"]
        available = DATASETS[dataset].n_train
        if test_size(entry) > DATASETS[dataset].n_test:
            yield (*here, "n_test"), f"{entry['n_test']} is more than the {DATASETS[dataset].n_test} test images"
        if len(set(final_sizes(entry))) < len(final_sizes(entry)):
            yield (*here, "n_train"), f"{entry['n_train']} names a number twice; all is {available}"
            continue
        if not isinstance(selection["n_train"], int) and parse(selection["n_train"]) >= 1:
            yield (*here, "selection", "n_train"), f"{selection['n_train']} is no share below 1"
            continue
        for n_train in final_sizes(entry):
            if has_halves(entry):
                yield from _check_halves(entries, i, n_train)
            if n_train > available:
                yield (*here, "n_train"), f"{n_train} is more than the {available} training images of {dataset}"
            chosen_at = selection_size(entry, n_train)
            if chosen_at < 1:
                yield (*here, "selection", "n_train"), f"{selection['n_train']} of {n_train} images is none"
            if chosen_at + selection["n_validation"] > available:
                yield (
                    (*here, "selection"),
                    f"n_train + n_validation = {chosen_at + selection['n_validation']} is more than the "
                    f"{available} training images of {dataset}: the validation images would be trained on",
                )
            final = read_on_test.get((dataset, chosen_at))
            if final is not None:
                yield (
                    (*here, "selection", "n_train"),
                    f"sweep[{final}] reads runs of {chosen_at} images on the test set; take another number, "
                    "so that nothing is chosen there",
                )
            for n, count, path in (
                (n_train, entry["seeds"], (*here, "seeds")),
                (chosen_at, selection["seeds"], (*here, "selection", "seeds")),
            ):
                known = seeds.setdefault((dataset, n), count)
                if final is None and known != count:
                    yield path, f"{count} seeds, but {known} elsewhere for {dataset} with n_train = {n}"
            for name, own in entry["attack"]["strong"].items():
                same = {"seeds": strong_seeds(entry, own), "images": own["images"], "attacks": own["attacks"]}
                for key, value in same.items():
                    known = attacked.setdefault((dataset, n_train, name, key), value)
                    if known != value:
                        at = (*here, "attack", "strong", name, key)
                        yield at, f"{value}, but {known} elsewhere for {dataset} with n_train = {n_train}"
            if "transfer" in entry:
                moved = transferred.setdefault((dataset, n_train), transfer(entry))
                if moved != transfer(entry):
                    where = f"for {dataset} with n_train = {n_train}"
                    yield (*here, "transfer"), f"{transfer(entry)}, but {moved} elsewhere {where}"
            for name in entry["models"]:
                owner = owners.setdefault((dataset, n_train, name), i)
                if owner != i:
                    where = f"for {dataset} with n_train = {n_train}"
                    yield (*here, "models", name), f"sweep[{owner}] has a model of this name {where}"


def _check_halves(entries: Mapping[int, dict[str, Any]], i: int, n_train: int) -> Iterator[tuple[KeyPath, str]]:
    """That nothing else is trained on as many images as the halves of a training set have."""
    entry, path, half = entries[i], ("sweep", i, "transfer", "halves"), n_train // 2
    if half < 1:
        yield path, f"{n_train} image has no halves"
    for own in (e for e in entries.values() if e["dataset"] == entry["dataset"]):
        if half in [*final_sizes(own), *(selection_size(own, n) for n in final_sizes(own))]:
            yield path, f"half of {n_train} images is {half}, on which other networks are trained; take another number"
    if half <= entry["selection"]["n_validation"] and any(
        training(entry["train"], model.get("train", {}), own.get("train", {}))["patience"] is not None
        for model in entry["models"].values()
        for own in entry["baseline"].values()
    ):
        yield path, f"patience holds out {entry['selection']['n_validation']} images, and half of {n_train} has no more"


def _check_objective(definition: Mapping[str, Any], grid: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """The settings of one objective, that they fit every p of its grid."""
    if "h" in definition:
        for p in grid.keys() - definition["h"].keys():
            yield ("h",), f"no h for p = {p}"
        for p in definition["h"].keys() - grid.keys():
            yield ("h", p), f"there is no eps for p = {p}"
        for p, h in definition["h"].items():
            if parse(h) < LEAST_H:
                yield ("h", p), f"h = {h} is lost in single precision; take {LEAST_H} or more"
    if definition["kind"] == "adversarial":
        if definition.get("start", 0) > 1:
            yield ("start",), "a start further than eps is outside the ball; write a number from 0 to 1"
        for p in grid.keys() - {"1", "2", "inf"}:
            for key in [key for key in ("start", "step") if definition.get(key)]:
                yield (key,), f"for p = {p} the ascent is by Frank-Wolfe, which has none"


def _longer_than_the_box(grid: Mapping[str, Sequence[str]], inputs: int) -> Iterator[tuple[KeyPath, str]]:
    for p, labels in grid.items():
        diagonal = inputs ** (1 / parse(p))
        for j, label in enumerate(labels):
            if parse(label) > diagonal:
                hint = " (8_255 is the number 8255; a fraction is 8/255)" if parse(label) > 255 else ""
                yield (p, j), f"{label} is longer than the whole box [0, 1]^{inputs} at p = {p} ({diagonal:g}){hint}"
