"""Choose the setting with the least mean error on held-out images, attacked or not, among those of one group."""

import argparse
import json

from gradreg import cli
from gradreg.planning.attacked import Criterion
from gradreg.reporting import selection
from gradreg.storage import metrics
from gradreg.storage.files import write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--candidates", required=True, nargs="+", type=json.loads, help="settings and their files, each as JSON"
    )
    parser.add_argument("--by", required=True, type=json.loads, help="attack, p and eps of the error, as JSON")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    errors = []
    for setting in args.candidates:
        table = metrics.read_all(setting["metrics"])
        errors.append(selection.errors(table, Criterion(**args.by)).value.tolist())
    best = args.candidates[selection.choose(errors)]
    tried = [
        {"objective": setting["objective"], "eps": setting["eps"], "validation_errors": values}
        for setting, values in zip(args.candidates, errors, strict=True)
    ]
    write_json(args.out, {"objective": best["objective"], "eps": best["eps"], "by": args.by, "tried": tried})
    print(f"chosen: {best['objective']} eps={best['eps']} of {len(tried)} settings")


if __name__ == "__main__":
    cli.run(main)
