"""Gradient regularisation against adversarial examples, for every p-norm.

Your own training loop can import these from ``gradreg``:

- norms and steps: dual_exponent, norm, steepest_step, project
- random directions: draw
- objectives: plain, noise, perturb, penalty, finite_difference, adversarial, alignment, curvature
- parts of objectives: ascend, input_gradient

docs/library.md has examples. A module is imported when one of its names is first used, so that planning an experiment
does not import PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradreg.norms import dual_exponent, norm, project, steepest_step
    from gradreg.objectives import (
        adversarial,
        alignment,
        ascend,
        curvature,
        finite_difference,
        input_gradient,
        noise,
        penalty,
        perturb,
        plain,
    )
    from gradreg.sampling import draw

__version__ = "0.1.0"
__all__ = [
    "adversarial",
    "alignment",
    "ascend",
    "curvature",
    "draw",
    "dual_exponent",
    "finite_difference",
    "input_gradient",
    "noise",
    "norm",
    "penalty",
    "perturb",
    "plain",
    "project",
    "steepest_step",
]
_MODULES = ("norms", "sampling", "objectives")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in map(importlib.import_module, (f"{__name__}.{path}" for path in _MODULES)):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
