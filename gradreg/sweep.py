"""What an entry of a config's sweep means, and what the schema cannot say of it."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from gradreg.data.registry import DATASETS
from gradreg.labels import canonical, parse

SCHEMA = Path(__file__).parents[1] / "workflow" / "schemas" / "config.schema.yaml"
KeyPath = tuple[str | int, ...]
LEAST_H = 0.0001
STEPS = ("noise", "perturb", "adversarial", "alignment")  # kinds whose eps is the length of a perturbation


@functools.cache
def schema() -> Any:
    """The config's schema."""
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def training_defaults() -> dict[str, Any]:
    """The training settings that hold where a config says nothing."""
    properties = schema()["$defs"]["training"]["properties"]
    return {name: own["x-default"] for name, own in properties.items()}


def objective_settings(kind: str) -> dict[str, dict[str, Any]]:
    """The settings that a kind of objective has, with what the schema says of each."""
    properties = schema()["$defs"]["entry"]["properties"]["objectives"]["additionalProperties"]["properties"]
    return {name: own for name, own in properties.items() if kind in own.get("x-kinds", ())}


def objective_defaults(kind: str) -> dict[str, Any]:
    """The settings of a kind of objective that hold where a config says nothing."""
    return {name: own["x-default"] for name, own in objective_settings(kind).items() if "x-default" in own}


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


def check_entries(entries: Mapping[int, dict[str, Any]]) -> Iterator[tuple[KeyPath, str]]:
    """What the schema cannot say; entries, by their place in the sweep, are complete."""
    yield from _check_sizes(entries)
    for i, entry in entries.items():
        here: KeyPath = ("sweep", i)
        spec = DATASETS[entry["dataset"]]
        for name, model in entry["models"].items():
            at = (*here, "models", name)
            if model["kind"] == "maxout" and "pieces" not in model:
                yield at, "'pieces' is missing (linear filters per maxout unit)"
            for key in (
                {"pieces", "init", "keep_input", "keep_hidden"} & model.keys() if model["kind"] != "maxout" else ()
            ):
                yield (*at, key), f"a {model['kind']} has none"
        for name in entry["objectives"].keys() & entry["baseline"].keys():
            yield (*here, "objectives", name), "the baseline has a setting of this name"
        if "baseline" in entry["objectives"]:
            yield (*here, "objectives", "baseline"), "this name is taken by the baseline"
        for name, definition in entry["objectives"].items():
            if "eps" not in definition and "eps" not in entry:
                yield (*here, "objectives", name), "'eps' is missing, here or for the whole entry (p: [eps, ...])"
                continue
            for key, text in _check_objective(definition, strengths(entry, definition)):
                yield (*here, "objectives", name, *key), text
        for p in entry["gallery"].get("eps", {}).keys() - entry["attack"]["eps"].keys():
            yield (*here, "gallery", "eps"), f"p = {p} is not among the attacked norms"
        lengths: list[tuple[KeyPath, dict[str, list[str]]]] = [(("attack", "eps"), entry["attack"]["eps"])]
        for name, definition in entry["objectives"].items():
            own = ("objectives", name)
            if definition["kind"] in STEPS and "eps" in definition:
                lengths.append(((*own, "eps"), definition["eps"]))
            elif definition["kind"] in STEPS and "eps" in entry:
                lengths.append((("eps",), entry["eps"]))
            if "h" in definition:
                lengths.append(((*own, "h"), {p: [h] for p, h in definition["h"].items()}))
        for path, grid in lengths:
            for key, text in _longer_than_the_box(grid, math.prod(spec.image_shape)):
                # h has one value per p, where eps has a list.
                yield (*here, *path, *(key[:1] if path[-1] == "h" else key)), f"{path[-1]} = {text}"
        for label in entry["gallery"]["classes"]:
            if label >= spec.classes:
                yield (*here, "gallery", "classes"), f"{entry['dataset']} has no class {label}"


def _check_sizes(entries: Mapping[int, dict[str, Any]]) -> Iterator[tuple[KeyPath, str]]:
    """Numbers of images and seeds, and who trains what on them."""
    read_on_test = {(e["dataset"], n): i for i, e in entries.items() for n in final_sizes(e)}
    seeds: dict[tuple[str, int], int] = {}
    owners: dict[tuple[str, int, str], int] = {}
    for i, entry in entries.items():
        here: KeyPath = ("sweep", i)
        dataset, selection = entry["dataset"], entry["selection"]
        available = DATASETS[dataset].n_train
        if len(set(final_sizes(entry))) < len(final_sizes(entry)):
            yield (*here, "n_train"), f"{entry['n_train']} names a number twice; all is {available}"
            continue
        if not isinstance(selection["n_train"], int) and parse(selection["n_train"]) >= 1:
            yield (*here, "selection", "n_train"), f"{selection['n_train']} is no share below 1"
            continue
        for n_train in final_sizes(entry):
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
            for name in entry["models"]:
                owner = owners.setdefault((dataset, n_train, name), i)
                if owner != i:
                    where = f"for {dataset} with n_train = {n_train}"
                    yield (*here, "models", name), f"sweep[{owner}] has a model of this name {where}"


def _check_objective(definition: Mapping[str, Any], grid: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    """The settings of one objective: those that its kind has, complete, and fit for every p."""
    kind = definition["kind"]
    having = objective_settings(kind)
    for key in definition.keys() - having.keys() - {"kind", "eps", "train"}:
        yield (key,), f"kind {kind} has no such setting; it has {', '.join([*having, 'eps', 'train'])}"
    for key in having.keys() - definition.keys():
        if "x-default" not in having[key]:
            yield (), f"'{key}' is missing ({having[key]['description']})"
    if "h" in having and "h" in definition:
        for p in grid.keys() - definition["h"].keys():
            yield ("h",), f"no h for p = {p}"
        for p in definition["h"].keys() - grid.keys():
            yield ("h", p), f"there is no eps for p = {p}"
        for p, h in definition["h"].items():
            if parse(h) < LEAST_H:
                yield ("h", p), f"h = {h} is lost in single precision; take {LEAST_H} or more"
    if kind == "adversarial":
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
