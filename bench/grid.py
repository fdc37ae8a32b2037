"""The dense MNIST grid on one device: 16 points (p, eps), ten seeds each, in one process, point after point.

python -m bench.grid --device cuda --minutes 9 --out results/bench/grid.json

Resumable: points that the file has are left out, and none is begun after so many minutes. Each point holds the test
errors of its seeds and its seconds; the networks themselves are not kept.
"""

import argparse
import functools
import json
import time
from pathlib import Path

import torch

from bench import jobs
from bench.common import machine, summary
from gradreg import device
from gradreg.data import splits as arrays
from gradreg.evaluation.measure import wrong
from gradreg.planning.entries import recipe
from gradreg.planning.specs import ObjectiveSpec, TrainingSpec
from gradreg.storage.files import write_json
from gradreg.training import block as training

GRID = {1.0: [1, 2, 4, 8], 2.0: [0.5, 1, 1.5, 2], 4.0: [0.2, 0.4, 0.6, 0.8], float("inf"): [0.03, 0.05, 0.1, 0.15]}
TRAIN = {"batch_size": 128, "lr": 0.2, "max_norm": 1.9365, "eps_warmup": 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.grid", description=__doc__)
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    parser.add_argument("--out", default=Path("results/bench/grid.json"), type=Path, help="JSON file")
    parser.add_argument("--minutes", default=9.0, type=float, help="after which no point is begun")
    parser.add_argument("--seeds", default=10, type=int)
    parser.add_argument("--epochs", default=100, type=int)
    parser.add_argument("--images", default=60000, type=int, help="training images")
    parser.add_argument("--precision", default="float32", choices=("float32", "tf32", "bfloat16"))
    args = parser.parse_args()
    begun = time.monotonic()
    jobs.prepare()
    train, test = arrays.held_in(jobs.MNIST, args.images), arrays.load(jobs.MNIST, "test").to(args.device)
    found = json.loads(args.out.read_text(encoding="utf-8")) if args.out.exists() else {}
    found.setdefault("machine", machine(args.device))
    settings = recipe({**TRAIN, "epochs": args.epochs, "precision": args.precision})
    points = [(p, eps) for p, grid in GRID.items() for eps in grid]
    for p, eps in points:
        name = f"p = {p:g}, eps = {eps:g}, {args.precision}"
        if name in found or time.monotonic() - begun > 60 * args.minutes:
            continue
        spec = TrainingSpec(jobs.MODEL, ObjectiveSpec("perturb", p=p, eps=eps), settings)
        start, said = time.perf_counter(), []
        replicas = training.train_block(range(args.seeds), train, None, spec, args.device, say=said.append)
        device.wait_for(args.device)
        seconds = time.perf_counter() - start
        errors = [_error(replica.parameters, test) for replica in replicas]
        found[name] = {"seconds": seconds, "errors": errors, "epochs": args.epochs, "images": args.images, "how": said}
        write_json(args.out, found)
        print(f"{name}: {summary(errors)['median']:.2f} % (median), {seconds:.1f} s; {'; '.join(said)}", flush=True)
    done = [own for name, own in found.items() if name.endswith(args.precision)]
    print(f"{len(done)} of {len(points)} points, {sum(own['seconds'] for own in done):.0f} s in all")


def _error(parameters: dict[str, torch.Tensor], test: arrays.Split) -> float:
    network = jobs.network().to(test.labels.device).eval()
    forward = functools.partial(torch.func.functional_call, network, parameters)
    return 100 * wrong(forward, test.pixels(), test.labels).double().mean().item()


if __name__ == "__main__":
    main()
