"""Perturb test images for some networks of a study and show them to all of its networks; writes tidy rows."""

import argparse
import json
from pathlib import Path

from gradreg import cli, device
from gradreg.data import splits
from gradreg.evaluation.transfer import Member, transfer
from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.planning.specs import TransferSpec
from gradreg.storage import metrics
from gradreg.storage.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument("--settings", required=True, type=json.loads, help="JSON: transfer (its settings)")
    parser.add_argument(
        "--cells", required=True, nargs="+", type=json.loads, help="each as JSON: folder, images, whitening (or null)"
    )
    parser.add_argument("--n-train", required=True, type=int, help="training images of the study")
    parser.add_argument("--out", required=True, help="table to write (CSV)")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    args = parser.parse_args()
    members = []
    for cell in args.cells:
        folder = Path(cell["folder"])
        record = read_json(folder / "train.json")["cell"]
        whitening = Whitening.load(cell["whitening"]) if cell["whitening"] else None
        network = checkpoint.load(folder / "model.safetensors", args.device, whitening)
        names = {key: record[key] for key in ("model", "objective", "p", "eps", "seed")}
        members.append(Member(names | {"images": cell["images"]}, network))
    sources = [i for i, member in enumerate(members) if member.names["seed"] == 0]
    split = splits.load(args.data, "test").to(args.device)
    rows = transfer(members, sources, split, TransferSpec.of(args.settings["transfer"]))
    dataset = {"dataset": record["dataset"], "n_train": args.n_train}
    metrics.write(args.out, [dataset | row for row in rows])
    print(f"{len(sources)} sources, {len(members)} targets")


if __name__ == "__main__":
    cli.run(main)
