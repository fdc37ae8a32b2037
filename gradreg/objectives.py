"""Training objectives: pure functions of parameters, a batch and numbers.

Each takes ``forward(params, x) -> logits``, the parameters, a batch ``x`` (N, ...) in [0, 1] with labels ``y`` (N,),
and returns ``(loss, logits)``: the mean loss to minimise, a scalar, and logits (N, classes), at the perturbed inputs
where there are such, else at x. Below, L is a sample's cross-entropy, g = dL/dx, 1/p + 1/q = 1, and eps the strength:
a number or a scalar tensor. Perturbed inputs are not clipped to [0, 1]: the formulas hold exactly.

The functions hold no state and draw no random numbers: what is random (``draw``: a tensor like x, from ``draws.draw``)
is passed in, and dropout masks belong to ``forward``, the same in every pass. So ``torch.func.grad``, ``vmap`` and
``torch.compile`` apply. All raise ValueError unless 1 <= p <= inf.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gradreg import registry
from gradreg.norms import dual_exponent, norm, project, steepest_step

Params = Mapping[str, Tensor]
Forward = Callable[[Params, Tensor], Tensor]
Result = tuple[Tensor, Tensor]
Strength = float | Tensor


def input_gradient(forward: Forward, params: Params, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of each sample's cross-entropy with respect to that sample, the shape of x.

    The parameters are held constant: nothing of this pass is recorded for their gradients.
    """
    frozen = {name: value.detach() for name, value in params.items()}
    g: Tensor = gradients(lambda inputs: _summed(forward, frozen, inputs, y), x)[0]
    return g.detach()


def gradients(function: Callable[[Any], tuple[Tensor, Any]], at: Any) -> tuple[Any, tuple[Tensor, Any]]:
    """``torch.func.grad_and_value(function, has_aux=True)(at)``, but the gradients cannot be differentiated in turn.

    So nothing is kept for that, and layers use formulas of their own (group normalisation, smooth activations) instead
    of ones that can be differentiated. ``function(at)`` returns a scalar and something more; ``at`` is a tensor, or
    mappings and tuples of them. Returns gradients like ``at``, and what the function returned.
    """
    vjp: Any = torch.func.vjp  # typed without has_aux
    value, back, more = vjp(function, at, has_aux=True)
    (found,) = back(torch.ones_like(value), retain_graph=False, create_graph=False)
    return found, (value, more)


def plain(forward: Forward, params: Params, x: Tensor, y: Tensor) -> Result:
    """L(x)."""
    logits = forward(params, x)
    return F.cross_entropy(logits, y), logits


