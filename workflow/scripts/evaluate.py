"""Measure the cells of one block on the split that their run is read on; writes metrics.csv into each folder."""

import argparse
import json
import time
from pathlib import Path

from gradreg import device, metrics, models
from gradreg.data import arrays
from gradreg.evaluation import evaluate
from gradreg.inputs import Whitening


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument("--attack", required=True, type=json.loads, help="settings of the attacks, as JSON")
    parser.add_argument("--cells", required=True, nargs="+", type=Path, help="folders of trained cells")
    parser.add_argument("--whitening", type=Whitening.load, help="file of the whitening, where the networks have one")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    args = parser.parse_args()
    for cell in args.cells:
        start = time.monotonic()
        record = json.loads((cell / "train.json").read_text(encoding="utf-8"))
        held_out = record["hp"]["n_validation"]
        if held_out:
            split = arrays.held_out(args.data, held_out)
        else:
            split = arrays.load(args.data, "test").first(args.attack["n_test"])
        labels = {
            "part": "validation" if held_out else "test",
            "flags": "diverged" if record["status"] == "diverged" else "",
        }
        network = models.load(cell / "model.safetensors", args.device, args.whitening)
        rows = evaluate(network, split.to(args.device), args.attack)
        table = [{**record["cell"], **labels, **row} for row in rows]
        metrics.write(
            cell / "metrics.csv", [{key: row[key] for key in metrics.CELL + metrics.MEASUREMENT} for row in table]
        )
        print(f"{cell}  clean error {100 * rows[0]['value']:.2f} %  {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
