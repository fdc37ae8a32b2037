"""Attack a few test images through one network, and make images of each class out of noise; writes the arrays."""

import argparse
import json
from pathlib import Path

import numpy as np

from gradreg import cli, device
from gradreg.data import splits
from gradreg.evaluation import examples
from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.planning.specs import GallerySpec
from gradreg.storage import npz
from gradreg.storage.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument(
        "--settings", required=True, type=json.loads, help='JSON: gallery, {"classes": [...], "eps": {p: eps}, "steps"}'
    )
    parser.add_argument("--record", required=True, type=Path, help="train.json of the network")
    parser.add_argument("--out", required=True, help="file to write (npz)")
    parser.add_argument("--whitening", type=Whitening.load, help="file of the whitening, where the network has one")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    args = parser.parse_args()
    split = splits.load(args.data, "test").to(args.device)
    network = checkpoint.load(args.record.with_name("model.safetensors"), args.device, args.whitening)
    settings = GallerySpec.of(args.settings["gallery"])
    shown = examples.gallery(network, split, settings)
    steps = min(examples.DREAM_STEPS, 50 * settings.steps)  # few at smoke scale, where networks are never sure
    shown |= examples.dreams(network, split.images.shape[1:], range(split.classes), steps)
    cell = read_json(args.record)["cell"]
    about = np.array(json.dumps({"cell": cell, "eps": settings.eps}))
    npz.write(args.out, {"about": about} | {name: value.cpu().numpy() for name, value in shown.items()})
    print(f"{len(shown['y'])} images, p = {', '.join(settings.eps)}")


if __name__ == "__main__":
    cli.run(main)