def noise(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    draw: Tensor,
    alpha: Strength = 0.0,
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s the random ``draw`` scaled to p-norm eps.

    The control that has the size of the perturbation but not its direction (Goodfellow et al. 2015, section 6).
    """
    return _mixed(forward, params, x, y, _scaled(draw, p, eps), alpha)


def perturb(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    alpha: Strength = 0.0,
    differentiate: bool = False,
    start: float = 0.0,
    draw: Tensor | None = None,
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s the steepest step of p-norm eps.

    To first order L(x + s) = L(x) + eps * ||g||_q (Lyu et al. 2015; alpha = 0.5 and p = inf: Goodfellow et al. 2015,
    section 6). The step is held constant, or with ``differentiate`` followed back to the parameters by second
    derivatives; these are zero for p = 1 and inf, and for p > 2 unbounded where an entry of g comes near zero.

    With ``start`` the step is taken from, and added to, a random start: s = r + steepest step at x + r, r = start *
    eps * draw, where draw lies in the unit p-ball. p = inf and start = 2 is N-FGSM (de Jorge et al. 2022).
    """
    differentiate = differentiate and p not in (1, float("inf"))
    if _mixes(alpha) and not start:  # L(x) and g from one forward pass
        if differentiate:
            g, losses, _ = _with_gradient(forward, params, x, y)
            here = losses.mean()
        else:
            g, here = _loss_and_gradient(forward, params, x, y)
        loss, logits = plain(forward, params, x + steepest_step(g, p, eps), y)
        return alpha * here + (1 - alpha) * loss, logits
    origin = _start(draw, start, eps)
    if differentiate:
        g = _with_gradient(forward, params, x + origin, y)[0]
    else:
        g = input_gradient(forward, params, x + origin, y)
    return _mixed(forward, params, x, y, origin + steepest_step(g, p, eps), alpha)


def penalty(
    forward: Forward, params: Params, x: Tensor, y: Tensor, *, p: float, eps: Strength, power: int = 1
) -> Result:
    """L(x) + eps * ||g||_q^power, the exact penalty, by double backpropagation.

    p = 2 and power = 2: Drucker and LeCun 1992. The norm is taken per sample, then averaged. Raises ValueError for
    another power than 1 or 2.
    """
    _one_or_two(power=power)
    g, losses, logits = _with_gradient(forward, params, x, y)
    return (losses + eps * norm(g, dual_exponent(p)).pow(power)).mean(), logits


def finite_difference(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    h: float,
    order: int = 1,
    power: int = 1,
) -> Result:
    """L(x) + eps * D^power, with D ~ ||g||_q the difference quotient along the steepest step s of p-norm h.

    D = (L(x + s) - L(x)) / h for order 1 (Finlay and Oberman 2021 for power 2), (L(x + s) - L(x - s)) / 2h for
    order 2; s is held constant, so no second derivatives are needed. Order 1 with power 1 is ``perturb`` in other
    letters: a step of size h and alpha = 1 - eps / h. Raises ValueError for another order or power.
    """
    _one_or_two(order=order, power=power)
    if order == power == 1:
        return perturb(forward, params, x, y, p=p, eps=h, alpha=1 - eps / h)
    if power == 1:
        g, clean = _loss_and_gradient(forward, params, x, y)
        s = steepest_step(g, p, h)
        ahead, logits = plain(forward, params, x + s, y)
        return clean + eps * (ahead - plain(forward, params, x - s, y)[0]) / (2 * h), logits
    g, here, _ = _with_gradient(forward, params, x, y)
    s = steepest_step(g.detach(), p, h)
    ahead, logits = _losses(forward, params, x + s, y)
    behind, width = (here, h) if order == 1 else (_losses(forward, params, x - s, y)[0], 2 * h)
    quotient = (ahead - behind) / width
    return (here + eps * quotient.pow(power)).mean(), logits


def adversarial(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    steps: int,
    step: float | None = None,
    start: float = 0.0,
    draw: Tensor | None = None,
    alpha: Strength = 0.0,
) -> Result:
    """alpha * L(x) + (1 - alpha) * L(x + s), with s from ``ascend``, held constant (Madry et al. 2018)."""
    s = ascend(forward, params, x, y, p=p, eps=eps, steps=steps, step=step, start=start, draw=draw)
    return _mixed(forward, params, x, y, s, alpha)


def ascend(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    steps: int,
    step: float | None = None,
    start: float = 0.0,
    draw: Tensor | None = None,
) -> Tensor:
    """A perturbation of p-norm at most eps that raises the loss, the shape of x, by ``steps`` steps.

    For p in {1, 2, inf} projected ascent, s <- project(s + steepest step of size step * eps); step is 2.5 / steps
    unless given, and 1 for a single step. For other p, where no projection is exact, Frank-Wolfe, s <- s + 2 / (k + 2)
    * (steepest step of size eps - s), k = 0, 1, ... (Jaggi 2013), which has no step size and forgets its start
    (step and start must be left out). The start is 0, or start * eps * draw, draw in the unit p-ball and start at
    most 1. One step from 0 is that of ``perturb``. Raises ValueError as above.
    """
    projected = p in EXACT_PROJECTIONS
    if not projected and (step is not None or start):
        raise ValueError(f"for p = {p} the ascent is by Frank-Wolfe, which has no step and no start")
    if not 0 <= start <= 1:
        raise ValueError(f"start must be in [0, 1], got {start}")
    size = eps * ((2.5 / steps if steps > 1 else 1.0) if step is None else step)
    s: Tensor = torch.zeros_like(x) + _start(draw, start, eps)
    for k in range(steps):
        g = input_gradient(forward, params, x + s, y)
        if projected:
            s = project(s + steepest_step(g, p, size), p, eps)
        else:
            s = s + 2 / (k + 2) * (steepest_step(g, p, eps) - s)
    return s


def alignment(
    forward: Forward, params: Params, x: Tensor, y: Tensor, *, p: float, eps: Strength, weight: float, draw: Tensor
) -> Result:
    """L(x + s) + weight * (1 - cos(g(x), g(x + r))), with s the constant steepest step and r = eps * draw.

    The one-step loss with a penalty on gradients that turn within the ball, by double backpropagation; draw lies in
    the unit p-ball. p = inf: GradAlign (Andriushchenko and Flammarion 2020). A sample whose gradient is zero, or too
    small for its direction to be known, at either place counts as aligned.
    """
    here, _, _ = _with_gradient(forward, params, x, y)
    there, _, _ = _with_gradient(forward, params, x + eps * draw, y)
    loss, logits = plain(forward, params, x + steepest_step(here.detach(), p, eps), y)
    lengths = norm(here, 2), norm(there, 2)
    least = 1e8 * torch.finfo(x.dtype).tiny  # below, the inverse overflows on its way back
    defined = (lengths[0] > least) & (lengths[1] > least)
    # Divided before they are multiplied: products of small gradients underflow.
    units = [
        g.flatten(1) / torch.where(defined, length, 1).unsqueeze(1)
        for g, length in zip((here, there), lengths, strict=True)
    ]
    turn = torch.where(defined, 1 - (units[0] * units[1]).sum(1), 0)
    return loss + weight * turn.mean(), logits


def curvature(
    forward: Forward,
    params: Params,
    x: Tensor,
    y: Tensor,
    *,
    p: float,
    eps: Strength,
    h: float,
    direction: str = "steepest",
) -> Result:
    """L(x) + eps * ||(g(x + h z) - g(x)) / h||_q^2, with z of p-norm 1, held constant.

    A penalty on how the gradient changes along z, by double backpropagation: z is its own steepest step, or with
    direction "sign" the sign of g, scaled. p = 2 and "sign": CURE (Moosavi-Dezfooli et al. 2019), with the factor
    1 / h^2 written out. Raises ValueError for another direction.
    """
    if direction not in ("steepest", "sign"):
        raise ValueError(f"direction must be steepest or sign, got {direction!r}")
    here, losses, logits = _with_gradient(forward, params, x, y)
    g = here.detach()
    step = steepest_step(g, p, h) if direction == "steepest" else _scaled(g.sign(), p, h)
    there, _, _ = _with_gradient(forward, params, x + step, y)
    return (losses + eps * norm((there - here) / h, dual_exponent(p)).pow(2)).mean(), logits


EXACT_PROJECTIONS = (1.0, 2.0, float("inf"))


@dataclass(frozen=True)
class Objective:
    """A kind of objective with its settings; called with a batch and the strength of the moment.

    ``distribution`` names what ``draws.draw`` is to draw for each batch, with exponent ``p``; None: nothing. ``moves``
    says whether the strength is the p-norm of a perturbation.
    """

    kind: str
    function: Callable[..., Result]
    settings: Mapping[str, Any]
    p: float | None
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


def bind(kind: str, *, p: float | None = None, **settings: Any) -> Objective:
    """The registered objective ``kind`` at one p with its other settings fixed; eps, and what is random, come later.

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


def _losses(forward: Forward, params: Params, x: Tensor, y: Tensor) -> Result:
    """Each sample's cross-entropy (N,), and the logits."""
    logits = forward(params, x)
    return F.cross_entropy(logits, y, reduction="none"), logits


def _summed(forward: Forward, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Result]:
    """The sum of the samples' cross-entropies, a scalar, and what ``_losses`` returns."""
    losses, logits = _losses(forward, params, x, y)
    return losses.sum(), (losses, logits)


def _with_gradient(forward: Forward, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each sample's input gradient, followed back to the parameters, its cross-entropy (N,), and the logits."""
    g, (losses, logits) = torch.func.grad(lambda inputs: _summed(forward, params, inputs, y), has_aux=True)(x)
    return g, losses, logits


def _loss_and_gradient(forward: Forward, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Each sample's input gradient, held constant, and the mean loss, from one pass forward and one back.

    The pass back gives the gradients G of the parameters as well, and the loss is returned as a constant plus
    <params, G> minus its own value: its value and gradient are right, and nothing is left to go back through.
    """
    frozen = {name: value.detach() for name, value in params.items()}
    (slopes, g), (value, _) = gradients(lambda at: _summed(forward, at[0], at[1], y), (frozen, x))
    # dot: the product of all weights is not written to memory
    products = [torch.dot(params[name].flatten(), slope.detach().flatten()) for name, slope in slopes.items()]
    product = torch.stack(products).sum()
    return g.detach(), (value.detach() + (product - product.detach())) / len(x)


def _mixed(forward: Forward, params: Params, x: Tensor, y: Tensor, s: Tensor, alpha: Strength) -> Result:
    loss, logits = plain(forward, params, x + s, y)
    if _mixes(alpha):
        loss = alpha * plain(forward, params, x, y)[0] + (1 - alpha) * loss
    return loss, logits


def _one_or_two(**settings: int) -> None:
    for name, value in settings.items():
        if value not in (1, 2):
            raise ValueError(f"{name} must be 1 or 2, got {value}")


def _mixes(alpha: Strength) -> bool:
    """Whether the unperturbed loss counts, that is alpha may differ from 0; what a tensor holds is not looked at."""
    return isinstance(alpha, Tensor) or alpha != 0


def _start(draw: Tensor | None, start: float, eps: Strength) -> Tensor | float:
    if not start:
        return 0.0
    if draw is None:
        raise ValueError("a random start needs draw, a tensor like x in the unit p-ball")
    return start * eps * draw


def _scaled(draw: Tensor, p: float, eps: Strength) -> Tensor:
    length = norm(draw, p)
    return eps * draw / torch.where(length > 0, length, 1).view(-1, *[1] * (draw.ndim - 1))
