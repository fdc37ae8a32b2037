"""The loss on clean images, and how far the answers on perturbed ones part from those on clean ones."""

from torch import Tensor

from gradreg.objectives.ascent import ascend
from gradreg.objectives.differentiation import Forward, Params, Result, Strength
from gradreg.objectives.divergence import answers, divergence
from gradreg.objectives.plain import plain


def trades(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    steps: int,
    draw: Tensor,
    weight: float = 6.0,
    start: float = 0.5,
    step: float | None = None,
) -> Result:
    """L(x) + weight * KL(a(x) || a(x + s)), with a(x) the probabilities of the answers.

    s, held constant, raises the divergence by ``steps`` ascent steps (``ascend``) from start * eps * draw, draw in the
    unit p-ball: at s = 0 the divergence has no gradient. For p in {1, 2, inf}. TRADES (Zhang et al. 2019), whose weight
    is 1 / lambda. Raises ValueError like ``ascend``, and without a start.
    """
    if not start > 0:
        raise ValueError(f"start must be more than 0, got {start}")
    loss, logits = plain(forward, params, x, y)
    own = answers(logits).exp()
    s = ascend(forward, params, x, own, p=p, eps=eps, steps=steps, step=step, start=start, draw=draw)
    return loss + weight * divergence(logits.log_softmax(1), forward(params, x + s)).mean(), logits
