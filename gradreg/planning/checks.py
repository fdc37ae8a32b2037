"""What the schema cannot say of an entry: one function per rule, which yields where a mistake stands and what it is."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradreg import registry
from gradreg.planning.attacked import CLEAN, Criterion, union
from gradreg.planning.entries import (
    OF_PROGRAM,
    OF_WEIGHTS,
    Entry,
    final_sizes,
    is_program,
    recipe,
    strengths,
    strong_norms,
)
from gradreg.planning.numerals import Numeral, is_joined, members
from gradreg.planning.schema import schema, selectable
from gradreg.planning.specs import Grid, JoinedGrid, Recipe
from gradreg.planning.yaml_files import KeyPath
from gradreg.registry import tiles
from gradreg.registry.datasets import DATASETS

Mistakes = Iterator[tuple[KeyPath, str]]
LEAST_H = 0.0001
LEAST_H_OF_ANSWERS = 0.001  # differences of answers are smaller than those of losses
EXACT = {"1", "2", "inf"}  # norms whose balls points are projected onto exactly
BITS = {"bfloat16": 8, "tf32": 11}  # of a number, its leading 1 included
# Names in the column ``attack`` of every table.
RESERVED = {"none", "one_step", "multi_step", "steepest", "gaussian", "gaussian_unclipped", "uniform"}
RESERVED |= {"gradient_estimate", "curvature_estimate"}


def check_entry(entry: Entry) -> Mistakes:
    """All mistakes of one entry, by their place in it."""
    for rule in RULES:
        yield from rule(entry)


# Models and training


def _functions_are_there(entry: Entry) -> Mistakes:
    used: list[tuple[KeyPath, str, str]] = [(("dataset",), "datasets", entry["dataset"])]
    for section in ("models", "objectives"):
        used += [((section, name, "kind"), section, block["kind"]) for name, block in entry[section].items()]
    for name, block in entry["attack"]["others"].items():
        used.append((("attack", "others", name, "kind"), "attacks", block["kind"]))
    for name, block in entry["attack"]["strong"].items():
        used += [(("attack", "strong", name, "attacks", i), "attacks", kind) for i, kind in enumerate(block["attacks"])]
    for path, section, kind in used:
        text = registry.missing(section, kind)
        if text:
            yield path, text


def _networks_from_files(entry: Entry) -> Mistakes:
    for name, network in entry["networks"].items():
        path: KeyPath = ("networks", name)
        model = entry["models"].get(network["model"])
        if not network["file"].endswith((OF_WEIGHTS, OF_PROGRAM)):
            yield (*path, "file"), f"{network['file']} ends neither in {OF_WEIGHTS} nor in {OF_PROGRAM}"
        if model is None:
            yield ((*path, "model"), f"{network['model']} is none of the models {', '.join(entry['models'])}")
        elif model["input"] == "whitened" and not is_program(network["file"]):
            text = f"{network['model']} whitens its images as its training images ask for, and weights do not say how"
            yield (*path, "file"), f"{text}; export it with its input layer (.pt2)"


def _one_value_per_layer(entry: Entry) -> Mistakes:
    for name, model in entry["models"].items():
        lists = registry.lookup("models", model["kind"]).get("same_length", [])
        for key in lists:
            if len(model[key]) != len(model[lists[0]]):
                text = f"has {len(model[key])} values, {lists[0]} {len(model[lists[0]])}: one for each layer is needed"
                yield ("models", name, key), text


@dataclass(frozen=True)
class _Training:
    """One model of an entry with one baseline setting or objective: what is written of its training, and the whole."""

    model: str
    layers: Sequence[tuple[KeyPath, Mapping[str, Any]]]
    whole: Recipe

    def at(self, key: str) -> KeyPath:
        """Where a setting is written, or else the recipe that has it."""
        places = [(*path, name) for name in (key, "recipe") for path, layer in self.layers if name in layer]
        return next((path for path in reversed(places) if path[-1] == key), (places or [("train",)])[-1])


def _trainings(entry: Entry) -> Iterator[_Training]:
    for model_name, model in entry["models"].items():
        for part in ("baseline", "objectives"):
            for name, block in entry[part].items():
                layers: list[tuple[KeyPath, Mapping[str, Any]]] = [
                    (("train",), entry["train"]),
                    (("models", model_name, "train"), model.get("train", {})),
                    ((part, name, "train"), block.get("train", {})),
                ]
                yield _Training(model_name, layers, recipe(*(layer for _, layer in layers)))


def _settings_that_count(entry: Entry) -> Mistakes:
    properties = schema()["$defs"]["training"]["properties"]
    for training in _trainings(entry):
        for path, layer in training.layers:
            for key in layer:
                for other, allowed in properties[key].get("x-with", {}).items():
                    value = getattr(training.whole, other)
                    if value not in allowed and (allowed != ["a number"] or value is None):
                        yield (*path, key), f"counts only with {other}: {' or '.join(allowed)}"


def _settings_per_layer(entry: Entry) -> Mistakes:
    for training in _trainings(entry):
        model = entry["models"][training.model]
        lists = registry.lookup("models", model["kind"]).get("layers")
        count = sum(len(model[key]) for key in lists) + 1 if lists is not None else None
        for key in ("lr_factors", "max_norm"):
            values = getattr(training.whole, key)
            if not isinstance(values, list):
                continue
            if count is None:
                yield training.at(key), f"{key}: a {model['kind']} takes one number for all layers"
            elif len(values) != count:
                text = f"{key} has {len(values)} values, but {training.model} {count} layers with weights"
                yield training.at(key), text


def _patience_and_retraining(entry: Entry) -> Mistakes:
    held_out = entry["selection"]["n_validation"]
    for training in _trainings(entry):
        whole, at = training.whole, training.at
        if whole.patience is not None and whole.eps_warmup:
            yield at("eps_warmup"), "eps_warmup is a share of all epochs, and a patience may end them before"
        if whole.retrain != "none" and whole.patience is None:
            yield at("retrain"), f"retrain: {whole.retrain} needs a patience; or take retrain: none"
        if whole.retrain.startswith("continue") and whole.lr_schedule not in ("exponential", "constant"):
            yield at("retrain"), f"retrain: {whole.retrain} needs lr_schedule: exponential or constant"
        if whole.patience is not None and min(final_sizes(entry)) <= held_out:
            yield at("patience"), f"patience holds out {held_out} of the training images, and there are no more"


# Objectives


def _objective_names(entry: Entry) -> Mistakes:
    for name in entry["objectives"].keys() & entry["baseline"].keys():
        yield ("objectives", name), "the baseline has a setting of this name"
    taken = {"plain", *entry["baseline"], *entry["objectives"]}
    for name in entry["networks"].keys() & taken:
        yield ("networks", name), "there is an objective of this name, or a setting of the baseline"
    for part in ("objectives", "networks"):
        if "baseline" in entry[part]:
            yield (part, "baseline"), "this name is taken by the baseline"


def _grids(entry: Entry) -> Iterator[tuple[KeyPath, Mapping[str, Any], JoinedGrid]]:
    """(path, objective, its grid) of each objective that has one."""
    for name, objective in entry["objectives"].items():
        if "eps" in objective or "eps" in entry:
            yield ("objectives", name), objective, strengths(entry, objective)


def _a_grid_for_each(entry: Entry) -> Mistakes:
    for name, objective in entry["objectives"].items():
        if "eps" not in objective and "eps" not in entry:
            yield ("objectives", name), "'eps' is missing, here or for the whole entry (p: [eps, ...])"


def _norms_together(entry: Entry) -> Mistakes:
    """Several norms, and several steps with them."""
    able = ", ".join(kind for kind in selectable("objectives") if registry.several_norms(kind))
    for path, objective, grid in _grids(entry):
        for p in filter(is_joined, grid):
            if not registry.several_norms(objective["kind"]):
                yield (*path, "kind"), f"{objective['kind']} takes one norm at a time, not {p}; several: {able}"
            elif objective["steps"] > 1 or objective["step"] is not None:
                for one in set(members(p)) - EXACT:
                    text = f"several steps in several norms need p = 1, 2 or inf, not {one}; take steps: 1"
                    yield (*path, "steps"), text


def _h_for_each_p(entry: Entry) -> Mistakes:
    for path, objective, grid in _grids(entry):
        if "h" not in objective:
            continue
        for p in grid.keys() - objective["h"].keys():
            yield (*path, "h"), f"no h for p = {p}"
        for p in objective["h"].keys() - grid.keys():
            yield (*path, "h", p), f"there is no eps for p = {p}"
        for p, h in objective["h"].items():
            least = LEAST_H_OF_ANSWERS if objective["kind"] == "virtual" else LEAST_H
            if h.value < least:
                yield (*path, "h", p), f"h = {h} is lost in single precision; take {least} or more"


def _ascent(entry: Entry) -> Mistakes:
    for path, objective, grid in _grids(entry):
        others = grid.keys() - EXACT
        if objective["kind"] == "trades":
            for p in others:
                yield (*path, "kind"), f"trades starts at random, which ascent for p = {p} cannot; take p = 1, 2 or inf"
        if registry.several_norms(objective["kind"]) and objective["step"] is not None:
            for p in [p for p in others if not is_joined(p)]:
                yield (*path, "step"), f"for p = {p} the ascent is by Frank-Wolfe, which has none"
        if objective["kind"] != "adversarial":
            continue
        if objective.get("start", 0) > 1:
            yield (*path, "start"), "a start further than eps is outside the ball; write a number from 0 to 1"
        for p in others:
            for key in [key for key in ("start", "step", "direction") if objective.get(key)]:
                yield (*path, key), f"for p = {p} the ascent is by Frank-Wolfe, which has none"


def _whitened_space(entry: Entry) -> Mistakes:
    for path, objective, _ in _grids(entry):
        if objective["space"] == "whitened":
            for model in [name for name, block in entry["models"].items() if block["input"] != "whitened"]:
                yield (*path, "space"), f"model {model} whitens nothing; give it input: whitened"
        if objective.get("box", "none") != "none":
            if objective["space"] == "whitened":
                yield (*path, "box"), "whitened images have no box; write space: pixels, or leave it out"
            if objective["differentiate"]:
                yield (*path, "box"), "steps in the box are held constant; leave out differentiate"


def _lengths(
    path: KeyPath, objective: Mapping[str, Any], grid: JoinedGrid
) -> Iterator[tuple[KeyPath, Numeral, Numeral]]:
    """(place, p, length) of each step of an objective: eps, where it is the length of one, and h."""
    if registry.moves(objective["kind"]):
        yield from _each((*path, "eps") if "eps" in objective else ("eps",), grid)
    for p, h in objective.get("h", {}).items():
        yield (*path, "h", p), p, h


def _each(path: KeyPath, grid: JoinedGrid | Grid) -> Iterator[tuple[KeyPath, Numeral, Numeral]]:
    for p, lengths in grid.items():
        for j, length in enumerate(lengths):
            for one, of_one in zip(members(p), members(length), strict=True):
                yield (*path, p, j), one, of_one


def _inside_the_box(entry: Entry) -> Mistakes:
    """No perturbation may be longer than the box [0, 1]^n."""
    inputs = math.prod(DATASETS[entry["dataset"]].image_shape)
    lengths = list(_each(("attack", "eps"), entry["attack"]["eps"]))
    for path, objective, grid in _grids(entry):
        if objective["space"] != "whitened":
            lengths += _lengths(path, objective, grid)
    for path, p, length in lengths:
        diagonal = inputs ** (1 / p.value)
        if length.value > diagonal:
            name = "h" if path[-2] == "h" else "eps"
            text = f"{name} = {length} is longer than the whole box [0, 1]^{inputs} at p = {p} ({diagonal:g})"
            hint = " (8_255 is the number 8255; a fraction is 8/255)" if length.value > 255 else ""
            yield path, text + hint


def _not_rounded_away(entry: Entry) -> Mistakes:
    """A step must move pixels, or weights, by more than the precision of training rounds them.

    A pixel of 1 is rounded by 2^-bits. Measured with bfloat16 on MNIST: where the p-mean of a step over the pixels is
    that or more, difference quotients are within 5 % of those in float32; at a tenth of it up to a quarter off, at a
    hundredth a half. A step of p = 1 moves one pixel, and the loss by so little that it takes eight times as much.
    """
    inputs = math.prod(DATASETS[entry["dataset"]].image_shape)
    for path, objective, grid in _grids(entry):
        for model in entry["models"].values():
            precision = recipe(entry["train"], model.get("train", {}), objective.get("train", {})).precision
            if precision not in BITS:
                continue
            if registry.lookup("objectives", objective["kind"]).get("eps") == "weights":
                yield (*path, "kind"), f"precision: {precision} rounds steps of the weights away; use float32"
            for place, p, length in _lengths(path, objective, grid):
                least = 2.0 ** -BITS[precision] * (inputs ** (1 / p.value) if p.value > 1 else 8)
                if length.value < least:
                    what = f"{length} is too short a step for precision: {precision}, which rounds it away"
                    yield place, f"{what}; take {least:.2g} or more at p = {p}, or precision: float32"


# Attacks and figures


def _attack_names(entry: Entry) -> Mistakes:
    attack = entry["attack"]
    for part in ("others", "strong"):
        for name in attack[part]:
            if name.replace("-", "_") in RESERVED:  # tables show one for the other
                yield ("attack", part, name), "this name is taken by what is always measured"
    for name in attack["others"].keys() & attack["strong"].keys():
        yield ("attack", "strong", name), "there is another attack of this name"


def _other_attacks(entry: Entry) -> Mistakes:
    attack = entry["attack"]
    for name, other in attack["others"].items():
        registered = registry.lookup("attacks", other["kind"])
        path: KeyPath = ("attack", "others", name, "kind")
        if registered.get("minimum"):
            yield path, f"{other['kind']} has no eps; name it under strong"
        for p in attack["eps"].keys() - set(registered.get("norms", attack["eps"])):
            yield path, f"{other['kind']} does not know p = {p}; name it under strong"


def _strong_attacks(entry: Entry) -> Mistakes:
    for name, block in entry["attack"]["strong"].items():
        path: KeyPath = ("attack", "strong", name)
        for i, kind in enumerate(block["attacks"]):
            registered = registry.lookup("attacks", kind)
            if any("default" not in setting for setting in registered.get("settings", {}).values()):
                yield (*path, "attacks", i), f"{kind} has settings that must be given; name it under others"
            if registered.get("minimum") and (len(block["attacks"]) > 1 or "eps" in block):
                yield (*path, "attacks", i), f"{kind} has no eps, and stands alone"
        norms = strong_norms(entry, block)
        for p in block.get("eps", {}).keys() - set(norms):
            yield (*path, "eps"), f"p = {p} is not attacked, or not known to {', '.join(block['attacks'])}"
        if not norms:
            yield path, f"no norm under attack.eps is known to {', '.join(block['attacks'])}"


def _what_settings_compete_by(entry: Entry) -> Mistakes:
    attack, by = entry["attack"], Criterion.of(entry["selection"]["by"])
    path: KeyPath = ("selection", "by")
    measured = ["multi_step", "one_step", *attack["others"]]
    if by == CLEAN:
        return
    if by.attack not in measured:
        yield (*path, "attack"), f"{by.attack} is not run on every network; take {', '.join(measured)}"
    grid = {**attack["eps"], **union(attack["eps"])}
    if by.p not in grid:
        yield (*path, "p"), f"p = {by.p} is not attacked; take {', '.join(grid)}"
    elif by.eps not in grid[by.p]:
        yield (*path, "eps"), f"eps = {by.eps} is not among those of the attack at p = {by.p}: {', '.join(grid[by.p])}"


def _attacks_that_fit(entry: Entry) -> Mistakes:
    """Some attacks need a least number of classes, or images in which their tiles fit."""
    dataset, attack = DATASETS[entry["dataset"]], entry["attack"]
    asked: list[tuple[KeyPath, str, Iterable[str]]] = [
        (("others", name, "kind"), other["kind"], attack["eps"]) for name, other in attack["others"].items()
    ]
    for name, block in attack["strong"].items():
        norms = block.get("eps") or strong_norms(entry, block)
        asked += [(("strong", name, "attacks", i), kind, norms) for i, kind in enumerate(block["attacks"])]
    for path, kind, norms in asked:
        registered, (_, height, width) = registry.lookup("attacks", kind), dataset.image_shape
        least = registered.get("least_classes", 1)
        if dataset.classes < least:
            yield ("attack", *path), f"{kind} needs {least} classes or more; {entry['dataset']} has {dataset.classes}"
        for p in registered.get("tiles", []):
            if p in norms and not tiles.fit(height, width):
                what = f"cannot lay its first tiles in images of {height} x {width} pixels"
                yield ("attack", *path), f"{kind} at p = {p} {what}"


def _figures(entry: Entry) -> Mistakes:
    for part in ("gallery", "transfer"):
        for p in entry.get(part, {}).get("eps", {}).keys() - entry["attack"]["eps"].keys():
            yield (part, "eps"), f"p = {p} is not among the attacked norms"
    for label in entry["gallery"]["classes"]:
        if label >= DATASETS[entry["dataset"]].classes:
            yield ("gallery", "classes"), f"{entry['dataset']} has no class {label}"


RULES: tuple[Callable[[Entry], Mistakes], ...] = (
    _functions_are_there,
    _networks_from_files,
    _one_value_per_layer,
    _settings_that_count,
    _settings_per_layer,
    _patience_and_retraining,
    _objective_names,
    _attack_names,
    _other_attacks,
    _strong_attacks,
    _attacks_that_fit,
    _what_settings_compete_by,
    _a_grid_for_each,
    _norms_together,
    _h_for_each_p,
    _ascent,
    _whitened_space,
    _inside_the_box,
    _not_rounded_away,
    _figures,
)
