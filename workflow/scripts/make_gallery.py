"""Attack a few test images through one network, and let it dream; writes the arrays that pictures show."""

import argparse
import json
from pathlib import Path

import numpy as np

from gradreg import cli as commands
from gradreg import device
from gradreg.data import splits as arrays
from gradreg.evaluation import examples as gallery
from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.storage import npz
from gradreg.storage.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument(
        "--gallery", required=True, type=json.loads, help='{"classes": [...], "eps": {p: eps}, "steps": ...} as JSON'
    )
    parser.add_argument("--record", required=True, type=Path, help="train.json of the network")
    parser.add_argument("--out", required=True, help="file to write (npz)")
    parser.add_argument("--whitening", type=Whitening.load, help="file of the whitening, where the network has one")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    args = parser.parse_args()
    split = arrays.load(args.data, "test").to(args.device)
    network = checkpoint.load(args.record.with_name("model.safetensors"), args.device, args.whitening)
    settings = args.gallery
    shown = gallery.gallery(network, split, settings["classes"], settings["eps"], settings["steps"])
    shown |= gallery.dreams(network, split.images.shape[1:], range(split.classes))
    cell = read_json(args.record)["cell"]
    about = np.array(json.dumps({"cell": cell, "eps": settings["eps"]}))
    npz.write(args.out, {"about": about} | {name: value.cpu().numpy() for name, value in shown.items()})
    print(f"{len(shown['y'])} images, p = {', '.join(settings['eps'])}")


if __name__ == "__main__":
    commands.run(main)
