"""Every objective of the family with settings of its own, on a small smooth network."""

import math

import torch
import torch.nn.functional as F

from gradreg import registry
from gradreg.objectives.ascent import EXACT_PROJECTIONS
from gradreg.objectives.binding import bind
from gradreg.sampling import draw

GENERATOR = torch.Generator().manual_seed(0)
W = torch.randn(3, 6, generator=GENERATOR, dtype=torch.float64)
V = torch.randn(6, 4, generator=GENERATOR, dtype=torch.float64)
PARAMS = {"w": W, "v": V}
X = torch.rand(5, 4, generator=GENERATOR, dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 1, 0])
DRAW = draw("ball", X.shape, GENERATOR, 2.0).double()
NORMS = [1.0, 1.5, 2.0, 3.0, math.inf]
EVERY = {
    "plain": {},
    "noise": {"distribution": "gaussian"},
    "noise-half": {"kind": "noise", "distribution": "sign", "alpha": 0.5},
    "perturb": {},
    "perturb-half": {"kind": "perturb", "alpha": 0.5},
    "perturb-through": {"kind": "perturb", "differentiate": True},
    "perturb-through-half": {"kind": "perturb", "differentiate": True, "alpha": 0.5},
    "perturb-start": {"kind": "perturb", "start": 2.0},
    "perturb-clipped": {"kind": "perturb", "box": "clipped", "start": 2.0, "alpha": 0.5},
    "perturb-exact": {"kind": "perturb", "box": "exact"},
    "perturb-exact-half": {"kind": "perturb", "box": "exact", "alpha": 0.5},
    "penalty": {},
    "penalty-squared": {"kind": "penalty", "power": 2},
    "finite-difference": {"kind": "finite_difference", "h": 0.1},
    "finite-difference-squared": {"kind": "finite_difference", "h": 0.1, "power": 2},
    "finite-difference-central": {"kind": "finite_difference", "h": 0.1, "order": 2},
    "finite-difference-central-squared": {"kind": "finite_difference", "h": 0.1, "order": 2, "power": 2},
    "adversarial": {"steps": 3},
    "adversarial-half": {"kind": "adversarial", "steps": 2, "alpha": 0.5},
    "adversarial-start": {"kind": "adversarial", "steps": 2, "start": 0.5},
    "adversarial-direction": {"kind": "adversarial", "steps": 1, "start": 1.0, "direction": 2.0, "step": 0.5},
    "alignment": {"weight": 0.3},
    "curvature": {"h": 0.1},
    "virtual": {"h": 0.1, "weight": 0.7},
    "trades": {"steps": 2, "weight": 2.0, "start": 0.5},
    "trades-one-step": {"kind": "trades", "steps": 1, "weight": 2.0, "start": 0.5},
    "sam": {},
    "worst-norm": {"kind": "worst_norm"},
    "worst-norm-steps": {"kind": "worst_norm", "steps": 3, "alpha": 0.5},
    "average-norm": {"kind": "average_norm", "alpha": 0.5},
    "average-norm-steps": {"kind": "average_norm", "steps": 2},
    "random-norm": {"kind": "random_norm"},
    "random-norm-steps": {"kind": "random_norm", "steps": 3},
    "curvature-sign": {"kind": "curvature", "h": 0.1, "direction": "sign"},
}


def smooth(params, x):
    """A net with one smooth hidden layer."""
    return torch.tanh(x @ params["v"].T) @ params["w"].T


def bound(name, p):
    settings = {"kind": name} | EVERY[name]
    if settings["kind"] == "adversarial" and p not in EXACT_PROJECTIONS:
        for key in ("start", "step", "direction"):
            settings.pop(key, None)
    if settings["kind"] == "trades" and p not in EXACT_PROJECTIONS:
        p = 2.0  # others it refuses
    if registry.several_norms(settings["kind"]):
        return TwoNorms(settings, 2.0 if settings.get("steps", 1) > 1 and p not in EXACT_PROJECTIONS else p)
    return bind(**settings, p=None if name == "plain" else p)


class TwoNorms:
    """An objective in two norms together: p, and inf, which is the worst for some samples only."""

    def __init__(self, settings, p):
        self.objective = bind(**settings, p=(p, math.inf))
        self.settings = self.objective.settings

    def __call__(self, forward, params, x, y, eps, draw):
        return self.objective(forward, params, x, y, [eps, 0.6 * eps], draw.abs().clamp(max=0.999))


def value(name, p, params=PARAMS, eps=0.2):
    return bound(name, p)(smooth, params, X, Y, eps, DRAW)[0]


def losses(params=PARAMS, x=X):
    return F.cross_entropy(smooth(params, x), Y, reduction="none")
