"""Whole training jobs: blocks of replicas against processes of their own, and ours against what people use instead.

All train the dense maxout network of config/mnist.yaml on MNIST in single precision, unless they say otherwise, with
the normalised gradient of p = 2 on every image of every batch, gradient descent with Nesterov's momentum and a constant
rate, on one thread each (the loader's two workers come on top).
"""

import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.common import DENSE, ROOT, SCRIPTS, command, in_turn, ratios, shown, summary, table, timed
from gradreg.data import splits as arrays
from gradreg.evaluation.measure import wrong
from gradreg.models import checkpoint
from gradreg.planning.entries import recipe
from gradreg.planning.specs import ModelSpec, ObjectiveSpec, TrainingSpec, to_json
from gradreg.reporting.summaries import half_width

MNIST = ROOT / "results" / "data" / "mnist.npz"
EPS, BATCH, RATE, MOMENTUM = 1.0, 128, 0.05, 0.9
MODEL = ModelSpec.of(DENSE | {"init": 0.05})


def prepare() -> None:
    """Fetch MNIST, where it is not there."""
    if not MNIST.exists():
        call = [sys.executable, "-m", "snakemake", MNIST.relative_to(ROOT), "--cores", 1]
        command([*call, "--configfile", "config/mnist.yaml"])


def settings(n_train: int, epochs: int, precision: str = "float32") -> TrainingSpec:
    """The settings of a training."""
    steps = {"epochs": epochs, "batch_size": BATCH, "lr": RATE, "lr_schedule": "constant", "momentum": MOMENTUM}
    how = {"precision": precision.split(",")[0], "compile": "compiled" in precision}
    return TrainingSpec(MODEL, ObjectiveSpec("perturb", p=2.0, eps=EPS), recipe(steps, how), n_train=n_train)


def train(folder: Path, spec: TrainingSpec, seeds: list[int], device: torch.device) -> dict[str, float]:
    """Run train.py; the seconds of the process, of its epochs, and of those after the first."""
    cells = [folder / f"seed-{seed}" for seed in seeds]
    run = {
        "dataset": "mnist",
        "n_train": spec.n_train,
        "model": "maxout",
        "objective": "perturb",
        "p": "2",
        "eps": str(EPS),
    }
    call = [sys.executable, SCRIPTS / "train.py", "--data", MNIST]
    call += ["--settings", to_json({"run": run, "training": spec})]
    output = ""

    def job() -> None:
        nonlocal output
        output = command([*call, "--cells", *cells, "--device", device.type]).stdout

    whole = timed(job)
    ends = [float(line.split()[-2]) for line in output.splitlines() if " epoch " in line]
    return {"whole": whole, "epochs": ends[-1], "later": max(ends[-1] - ends[0], 0.1)}  # the log has tenths


def error(cell: Path) -> float:
    """Test error of what train.py wrote, in percent."""
    split = arrays.load(MNIST, "test")
    network = checkpoint.load(cell / "model.safetensors", torch.device("cpu"))
    return 100 * wrong(network, split.pixels(), split.labels).double().mean().item()


def blocks(device: torch.device, rounds: int, n_train: int, sizes: tuple[int, ...] = (1, 2, 5, 10)) -> dict[str, Any]:
    """One process that trains R replicas against R processes, one after another: one epoch on n_train images."""
    prepare()
    spec, outside = settings(n_train, 1), []
    with tempfile.TemporaryDirectory() as folder:

        def together(count: int) -> float:
            own = train(Path(folder), spec, list(range(count)), device)
            if count == 5:
                outside.append(own["whole"] - own["epochs"])
            return own["whole"]

        def apart(count: int) -> float:
            return sum(train(Path(folder), spec, [seed], device)["whole"] for seed in range(count))

        ways: dict[Any, Any] = {("block", r): (lambda r=r: together(r)) for r in sizes}
        ways |= {("apart", r): (lambda r=r: apart(r)) for r in sizes}
        seconds = in_turn(ways, rounds, warm=0)
    found = {
        "images": n_train,
        "outside the loop, block of 5, s": summary(outside) if outside else None,
        "replicas": {
            r: {
                "block, s": summary(seconds["block", r]),
                "apart, s": summary(seconds["apart", r]),
                "ratio": ratios(seconds["apart", r], seconds["block", r]),
            }
            for r in sizes
        },
    }
    rows = [[r, *map(shown, own.values())] for r, own in found["replicas"].items()]
    print(f"\nBlocks of replicas, one epoch on {n_train} images:", flush=True)
    print(table(["replicas", "one process, s", "a process each, s", "times as fast"], rows), flush=True)
    if outside:
        print(f"Outside its training loop a block of 5 spends {shown(found['outside the loop, block of 5, s'])} s.")
    return found


