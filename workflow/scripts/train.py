"""Train one block of seeds of a run; writes a folder per cell."""

import argparse
import hashlib
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from gradreg import cli as commands
from gradreg import device, registry
from gradreg.data import splits as arrays
from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.planning import numerals as labels
from gradreg.storage import metrics
from gradreg.storage.files import write_json
from gradreg.training import block as training
from gradreg.training.checkpoints import Resume
from gradreg.training.progress import EpochProgress, say


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument("--hp", required=True, type=json.loads, help="hyper-parameters, as JSON")
    parser.add_argument("--run", required=True, type=json.loads, help="the run's names and labels, as JSON")
    parser.add_argument("--cells", required=True, nargs="+", type=Path, help="folders that end in seed-N")
    parser.add_argument("--whitening", type=Whitening.load, help="file of the whitening, where the network has one")
    parser.add_argument("--resume", type=Path, help="folder for the states of training; what it holds is gone on from")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    args = parser.parse_args()
    hp, start = args.hp, time.monotonic()
    seeds = [int(cell.name.removeprefix("seed-")) for cell in args.cells]
    train = arrays.held_in(args.data, hp["n_train"], hp["skip"])
    held_out = arrays.held_out(args.data, hp["n_validation"]) if hp["n_validation"] else None
    objective = labels.numbers(hp["objective"])
    run = args.run
    title = f"{run['dataset']} {run['model']} {run['objective']} p={run['p']} eps={run['eps']} seeds {seeds}"
    hp_numbers = hp | {"objective": objective}
    try:
        training.check(train, hp_numbers, args.whitening, args.device)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    progress = EpochProgress(title, hp["train"]["epochs"])
    resume = Resume(args.resume, key(args), say) if args.resume else None
    try:
        with commands.interruptible():
            replicas = training.train_block(
                seeds, train, held_out, hp_numbers, args.device, args.whitening, progress, say, resume
            )
    except training.TooLargeError as error:
        sys.exit(f"Error: {error}")
    except commands.Interrupted as interruption:
        print(f"Interrupted by {interruption}; {save(resume)}", file=sys.stderr)
        sys.exit(interruption.code)

    versions = {"gradreg": commit(), "torch": torch.__version__, "python": platform.python_version()}
    for cell, replica in zip(args.cells, replicas, strict=True):
        shape = tuple(train.images.shape[1:])
        checkpoint.save(
            cell / "model.safetensors", replica.parameters, hp["model"], shape, train.classes, args.whitening
        )
        metrics.write(cell / "history.csv", [{**run, "seed": replica.seed, **row} for row in replica.history])
        write_json(
            cell / "train.json",
            {
                "cell": {**run, "seed": replica.seed},
                "hp": hp,
                "status": "trained" if replica.diverged is None else "diverged",
                "diverged_in_epoch": replica.diverged,
                "epochs": len(replica.history),
                "best_epoch": replica.best_epoch,
                "epochs_of_retraining": replica.retrained,
                "whitening": args.whitening.digest if args.whitening else None,
                "device": torch.cuda.get_device_name() if args.device.type == "cuda" else "cpu",
                "seconds_of_block": round(time.monotonic() - start, 1),
                "seeds_of_block": seeds,
                "versions": versions,
                "weights": checkpoint.digest(replica.parameters),
            },
        )
    if resume is not None:
        resume.clear(seeds)


def save(resume: Resume | None) -> str:
    """Write what is not written yet, and say in words what is saved."""
    if resume is None:
        return "nothing is saved without --resume"
    resume.write()
    if resume.unwritten:
        return f"what was trained could not be saved ({resume.failure})"
    if resume.held:
        return f"what was trained is saved in {resume.folder}, and the next run goes on from there"
    return "no epoch was finished that could be saved"


def key(args: argparse.Namespace) -> str:
    """The hash of all that a state of training depends on beside its seeds; the code is what is loaded."""
    kinds = {part: args.hp[part]["kind"] for part in ("model", "objective")}
    registered = {part: registry.lookup(f"{part}s", kind) for part, kind in kinds.items()}
    about = [args.hp, registered, args.whitening and args.whitening.digest, torch.__version__]
    about.append(torch.cuda.get_device_name() if args.device.type == "cuda" else "cpu")  # results differ in rounding
    state = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    loaded = [module.__file__ for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "gradreg"]
    for file in (__file__, *loaded):
        state.update(hashlib.sha256(Path(str(file)).read_bytes()).digest())
    return state.hexdigest()


def commit() -> str:
    """The commit of the working tree, "+" when it is edited; "unknown" outside git."""
    try:
        command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


if __name__ == "__main__":
    commands.run(main)
