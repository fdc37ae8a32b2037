"""Images per second of each attack, on a dense maxout network trained with p = 2; images that are answered rightly."""

import functools
import tempfile
from pathlib import Path
from typing import Any

import torch

from bench import jobs
from bench.common import in_turn, shown, summary, table, timed
from gradreg import registry
from gradreg.attacks.calls import batched
from gradreg.data import splits as arrays
from gradreg.device import wait_for
from gradreg.evaluation.measure import wrong
from gradreg.models import checkpoint

EPS = {1.0: 12.0, 2.0: 1.5, float("inf"): 0.15}
BATCH = 500
SLOW = 1000  # gradients of an image, about, above which fewer images are attacked


def measure(device: torch.device, rounds: int, images: int) -> dict[str, Any]:
    """Per attack and norm: images per second, and the share that was led astray."""
    jobs.prepare()
    with tempfile.TemporaryDirectory() as folder:
        jobs.train(Path(folder), jobs.settings(20000, 2), [0], torch.device("cpu"))
        network = checkpoint.load(Path(folder) / "seed-0" / "model.safetensors", device)
    split = arrays.load(jobs.MNIST, "test").first(4 * images).to(device)
    x, y = split.pixels(), split.labels
    right = ~wrong(network, x, y)
    x, y = x[right][:images], y[right][:images]
    kinds = {kind: own for kind, own in registry.section("attacks").items() if not own.get("package")}
    found, ways = {}, {}
    for kind, own in kinds.items():
        count = images // 10 if own.get("gradients", 0) >= SLOW else images
        extra = {"steps": 20} if kind == "multi_step" else {}
        for p, eps in EPS.items():
            attack = functools.partial(registry.function("attacks", kind), network, p=p, eps=eps, **extra)
            moved = batched(attack, x[:count], y[:count], BATCH)
            found[kind, p] = {"images": count, "error": wrong(network, moved, y[:count]).double().mean().item()}
            ways[kind, p] = functools.partial(_seconds, attack, x[:count], y[:count], device)
    seconds = in_turn(ways, rounds, warm=0)
    for key, own in found.items():
        own["images/s"] = summary([own["images"] / value for value in seconds[key]])
    rows = []
    for kind in kinds:
        row: list[object] = [kind.replace("_", "-")]
        for p in EPS:
            own = found[kind, p]
            row += [shown(own["images/s"], 0), f"{100 * own['error']:.0f}"]
        rows.append(row)
    head = ["attack", *(f"L{p:g} {what}" for p in EPS for what in ("images/s", "error, %"))]
    print(f"\nAttacks on {images} images (a tenth for the slow ones):\n{table(head, rows)}", flush=True)
    return {f"{kind}, L{p:g}": own for (kind, p), own in found.items()}


def _seconds(attack: Any, x: torch.Tensor, y: torch.Tensor, device: torch.device) -> float:
    wait_for(device)
    return timed(lambda: (batched(attack, x, y, BATCH), wait_for(device)))
