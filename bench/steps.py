"""The cost of a training step: of each objective on each network, in plain steps, beside what it must cost at least.

F is the forward pass, F1 that of the first layer with weights; a pass back to the inputs costs F, one to the weights F
as well. Counted are products of matrices and convolutions only, and each objective's bound is that of its formula.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.common import DENSE, in_turn, ratios, shown, summary, table, timed
from gradreg import registry
from gradreg.data.splits import Split
from gradreg.device import wait_for
from gradreg.models.checkpoint import build
from gradreg.planning.entries import recipe
from gradreg.planning.specs import ModelSpec, ObjectiveSpec, TrainingSpec
from gradreg.training.replicas import Stack

BATCH = 128
CIFAR = ("residual",)  # the others see MNIST
SLOW = ("convolutional maxout", "residual")  # one step a round
MODELS: dict[str, dict[str, Any]] = {
    "dense maxout": DENSE,
    "dense maxout, 100 units": DENSE | {"units": [100, 100], "pieces": 4, "init": 0.05},
    "sigmoid": {"kind": "sigmoid_mlp", "units": [800, 800]},
    "convolutional maxout": {
        "kind": "conv_maxout",
        "channels": [48, 48, 24],
        "pieces": [2, 2, 4],
        "kernels": [8, 8, 5],
        "padding": [0, 3, 3],
        "pool": [4, 4, 2],
        "stride": [2, 2, 2],
        "init": 0.05,
    },
    "residual": {"kind": "preact_resnet", "width": 16, "blocks": [1, 1, 1], "groups": 4},
}
# The bound of a step is a F + b F1; None: no simple one.
OBJECTIVES: dict[str, tuple[dict[str, Any], tuple[int, int] | None]] = {
    "plain": ({"kind": "plain"}, (3, -1)),
    "noise": ({"kind": "noise", "distribution": "gaussian"}, (3, -1)),
    "perturb": ({"kind": "perturb"}, (5, -1)),
    "perturb, mixed": ({"kind": "perturb", "alpha": 0.5}, (6, -1)),
    "perturb, random start": ({"kind": "perturb", "start": 1.0}, (5, -1)),
    "perturb, differentiated": ({"kind": "perturb", "differentiate": True}, None),
    "penalty": ({"kind": "penalty"}, (6, -1)),
    "penalty, squared": ({"kind": "penalty", "power": 2}, (6, -1)),
    # How much the clean loss of an image counts is known only after the pass ahead, so it is gone back through twice.
    "difference": ({"kind": "finite_difference", "h": 0.01, "power": 2}, (7, -2)),
    "difference, central": ({"kind": "finite_difference", "h": 0.01, "order": 2}, (9, -2)),
    "adversarial, 3 steps": ({"kind": "adversarial", "steps": 3}, (9, -1)),
    "curvature": ({"kind": "curvature", "h": 0.05}, None),
    "alignment": ({"kind": "alignment", "weight": 0.2}, None),
    "virtual": ({"kind": "virtual", "h": 0.1}, None),
    "trades, 3 steps": ({"kind": "trades", "steps": 3}, None),
    "sam": ({"kind": "sam"}, (6, -2)),
    "worst of three norms": ({"kind": "worst_norm"}, (5, -1)),
    "one of three norms": ({"kind": "random_norm"}, (5, -1)),
    "mean of three norms": ({"kind": "average_norm"}, (11, -3)),
}
AT_ONE_P = [label for label, (objective, _) in OBJECTIVES.items() if not registry.several_norms(objective["kind"])]


def measure(device: torch.device, rounds: int, only: set[str] | None = None) -> dict[str, Any]:
    """Per network: F1 / F, images per second of a plain step, and per objective and p its cost and its bound."""
    found = {}
    for name, model in MODELS.items():
        if only is None or name in only:
            found[name] = _network(name, model, device, rounds)
            print(_shown(name, found[name]), flush=True)
    return found


def _network(name: str, model: dict[str, Any], device: torch.device, rounds: int) -> dict[str, Any]:
    first, whole = _products(model, _shape(name))
    wanted = [(label, 2.0, "float32") for label in OBJECTIVES]
    if name.startswith("dense"):
        wanted += [(label, float("inf"), "float32") for label in AT_ONE_P if label != "plain"]
    modes = ["bfloat16", *(["tf32"] if device.type == "cuda" else [])]
    modes += [] if name in SLOW else ["float32, compiled", "bfloat16, compiled"]
    wanted += [(label, 2.0, mode) for mode in modes for label in ("plain", "perturb")]
    steps = {key: _steps(name, model, *key, device) for key in wanted}
    unit = steps["plain", 2.0, "float32"]
    # A plain step before each: an interruption of the machine spoils one ratio, not all of its round.
    pairs = in_turn({key: functools.partial(_both, unit, own) for key, own in steps.items()}, rounds)
    costs = {}
    for label, p, precision in wanted:
        plain, own = zip(*pairs[label, p, precision], strict=True)
        ways = OBJECTIVES[label][1]
        costs[f"{label}, p = {p:g}, {precision}"] = {
            "objective": label,
            "p": f"{p:g}",
            "precision": precision,
            "cost": ratios(own, plain),
            "bound": bound(ways, first, whole) if ways else None,
            "images_per_second": BATCH / summary(own)["median"],
        }
    plain = [unit for own in pairs.values() for unit, _ in own]
    return {"share": first / whole, "plain step, ms": _milliseconds(plain), "costs": costs}


def _both(unit: Callable[[], float], own: Callable[[], float]) -> tuple[float, float]:
    return unit(), own()


def bound(ways: tuple[int, int], first: float, whole: float) -> float:
    """The least cost of a step of a F + b F1, in plain steps."""
    a, b = ways
    return (a * whole + b * first) / (3 * whole - first)


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return summary([1000 * value for value in seconds])


def _shape(name: str) -> tuple[int, int, int]:
    return (3, 32, 32) if name in CIFAR else (1, 28, 28)


def _products(model: dict[str, Any], shape: tuple[int, ...]) -> tuple[float, float]:
    """Arithmetic of the first layer with weights, and of all, for one image."""
    network = build(ModelSpec.of(model), shape, 10).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, *shape))
    counts = [
        sum(own.values())
        for name, own in counter.get_flop_counts().items()
        if name != "Global" and not any(other.startswith(f"{name}.") for other in counter.get_flop_counts())
    ]
    return counts[0], counter.get_total_flops()


def _steps(
    name: str, model: dict[str, Any], label: str, p: float, precision: str, device: torch.device
) -> Callable[[], float]:
    """A function that makes some steps and returns the seconds of one."""
    objective = OBJECTIVES[label][0]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4 * BATCH, *_shape(name)), generator=generator, dtype=torch.uint8)
    data = Split(images, torch.randint(0, 10, (len(images),), generator=generator), 255, 10).to(device)
    strength: dict[str, Any] = {} if objective["kind"] == "plain" else {"p": p, "eps": 0.01}
    if label not in AT_ONE_P:
        strength = {"p": [1, 2, math.inf], "eps": [0.01] * 3}
    cap = {"max_norm": 1.9365} if "maxout" in model["kind"] else {}
    steps = (1 if name in SLOW else 20) * (10 if device.type == "cuda" else 1)
    how = {"precision": precision.split(",")[0], "compile": "compiled" in precision}
    # Images that are learnt by heart have denormal gradients: a tiny rate.
    settings = recipe({"min_steps": steps, "epochs": 10**6, "lr": 1e-6, **how, **cap})
    spec = TrainingSpec(ModelSpec.of(model), ObjectiveSpec.of(objective | strength), settings)
    stack = Stack([0], data.first(BATCH * min(4, steps)), None, spec)

    def seconds() -> float:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        wait_for(stack.device)
        return timed(lambda: (stack.descend(1), wait_for(stack.device))) / stack.batches.steps

    return seconds


def _shown(name: str, own: Mapping[str, Any]) -> str:
    costs = own["costs"]
    rows = []
    for label, (_, bound) in OBJECTIVES.items():
        at = {p: costs.get(f"{label}, p = {p}, float32") for p in ("2", "inf")}
        base = at["2"]
        least = f"{base['bound']:.2f}" if bound else "–"
        cells = [shown(cost["cost"]) if cost else "" for cost in at.values()]
        rows.append([label, least, *cells, f"{base['images_per_second']:.0f}"])
    for cost in costs.values():
        if cost["precision"] != "float32":
            cells = [shown(cost["cost"]), "", f"{cost['images_per_second']:.0f}"]
            rows.append([f"{cost['objective']}, {cost['precision']}", "–", *cells])
    head = ["objective", "at least", "p = 2", "p = inf", "images/s (p = 2)"]
    about = f"a plain step of {BATCH} images takes {shown(own['plain step, ms'])} ms; F1 / F = "
    return f"\n{name}: {about}{own['share']:.2f}\n{table(head, rows)}"
