"""Join the outcomes of one group's final networks into one file, by seed."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from gradreg import cli
from gradreg.storage import npz


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--about", required=True, type=json.loads, help="description of the run, as JSON")
    parser.add_argument("--out", required=True, help="file to write (npz)")
    parser.add_argument("outcomes", nargs="+", type=Path, help="outcomes of networks (npz), in folders named seed-N")
    args = parser.parse_args()
    joined: dict[str, Any] = {"about": np.array(json.dumps(args.about))}
    for path in args.outcomes:
        seed = path.parent.name.removeprefix("seed-")
        joined |= {f"{seed}|{name}": array for name, array in npz.read(path).items()}
    npz.write(args.out, joined)
    print(f"{len(joined) - 1} outcomes")


if __name__ == "__main__":
    cli.run(main)
