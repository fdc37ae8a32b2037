"""Train one block of seeds of a run; writes a folder per cell."""

import argparse
import hashlib
import json
import platform
import sys
import time
from pathlib import Path

import torch

from gradreg import cli, device, registry
from gradreg.data import splits
from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.planning import machine
from gradreg.planning.specs import TrainingSpec, to_json
from gradreg.storage import metrics
from gradreg.storage.files import write_json
from gradreg.training import block
from gradreg.training.checkpoints import Resume
from gradreg.training.progress import EpochProgress, say
from gradreg.training.replicas import Replica


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument(
        "--settings", required=True, type=json.loads, help="JSON: run (its names), training (its settings), registered"
    )
    parser.add_argument("--cells", required=True, nargs="+", type=Path, help="folders that end in seed-N")
    parser.add_argument("--whitening", type=Whitening.load, help="file of the whitening, where the network has one")
    parser.add_argument("--resume", type=Path, help="folder for states of training, where it goes on from")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    args = parser.parse_args()
    spec, run, start = TrainingSpec.of(args.settings["training"]), args.settings["run"], time.monotonic()
    if spec.watch:
        registry.function("attacks", spec.watch.attack["kind"])  # loaded now, its code counts in the key of states
    seeds = [int(cell.name.removeprefix("seed-")) for cell in args.cells]
    train = splits.held_in(args.data, spec.n_train, spec.skip)
    held_out = splits.held_out(args.data, spec.n_validation) if spec.n_validation else None
    title = f"{run['dataset']} {run['model']} {run['objective']} p={run['p']} eps={run['eps']} seeds {seeds}"
    try:
        block.check(train, spec, args.whitening, args.device)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    progress = EpochProgress(title, spec.recipe.epochs)
    resume = Resume(args.resume, key(args), say) if args.resume else None
    try:
        with cli.interruptible():
            replicas = block.train_block(
                seeds, train, held_out, spec, args.device, args.whitening, progress, say, resume
            )
    except block.TooLargeError as error:
        sys.exit(f"Error: {error}")
    except cli.Interrupted as interruption:
        print(f"Interrupted by {interruption}; {save(resume)}", file=sys.stderr)
        sys.exit(interruption.code)

    about = {
        "training": json.loads(to_json(spec)),
        "whitening": args.whitening.digest if args.whitening else None,
        "device": torch.cuda.get_device_name() if args.device.type == "cuda" else "cpu",
        "seconds_of_block": round(resume.seconds if resume else time.monotonic() - start, 1),
        "seeds_of_block": seeds,
        "versions": {"gradreg": machine.commit(), "torch": torch.__version__, "python": platform.python_version()},
    }
    shape = tuple(train.images.shape[1:])
    for cell, replica in zip(args.cells, replicas, strict=True):
        checkpoint.save(
            cell / "model.safetensors", replica.parameters, spec.model, shape, train.classes, args.whitening
        )
        metrics.write(cell / "history.csv", [{**run, "seed": replica.seed, **row} for row in replica.history])
        write_json(cell / "train.json", {"cell": {**run, "seed": replica.seed}, **record(replica), **about})


def record(replica: Replica) -> dict[str, object]:
    """What became of one replica."""
    return {
        "status": "trained" if replica.diverged is None else "diverged",
        "diverged_in_epoch": replica.diverged,
        "epochs": len(replica.history),
        "best_epoch": replica.best_epoch,
        "epochs_of_retraining": replica.retrained,
        "weights": checkpoint.digest(replica.parameters),
    }


def save(resume: Resume | None) -> str:
    """Write what is not written yet, and say in words what is saved."""
    if resume is None:
        return "nothing is saved without --resume"
    resume.write()
    if resume.unwritten:
        return f"training could not be saved ({resume.failure})"
    if resume.held:
        return f"training is saved in {resume.folder}, and the next run goes on from there"
    return "no epoch was finished that could be saved"


def key(args: argparse.Namespace) -> str:
    """The hash of all that a state of training depends on beside its seeds; the code is the code that is loaded."""
    about = [args.settings, args.whitening and args.whitening.digest, torch.__version__]
    about.append(torch.cuda.get_device_name() if args.device.type == "cuda" else "cpu")  # results differ in rounding
    state = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    loaded = [module.__file__ for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "gradreg"]
    for file in (__file__, *loaded):
        state.update(hashlib.sha256(Path(str(file)).read_bytes()).digest())
    return state.hexdigest()


if __name__ == "__main__":
    cli.run(main)
