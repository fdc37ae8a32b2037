"""Fit the whitening of the first training images of a data set."""

import argparse

from gradreg import device
from gradreg.data import arrays
from gradreg.inputs import Whitening


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument("--n-train", required=True, type=int, help="the training images of a run")
    parser.add_argument("--out", required=True, help="file to write (safetensors)")
    args = parser.parse_args()
    device.choose("cpu")  # one thread: on one machine the result is the same to the bit, however many cores there are
    whitening = Whitening.fit(arrays.held_in(args.data, args.n_train).images)
    whitening.save(args.out)
    print(f"{args.n_train} images, sha256 {whitening.digest}")


if __name__ == "__main__":
    main()
