"""Fit the whitening of the training images of a run."""

import argparse

from gradreg import cli, device
from gradreg.data import splits
from gradreg.models.preprocessing import Whitening


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument(
        "--images", required=True, help="training images: 300 for the first 300, 300from400 for those after 400"
    )
    parser.add_argument("--out", required=True, help="file to write (safetensors)")
    args = parser.parse_args()
    device.choose("cpu")  # one thread: on one machine the result is bit-identical for any number of cores
    n_train, _, skip = args.images.partition("from")
    whitening = Whitening.fit(splits.held_in(args.data, int(n_train), int(skip or 0)).images)
    whitening.save(args.out)
    print(f"{args.images} images, sha256 {whitening.digest}")


if __name__ == "__main__":
    cli.run(main)
