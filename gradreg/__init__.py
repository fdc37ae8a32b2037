"""Gradient regularisation against adversarial examples, for every p-norm.

Your own training loop can import these from ``gradreg``:

- norms and steps: dual_exponent, norm, steepest_step, steepest_step_in_union, project
- random directions: draw
- objectives: plain, noise, perturb, penalty, finite_difference, adversarial, alignment, curvature, virtual, trades, sam
- objectives in several norms together: worst_norm, average_norm, random_norm
- parts of objectives: ascend, input_gradient
- a network as the function that objectives take: forward_of
- networks that the workflow has trained: load

docs/library.md has examples. A module is imported when one of its names is first used, so that planning an experiment
does not import PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradreg.models.trained import load
    from gradreg.norms import dual_exponent, norm, project, steepest_step, steepest_step_in_union
    from gradreg.objectives.adversarial import adversarial
    from gradreg.objectives.alignment import alignment
    from gradreg.objectives.ascent import ascend
    from gradreg.objectives.average_norm import average_norm
    from gradreg.objectives.curvature import curvature
    from gradreg.objectives.differentiation import input_gradient
    from gradreg.objectives.finite_difference import finite_difference
    from gradreg.objectives.networks import forward_of
    from gradreg.objectives.noise import noise
    from gradreg.objectives.penalty import penalty
    from gradreg.objectives.perturb import perturb
    from gradreg.objectives.plain import plain
    from gradreg.objectives.random_norm import random_norm
    from gradreg.objectives.sam import sam
    from gradreg.objectives.trades import trades
    from gradreg.objectives.virtual import virtual
    from gradreg.objectives.worst_norm import worst_norm
    from gradreg.sampling import draw

__version__ = "0.1.0"
__all__ = [
    "adversarial",
    "alignment",
    "ascend",
    "average_norm",
    "curvature",
    "draw",
    "dual_exponent",
    "finite_difference",
    "forward_of",
    "input_gradient",
    "load",
    "noise",
    "norm",
    "penalty",
    "perturb",
    "plain",
    "project",
    "random_norm",
    "sam",
    "steepest_step",
    "steepest_step_in_union",
    "trades",
    "virtual",
    "worst_norm",
]
_MODULES = dict.fromkeys(("dual_exponent", "norm", "project", "steepest_step", "steepest_step_in_union"), "norms")
_MODULES |= {"draw": "sampling", "ascend": "objectives.ascent", "input_gradient": "objectives.differentiation"}
_MODULES |= {"forward_of": "objectives.networks", "load": "models.trained"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, f'objectives.{name}')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
