"""What the gradient and the curvature at an image say of the nearest error, and of the image itself.

Inputs are (N, ...) in [0, 1] with labels (N,); a network is any callable from inputs to logits, in evaluation mode. The
estimates look at one point and bound nothing: the network may bend differently a little further on.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from gradreg.attacks.gradients import Network, gap
from gradreg.norms import dual_exponent, norm

POWER_STEPS = 10  # of the power iteration
PARTS, MATTERS = 10, 1e-3  # of the pixels; of the largest effect that a part has
Batched = Callable[[Callable[[Tensor, Tensor], Tensor], Tensor, Tensor], Tensor]


def alignment(network: Network, x: Tensor) -> Tensor:
    """|cos| of the angle between each image and the gradient of its largest logit, (N,); 0 where that vanishes.

    The alignment of Etmann et al. 2019 (|<x, g>| / norm(g)) over the length of the image, so that it lies in [0, 1].
    """
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        gradient = torch.autograd.grad(network(inputs).amax(1).sum(), inputs)[0].flatten(1).double()
    flat = x.flatten(1).double()
    lengths = gradient.norm(dim=1) * flat.norm(dim=1)
    return torch.where(lengths > 0, (gradient * flat).sum(1).abs() / lengths, 0.0)


def distances(
    network: Network, x: Tensor, y: Tensor, norms: Iterable[float], batched: Batched
) -> dict[float, dict[str, Tensor]]:
    """Estimated distances (N,) to the nearest error, by p and kind of estimate; 0 where the answer is wrong.

    With the gap z_y - max over k != y of z_k, its gradient g and q the dual exponent of p: ``gradient_estimate`` is
    gap / norm(g, q), where a linear network has its boundary. ``curvature_estimate``, for p = 2 only, is the root t of
    gap = norm(g) t + c t^2 / 2, with c the largest |eigenvalue| of the gap's Hessian at x, by ten steps of power
    iteration: the distance at which a loss of that curvature all over could reach the boundary first (the form of the
    bounds of Finlay and Oberman 2021, which hold where c does for all points).
    """
    gaps = batched(lambda a, b: gap(network(a), b).detach(), x, y).double().clamp(min=0)
    gradient = batched(lambda a, b: _gap_gradient(network, a, b), x, y).double()
    estimated = {}
    for p in norms:
        length = norm(gradient, dual_exponent(p))
        first = torch.where(length > 0, gaps / length, math.inf)
        estimated[p] = {"gradient_estimate": torch.where(gaps > 0, first, 0.0)}
        if p == 2:
            curvature = batched(lambda a, b: _curvature(network, a, b), x, y).double()
            # gap / (g/2 + sqrt(g^2 + 2 c gap)/2): the root in a form that loses no digits where c is small.
            root = 2 * gaps / (length + (length.square() + 2 * curvature * gaps).sqrt())
            estimated[p]["curvature_estimate"] = torch.where(gaps > 0, root, 0.0)
    return estimated


def explained(network: Network, x: Tensor, y: Tensor, batched: Batched) -> float:
    """How well the gradient knows the least known tenth of the pixels, against the best known: from 0 to about 1.

    The pixels are sorted by the mean |gradient| of the gap over the images, and each tenth in turn is replaced by
    random values. How well it is known is the mean |<gradient, change>| over the mean |change of the gap|. Tenths that
    change the gap by less than MATTERS of the most do not count. 1 where none changes it.
    """
    gradient = batched(lambda a, b: _gap_gradient(network, a, b), x, y).double().flatten(1)
    before = batched(lambda a, b: gap(network(a), b).detach(), x, y).double()
    generator = torch.Generator(x.device).manual_seed(0)
    known = []
    for part in gradient.abs().mean(0).argsort().tensor_split(PARTS):
        moved = x.flatten(1).clone()
        moved[:, part] = torch.rand(len(x), len(part), generator=generator, device=x.device)
        predicted = (gradient * (moved - x.flatten(1))).sum(1).abs().mean().item()
        after = batched(lambda a, b: gap(network(a), b).detach(), moved.view_as(x), y).double()
        known.append((predicted, (after - before).abs().mean().item()))
    most = max(effect for _, effect in known)
    shares = [predicted / effect for predicted, effect in known if effect > MATTERS * most]
    return 1.0 if not shares else min(shares) / max(shares) if max(shares) > 0 else 0.0


def _gap_gradient(network: Network, x: Tensor, y: Tensor) -> Tensor:
    inputs = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(gap(network(inputs), y).sum(), inputs)[0]


def _curvature(network: Network, x: Tensor, y: Tensor) -> Tensor:
    """The largest |eigenvalue| (N,) of the Hessian of each sample's gap, from a fixed start."""
    inputs = x.detach().clone().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(x.shape[1:], generator=generator).to(x).expand_as(x)
    size = torch.zeros(len(x), device=x.device)
    with torch.enable_grad():
        gradient = torch.autograd.grad(gap(network(inputs), y).sum(), inputs, create_graph=True)[0]
        for _ in range(POWER_STEPS):
            v = v / _per_sample(v.flatten(1).norm(dim=1).clamp(min=torch.finfo(v.dtype).tiny), x)
            (v,) = torch.autograd.grad(gradient, inputs, v, retain_graph=True, materialize_grads=True)
            size = v.flatten(1).norm(dim=1)
    return size.detach()


def _per_sample(values: Tensor, x: Tensor) -> Tensor:
    return values.view(-1, *[1] * (x.ndim - 1))
