"""Fetch a data set from the first source that delivers it, verify it, and write its arrays to one file."""

import argparse
import sys

from gradreg import cli
from gradreg.data.prepare import prepare
from gradreg.data.sources import SourceError
from gradreg.registry.datasets import DATASETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", choices=sorted(DATASETS))
    parser.add_argument("out", help="file to write (npz)")
    parser.add_argument("--data-dir", help="folder that holds the official files; tried first")
    args = parser.parse_args()
    try:
        with cli.interruptible():
            source = prepare(args.dataset, args.out, args.data_dir or None)
    except SourceError as error:
        sys.exit(f"Error: {error}")
    print(f"{args.dataset}: from {source}; all checksums match")


if __name__ == "__main__":
    cli.run(main)
