"""Steps in the ball of one of several norms, drawn for each batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from gradreg.norms import steepest_step
from gradreg.objectives.ascent import ascend_in_one_of
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, input_gradient
from gradreg.objectives.perturbed import mixed


def random_norm(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: Sequence[float],
    eps: Sequence[float] | Tensor,
    draw: Tensor,
    steps: int = 1,
    step: float | None = None,
    alpha: Strength = 0.0,
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s of p_k-norm eps_k, held constant, and one k for the whole batch.

    draw: its first entry, uniform in [0, 1), gives k, each of them equally likely. One step is that of ``perturb``,
    several are those of ``adversarial``. After Croce and Hein (2022), who draw by the errors so far. Raises ValueError
    as above, and for several steps in several balls unless all p are 1, 2 or inf.
    """
    place = (draw.flatten()[0] * len(p)).floor()

    def drawn(candidates: Sequence[Tensor], *_: Tensor) -> Tensor:
        chosen = candidates[0]
        for k, candidate in enumerate(candidates[1:], start=1):
            chosen = torch.where(place == k, candidate, chosen)
        return chosen

    if steps == 1 and step is None:
        g = input_gradient(forward, params, x, y)
        s = drawn([steepest_step(g, one, size) for one, size in zip(p, eps, strict=True)])
    else:
        s = ascend_in_one_of(forward, params, x, y, p=p, eps=eps, steps=steps, step=step, choose=drawn)
    return mixed(forward, params, x, y, s, alpha)
