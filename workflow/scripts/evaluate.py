"""Evaluate the cells of one block; writes metrics.csv and outcomes.npz into each folder, or those of a strong attack.

Beside the rows, outcomes.npz says for every attack which images were misclassified.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from gradreg import cli, device
from gradreg.attacks.checks import AttackError
from gradreg.data import splits
from gradreg.evaluation import masking
from gradreg.evaluation.measure import evaluate, strong
from gradreg.models import checkpoint
from gradreg.models.preprocessing import Whitening
from gradreg.planning.specs import AttackSpec, StrongAttackSpec
from gradreg.storage import metrics, npz, states
from gradreg.storage.files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="file of the prepared data set")
    parser.add_argument("--settings", required=True, type=json.loads, help="JSON: attack (its settings), registered")
    parser.add_argument("--strong", metavar="NAME", help="run only this strong attack, whose settings --settings has")
    parser.add_argument("--cells", required=True, nargs="+", type=Path, help="folders of trained cells")
    parser.add_argument("--states", type=Path, help="folder of states of training; those of these cells are removed")
    parser.add_argument("--whitening", type=Whitening.load, help="file of the whitening, where the networks have one")
    parser.add_argument("--device", default="auto", type=device.argument, help="auto, cpu or cuda")
    args = parser.parse_args()
    attack = args.settings["attack"]
    for cell in args.cells:
        start = time.monotonic()
        record = read_json(cell / "train.json")
        if args.states:  # the workflow has booked the network; a job that it had lost would go on from the state
            states.clear(args.states, [record["cell"]["seed"]])
        held_out = record["training"]["n_validation"]
        if held_out:
            split = splits.held_out(args.data, held_out)
        else:
            split = splits.load(args.data, "test")
            split = split.first(attack.get("n_test") or len(split))
        split = split.to(args.device)
        network = checkpoint.load(cell / "model.safetensors", args.device, args.whitening)
        name = f"strong-{args.strong}" if args.strong else ""
        try:
            if args.strong:
                measured = strong(network, split, StrongAttackSpec.of(attack), args.strong)
            else:
                measured = evaluate(network, split, AttackSpec.of(attack))
        except AttackError as error:
            sys.exit(f"Error: {error}")
        history = metrics.read(cell / "history.csv").to_dict("records")
        if record["epochs_of_retraining"] is None:  # with a patience the network is that of the best epoch
            history = history[: record["best_epoch"]]
        names = {**record["cell"], "part": "validation" if held_out else "test"}
        marked = masking.marked(measured.rows, history, record["diverged_in_epoch"], split.classes)
        rows = [{**names, **row} for row in marked]
        table = [{key: row[key] for key in metrics.CELL + metrics.MEASUREMENT} for row in rows]
        metrics.write(cell / (f"{name}.csv" if name else "metrics.csv"), table)
        wrong = {key: outcome.numpy() for key, outcome in measured.outcomes.items()}
        npz.write(cell / (f"{name}.npz" if name else "outcomes.npz"), wrong)
        shown = f"{args.strong} " if args.strong else "clean "
        first = next(row["value"] for row in rows if row["metric"] == "error")
        print(f"{cell}  {shown}error {100 * first:.2f} %  {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    cli.run(main)
