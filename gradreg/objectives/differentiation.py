"""Gradients of the loss with respect to images, held constant or followed back to the parameters."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

Params = Mapping[str, Tensor]
Forward = Callable[[Params, Tensor], Tensor]
Result = tuple[Tensor, Tensor]
Strength = float | Tensor
CHANGES_ITSELF = (
    "the network changes a tensor of its own in a pass, as batch normalisation in training mode does with its running "
    "statistics; take forward = gradreg.forward_of(network) for each step"
)


_BY_AUTOGRAD = ContextVar("by_autograd", default=False)


@contextmanager
def by_autograd() -> Iterator[None]:
    """In the block, ``gradients`` are taken by ``torch.autograd``, not by ``torch.func``: the same, but for less.

    A step of a small dense network takes 0.7 of the time, and the compiler, which ``torch.func`` imports in a second or
    two, is not needed. Second derivatives stay with ``torch.func``: for residual networks ``torch.autograd`` takes 1.3
    times as long. Only where no transform of ``torch.func`` and no compiler is around, and for networks that do
    not change in a pass: ``torch.func`` refuses those, ``torch.autograd`` does not see them.
    """
    token = _BY_AUTOGRAD.set(True)
    try:
        yield
    finally:
        _BY_AUTOGRAD.reset(token)


def losses(forward: Forward, params: Params, x: Tensor, y: Tensor) -> Result:
    """Each sample's cross-entropy (N,), and the logits."""
    logits = forward(params, x)
    return F.cross_entropy(logits, y, reduction="none"), logits


def input_gradient(forward: Forward, params: Params, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of each sample's cross-entropy with respect to that sample, the shape of x.

    The parameters are held constant: nothing of this pass is recorded for their gradients.
    """
    frozen = {name: value.detach() for name, value in params.items()}
    g: Tensor = gradients(lambda inputs: summed(forward, frozen, inputs, y), x)[0]
    return g.detach()


def gradients(function: Callable[[Any], tuple[Tensor, Any]], at: Any) -> tuple[Any, tuple[Tensor, Any]]:
    """``torch.func.grad_and_value(function, has_aux=True)(at)``, but the gradients cannot be differentiated in turn.

    So nothing is kept for that, and layers use formulas of their own (group normalisation, smooth activations) instead
    of ones that can be differentiated. ``function(at)`` returns a scalar and something more; ``at`` is a tensor, or
    mappings and tuples of them. Returns gradients like ``at``, and what the function returned, without their history.
    """
    if _BY_AUTOGRAD.get():
        return _gradients_by_autograd(function, at)
    vjp: Any = torch.func.vjp  # typed without has_aux
    value, back, more = vjp(function, at, has_aux=True)
    (slopes,) = back(torch.ones_like(value), retain_graph=False, create_graph=False)
    return slopes, (value, more)


def _gradients_by_autograd(function: Callable[[Any], tuple[Tensor, Any]], at: Any) -> tuple[Any, tuple[Tensor, Any]]:
    leaves, structure = tree_flatten(at)
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    with torch.enable_grad():
        value, more = function(tree_unflatten(leaves, structure))
    if value.requires_grad:
        slopes = list(torch.autograd.grad(value, leaves, materialize_grads=True, allow_unused=True))
    else:
        slopes = [torch.zeros_like(leaf) for leaf in leaves]
    return tree_unflatten(slopes, structure), (value.detach(), tree_map(torch.Tensor.detach, more))


def with_gradient(forward: Forward, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each sample's input gradient, followed back to the parameters, its cross-entropy (N,), and the logits."""
    g, (losses, logits) = torch.func.grad(lambda inputs: summed(forward, params, inputs, y), has_aux=True)(x)
    return g, losses, logits


def loss_and_gradient(forward: Forward, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Each sample's input gradient, held constant, and the mean loss, from one pass forward and one back.

    The pass back gives the gradients G of the parameters as well, and the loss is returned as a constant plus
    <params, G> minus its own value: its value and gradient are right, and nothing is left to go back through.
    """
    frozen = {name: value.detach() for name, value in params.items()}
    (slopes, g), (value, _) = gradients(lambda at: summed(forward, at[0], at[1], y), (frozen, x))
    # dot: the product of all weights is not written to memory
    products = [torch.dot(params[name].flatten(), slope.detach().flatten()) for name, slope in slopes.items()]
    product = torch.stack(products).sum()
    return g.detach(), (value.detach() + (product - product.detach())) / len(x)


def least_length(g: Tensor) -> float:
    """The least length of gradients g at which the derivative of their direction, of order 1 / length, is finite."""
    return 1e8 * torch.finfo(g.dtype).tiny


def summed(forward: Forward, params: Params, x: Tensor, y: Tensor) -> tuple[Tensor, Result]:
    """The sum of the samples' cross-entropies, a scalar, and what ``losses`` returns."""
    try:
        each, logits = losses(forward, params, x, y)
    except RuntimeError as error:
        if "mutate a captured Tensor" not in str(error):
            raise
        raise RuntimeError(CHANGES_ITSELF) from None
    return each.sum(), (each, logits)
