"""Random directions, drawn from a generator that the caller passes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gradreg.norms import dual_exponent, norm

DISTRIBUTIONS = ("gaussian", "uniform", "sign", "ball", "shared")


def draw(distribution: str, shape: Sequence[int], generator: torch.Generator, p: float = math.inf) -> Tensor:
    """A random tensor of ``shape`` (N, ...) on the generator's device.

    gaussian: entries from N(0, 1); uniform: entries uniform in [-1, 1]; sign: entries -1 or 1 with equal probability;
    ball: samples uniform in the unit ball of the p-norm; shared: one number uniform in [0, 1), of shape (1, ...), for
    all samples. Raises ValueError for another distribution, or for ball unless 1 <= p <= inf.
    """
    if distribution == "gaussian":
        return torch.randn(shape, generator=generator, device=generator.device)
    if distribution == "uniform":
        return torch.rand(shape, generator=generator, device=generator.device) * 2 - 1
    if distribution == "sign":
        return torch.randint(0, 2, shape, generator=generator, device=generator.device).float() * 2 - 1
    if distribution == "shared":
        return torch.rand([1] * len(shape), generator=generator, device=generator.device)
    if distribution == "ball":
        return _in_ball(shape, generator, p)
    raise ValueError(f"no distribution {distribution!r}; there are {', '.join(DISTRIBUTIONS)}")


def _in_ball(shape: Sequence[int], generator: torch.Generator, p: float) -> Tensor:
    """Uniform in the p-ball: z / (sum |z_i|^p + e)^(1/p), e ~ Exp(1), z_i of density proportional to exp(-|z|^p).

    Barthe et al., "A probabilistic approach to the geometry of the l_p^n-ball", Ann. Probab. 2005. |z_i| is drawn as
    u * gamma^(1/p) with u uniform and gamma ~ Gamma(1 + 1/p), which is well conditioned for all p; it is u at p = inf.
    """
    dual_exponent(p)  # raises for an invalid p
    if p == 2:  # the same distribution, drawn much faster: exp(-|z|^2) is a Gaussian
        z = draw("gaussian", shape, generator).flatten(1) * math.sqrt(0.5)
    else:
        sign = draw("uniform", shape, generator)
        if math.isinf(p):
            return sign
        gamma = torch._standard_gamma(torch.full(tuple(shape), 1 + 1 / p, device=generator.device), generator=generator)
        z = (sign * gamma.pow(1 / p)).flatten(1)
    exponential = torch.empty(len(z), 1, device=generator.device).exponential_(generator=generator)
    length = norm(torch.cat([z, exponential.pow(1 / p)], 1), p)
    return (z / length.unsqueeze(1)).view(tuple(shape))
