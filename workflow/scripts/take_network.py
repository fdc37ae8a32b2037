"""Take a network that was trained elsewhere into the folder of a cell, once a few images have shown that it works."""

import argparse
import json
import platform
import sys
from pathlib import Path

import pandas as pd
import torch

from gradreg import cli, device
from gradreg.data import splits
from gradreg.models import checkpoint, given
from gradreg.models.checks import check_given
from gradreg.planning import machine
from gradreg.planning.specs import TrainingSpec, to_json
from gradreg.storage import metrics
from gradreg.storage.files import write_json

FEW = 8  # images on which it is tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument("--settings", required=True, type=json.loads, help="JSON: run, training, sha256 of the file")
    parser.add_argument("--cell", required=True, type=Path, help="folder of the cell")
    args = parser.parse_args()
    device.choose("cpu")
    spec, cell = TrainingSpec.of(args.settings["training"]), {**args.settings["run"], "seed": 0}
    file, few = str(spec.file), splits.load(args.data, "train").first(FEW)
    shape = tuple(few.images.shape[1:])
    try:
        state = given.state(file, spec.model, shape, few.classes)
        check_given(checkpoint.from_state(state, spec.model, shape, few.classes), few.pixels(), few.classes)
    except ValueError as error:
        sys.exit(f"Error: {error if file in str(error) else f'{file}: {error}'}")
    checkpoint.save(args.cell / "model.safetensors", state, spec.model, shape, few.classes)
    metrics.write(args.cell / "history.csv", pd.DataFrame(columns=metrics.CELL))
    record = {
        "cell": cell,
        "status": "given",
        "file": file,
        "sha256": args.settings["sha256"],
        "diverged_in_epoch": None,
        "epochs": 0,
        "best_epoch": None,
        "epochs_of_retraining": None,
        "weights": checkpoint.digest(state),
        "training": json.loads(to_json(spec)),
        "whitening": None,
        "device": "cpu",
        "seconds_of_block": 0,
        "seeds_of_block": [0],
        "versions": {"gradreg": machine.commit(), "torch": torch.__version__, "python": platform.python_version()},
    }
    write_json(args.cell / "train.json", record)
    print(f"{file}: {spec.model.kind}, {sum(value.numel() for value in state.values())} numbers")


if __name__ == "__main__":
    cli.run(main)
