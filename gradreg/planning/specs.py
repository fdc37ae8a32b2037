"""Typed settings, from the config to the innermost loop: numbers are parsed when a config is read, and not again.

A spec goes to a job as JSON: ``to_json`` writes it, the ``of`` of its class reads it back.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from gradreg.planning.numerals import Numeral

Grid = Mapping[Numeral, Sequence[Numeral]]  # p -> eps
JoinedGrid = Mapping[str, Sequence[str]]  # likewise, or of several norms together (numerals.joined)


@dataclass(frozen=True)
class ModelSpec:
    """A network: its registered kind, its input layer (``models.preprocessing``), and the settings of the kind."""

    kind: str
    input: str = "pixels"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Self:
        """From a block of a config: kind, input, and the settings beside them."""
        settings = {key: value for key, value in block.items() if key not in ("kind", "input")}
        return cls(block["kind"], block.get("input", "pixels"), settings)


@dataclass(frozen=True)
class ObjectiveSpec:
    """An objective: its registered kind, its norm and strength, and the settings of the kind.

    p: exponent of the norm of perturbations, in [1, inf]; None for kinds without one; several for kinds that take
    several norms together. eps: the p-norm of a perturbation or the factor of a penalty, by kind; as many as there are
    p. space: where inputs, steps and eps live, "pixels" in [0, 1], or "whitened".
    """

    kind: str
    p: float | Sequence[float] | None = None
    eps: float | Sequence[float] = 0.0
    space: str = "pixels"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, block: Mapping[str, Any]) -> Self:
        """From a block of numbers: kind, p, eps, space, and the settings beside them."""
        settings = {key: value for key, value in block.items() if key not in ("kind", "p", "eps", "space")}
        p, eps = (_numbers(block.get(key, default)) for key, default in (("p", None), ("eps", 0.0)))
        return cls(block["kind"], p, eps, block.get("space", "pixels"), settings)


def _numbers(value: Any) -> Any:
    """A number, or a tuple of several; None stays. JSON has infinity as text."""
    if isinstance(value, list | tuple):
        return tuple(map(float, value))
    return None if value is None else float(value)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; planning/config.schema.yaml describes each setting.

    max_norm and lr_factors: one number for all layers with weights, or one for each layer, from the input on.
    """

    epochs: int
    batch_size: int
    min_steps: int
    lr: float
    lr_schedule: str
    lr_decay: float
    lr_least: float
    lr_epochs: int
    lr_factors: Sequence[float] | None
    optimizer: str
    momentum: float
    momentum_end: float | None
    momentum_epochs: int
    nesterov: bool
    beta2: float
    weight_decay: float
    max_norm: float | Sequence[float] | None
    eps_warmup: float
    label_smoothing: float
    averaging: float
    pad: int
    flip: bool
    patience: int | None
    retrain: str
    precision: str
    compile: bool


class Spec:
    """Settings with a grid ``eps``."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From what ``to_json`` wrote."""
        numbers = {"eps": grid(values["eps"])}
        if "noise" in values:
            numbers["noise"] = {kind: numerals(sizes) for kind, sizes in values["noise"].items()}
        return cls(**{**values, **numbers})


@dataclass(frozen=True)
class WatchSpec(Spec):
    """The error under attack on held-out images that a patience watches: an image counts if it fails in one norm.

    attack: its kind and settings. The first ``images`` are attacked. eps: one per p, in units of [0, 1].
    """

    attack: Mapping[str, Any]
    images: int
    eps: Mapping[Numeral, Numeral]


@dataclass(frozen=True)
class TrainingSpec:
    """All that training depends on beside its images, seeds and code.

    A run trains on n_train images of the training set, after the first ``skip``. n_validation: number of images at the
    end of the training set on which settings compete; None for a final run. n_stop: number of its training images that
    a final run with patience holds out. watch: what the patience watches, where it is not the error without attack.
    data: fingerprint of the data set. file: of a network that was trained elsewhere, and is only read.
    """

    model: ModelSpec
    objective: ObjectiveSpec
    recipe: Recipe
    n_train: int = 0
    skip: int = 0
    n_validation: int | None = None
    n_stop: int | None = None
    watch: WatchSpec | None = None
    data: str = ""
    file: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """From what ``to_json`` wrote."""
        model, objective = ModelSpec.of(values["model"]), ObjectiveSpec.of(values["objective"])
        rest = {key: value for key, value in values.items() if key not in ("model", "objective", "recipe")}
        if rest.get("watch"):
            rest["watch"] = WatchSpec.of(rest["watch"])
        return cls(model, objective, Recipe(**values["recipe"]), **rest)

    def with_recipe(self, **changes: Any) -> Self:
        """The same with some settings of the recipe changed."""
        return replace(self, recipe=replace(self.recipe, **changes))


@dataclass(frozen=True)
class AttackSpec(Spec):
    """What is measured on every network.

    The first ``images`` of a split are attacked, ``batch_size`` at a time, at each p and eps of the grid ``eps``, in
    units of [0, 1]. steps: of the multi-step attack. noise: kind -> sizes. others: further attacks by name, their
    kinds and settings. smooth: whether the network has a curvature. n_test: number of test images, of a final run.
    """

    images: int
    steps: int
    batch_size: int
    eps: Grid
    noise: Mapping[str, Sequence[Numeral]] = field(default_factory=dict)
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    smooth: bool = False
    n_test: int | None = None

    @property
    def blocks(self) -> dict[str, Mapping[str, Any]]:
        """Kind and settings of every attack by name: one step, several steps, and the others."""
        several = {"kind": "multi_step", "steps": self.steps}
        return {"one_step": {"kind": "one_step"}, "multi_step": several, **self.others}


@dataclass(frozen=True)
class StrongAttackSpec(Spec):
    """A strong attack: registered kinds, one after another, each on the images that withstood those before.

    images, steps, batch_size and eps as in ``AttackSpec``; steps is that of the usual attack it is compared with.
    """

    attacks: Sequence[str]
    images: int
    steps: int
    batch_size: int
    eps: Grid


@dataclass(frozen=True)
class TransferSpec(Spec):
    """Perturbations that are shown to other networks: of the first ``images`` test images, one eps per p."""

    images: int
    steps: int
    batch_size: int
    eps: Mapping[Numeral, Numeral]


@dataclass(frozen=True)
class GallerySpec(Spec):
    """The figure of perturbed images: one image per class, one eps per p."""

    classes: Sequence[int]
    steps: int
    eps: Mapping[Numeral, Numeral]


def grid(values: Mapping[str, Any]) -> dict[Numeral, Any]:
    """p -> eps, or a list of them, with its numbers."""
    return {Numeral(p): Numeral(eps) if isinstance(eps, str) else numerals(eps) for p, eps in values.items()}


def numerals(values: Sequence[str]) -> list[Numeral]:
    """Texts with their numbers."""
    return [Numeral(value) for value in values]


def to_json(value: Any) -> str:
    """The one text of a spec, or of specs in lists and dicts: what a rule's parameters are compared by."""
    return json.dumps(value, sort_keys=True, default=_block)


def _block(spec: Any) -> dict[str, Any]:
    """A spec as a block of a config: settings beside their kind, and infinity, which JSON does not have, as text."""
    block = {field.name: getattr(spec, field.name) for field in fields(spec)}
    block |= block.pop("settings", {})
    return {key: _finite(value) for key, value in block.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_finite(number) for number in value]
    return "inf" if value == math.inf else value
