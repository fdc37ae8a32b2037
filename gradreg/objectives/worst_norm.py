"""Steps in the union of the balls of several norms."""

from collections.abc import Sequence

from torch import Tensor

from gradreg.norms import steepest_step_in_union
from gradreg.objectives.ascent import ascend_in_one_of, steepest
from gradreg.objectives.differentiation import Forward, Params, Result, Strength, input_gradient
from gradreg.objectives.perturbed import mixed


def worst_norm(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: Sequence[float],
    eps: Sequence[float] | Tensor,
    steps: int = 1,
    step: float | None = None,
    alpha: Strength = 0.0,
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s in the union of the balls ||s||_{p_k} <= eps_k, held constant.

    p, eps: one number or more, as many each. One step is that of ``norms.steepest_step_in_union``: to first order
    L(x + s) = L(x) + max_k eps_k * ||g||_{q_k}. Each of several leads to where a step of ``ascent.ascend`` in one of
    the balls does, per sample in that where the loss rises most, to first order; Maini et al. (2020) try them all, at
    a pass each. With one ball this is ``perturb`` or ``adversarial``. Raises ValueError as above, and for several steps
    in several balls unless all p are 1, 2 or inf.
    """
    if steps == 1 and step is None:
        s = steepest_step_in_union(input_gradient(forward, params, x, y), p, eps)
    else:
        s = ascend_in_one_of(forward, params, x, y, p=p, eps=eps, steps=steps, step=step, choose=steepest)
    return mixed(forward, params, x, y, s, alpha)
