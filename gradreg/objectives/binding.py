"""An objective of a registered kind with its settings fixed."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gradreg import registry
from gradreg.objectives.differentiation import Forward, Params, Result, Strength


@dataclass(frozen=True)
class Objective:
    """A kind of objective with its settings; called with a batch and the strength of the moment.

    p: several for kinds that take several norms together. distribution: of the ``draw`` that each batch needs, from
    ``sampling.draw`` with exponent p; None: it needs none. moves: whether the strength is the p-norm of a perturbation.
    """

    kind: str
    function: Callable[..., Result]
    settings: Mapping[str, Any]
    p: float | Sequence[float] | None
    distribution: str | None
    moves: bool = False

    def __call__(
        self, forward: Forward, params: Params, x: Tensor, y: Tensor, eps: Strength, draw: Tensor | None = None
    ) -> Result:
        """(loss, logits), as the function of this kind returns them."""
        settings = dict(self.settings)
        if self.p is not None:
            settings |= {"p": self.p, "eps": eps}
        if self.distribution:
            settings["draw"] = draw
        return self.function(forward, params, x, y, **settings)


def bind(kind: str, *, p: float | Sequence[float] | None = None, **settings: Any) -> Objective:
    """The registered objective ``kind`` at p with its other settings fixed; it is called with eps and ``draw``.

    Raises ValueError for an unknown kind or setting, or a missing one.
    """
    function = registry.function("objectives", kind)
    distribution = registry.lookup("objectives", kind).get("draw")
    if distribution == "distribution":
        if "distribution" not in settings:
            raise ValueError(f"objective {kind!r} needs a distribution")
        distribution = settings.pop("distribution")
    if settings.get("start"):
        distribution = "ball"
    given = {**settings, **({"p": p, "eps": 0.0} if p is not None else {}), **({"draw": None} if distribution else {})}
    try:
        inspect.signature(function).bind(None, None, None, None, **given)
    except TypeError as error:
        raise ValueError(f"objective {kind!r}: {error}") from None
    return Objective(kind, function, settings, p, distribution, registry.moves(kind))