def peers(device: torch.device, rounds: int, n_train: int, epochs: int) -> dict[str, Any]:
    """Seconds of whole jobs, images per second after their first epoch, and test errors: ours, the toolbox, the usual
    loop. What a first epoch has beside its images (compiling) is in the whole job.
    """
    prepare()
    images = n_train * (epochs - 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_idx(folder / "MNIST" / "raw")
        results: dict[str, dict[str, list[float]]] = {}

        def keep(way: str, own: dict[str, float]) -> float:
            for key, value in own.items():
                results.setdefault(way, {}).setdefault(key, []).append(value)
            return own["whole"]

        def ours(precision: str) -> float:
            own = train(folder, settings(n_train, epochs, precision), [0], device)
            own = {"whole": own["whole"], "rate": images / own["later"], "error": error(folder / "seed-0")}
            return keep(f"gradreg, {precision}", own)

        def other(module: str, name: str) -> float:
            call = [sys.executable, "-m", f"bench.{module}", folder, n_train, epochs, device.type]
            output = ""

            def job() -> None:
                nonlocal output
                output = command(call).stdout

            whole = timed(job)
            own = json.loads(output.splitlines()[-1])
            return keep(name, {"whole": whole, "rate": images / own["later"], "error": own["error"]})

        ways: dict[Any, Any] = {p: (lambda p=p: ours(p)) for p in _precisions(device)}
        ways["toolbox"] = lambda: other("toolbox", "adversarial-robustness-toolbox")
        ways["loop"] = lambda: other("usual_loop", "the usual PyTorch loop")
        in_turn(ways, rounds, warm=0)
    base = results["adversarial-robustness-toolbox"]
    found = {
        way: {
            "whole job, s": summary(own["whole"]),
            "images/s": summary(own["rate"]),
            "throughput against the toolbox": ratios(own["rate"], base["rate"]),
            "test error, %": summary(own["error"]),
        }
        for way, own in results.items()
    }
    rows = [[way, *(shown(own[key], 0 if key == "images/s" else 2) for key in own)] for way, own in found.items()]
    print(f"\nWhole jobs, {epochs} epochs on {n_train} images of MNIST:")
    print(table(["", *found["gradreg, float32"]], rows), flush=True)
    return {"images": n_train, "epochs": epochs, "ways": found}


def precision(device: torch.device, seeds: int, n_train: int, epochs: int) -> dict[str, Any]:
    """Test errors of the same seeds in each precision, and the mean difference from float32 with its 95 % interval."""
    prepare()
    errors: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in _precisions(device):
            train(Path(folder), settings(n_train, epochs, name), list(range(seeds)), device)
            errors[name] = [error(Path(folder) / f"seed-{seed}") for seed in range(seeds)]
    rows = []
    for name, own in errors.items():
        gap = [a - b for a, b in zip(own, errors["float32"], strict=True)]
        width = f"{np.mean(gap):+.3f} ± {half_width(gap):.3f}" if name != "float32" else ""
        rows.append([name, f"{np.mean(own):.3f} ± {half_width(own):.3f}", width])
    print(f"\nTest error in %, {seeds} seeds, {epochs} epochs on {n_train} images:")
    print(table(["", "mean", "difference, same seeds"], rows), flush=True)
    return {"images": n_train, "epochs": epochs, "errors": errors}


def _precisions(device: torch.device) -> list[str]:
    return [
        "float32",
        "bfloat16",
        *(["tf32"] if device.type == "cuda" else []),
        "float32, compiled",
        "bfloat16, compiled",
    ]


def write_idx(folder: Path) -> None:
    """MNIST as torchvision reads it."""
    folder.mkdir(parents=True)
    for part, name in (("train", "train"), ("test", "t10k")):
        split = arrays.load(MNIST, part)
        images, labels = split.images.squeeze(1).numpy(), split.labels.numpy().astype(np.uint8)
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = np.array([2048 + values.ndim, *values.shape], dtype=">i4").tobytes()
            (folder / f"{name}-{kind}-ubyte").write_bytes(head + values.tobytes())


def network() -> torch.nn.Module:
    """The network of all jobs, with the weights of seed 0."""
    return checkpoint.build(MODEL, (1, 28, 28), 10, torch.Generator().manual_seed(0))


def share_wrong(net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Error in percent."""
    value = 100 * wrong(net.eval(), images, labels).double().mean().item()
    assert not math.isnan(value)
    return value
