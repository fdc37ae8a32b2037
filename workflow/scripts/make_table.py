"""The tables of one study, each as CSV, Markdown and LaTeX, and as pages for the report.

errors: every chosen network; comparison: each against plain; signs: what makes a result doubtful.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from gradreg import cli
from gradreg.reporting import summaries, tables
from gradreg.reporting.summaries import NETWORK, Training
from gradreg.storage import metrics, npz
from gradreg.storage.files import write_text

ERRORS = "Errors in %, mean ± half-width of the 95 % interval over seeds"
MARKS = "* and bold: less than plain, p < 0.05 after Holm's correction over the study. †: see the signs of masking."
COMPARISON = "Difference from plain in percentage points, 95 % interval over seeds and images, p-values"
SIGNS = "Signs that a result cannot be trusted"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", required=True, help="measurements of the final runs")
    parser.add_argument("--validation", required=True, help="measurements of the selection runs")
    parser.add_argument("--outcomes", required=True, nargs="+", help="outcomes of the study's groups")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--n-train", required=True, type=int)
    parser.add_argument(
        "--selections", required=True, type=json.loads, help="model: training images of selection, as JSON"
    )
    parser.add_argument("--out", required=True, type=Path, help="folder")
    args = parser.parse_args()
    test, validation = metrics.read(args.test), metrics.read(args.validation)
    test = test[(test.dataset == args.dataset) & (test.n_train == args.n_train)]
    validation = validation[(validation.dataset == args.dataset)]
    validation = validation[validation.n_train == validation.model.map(args.selections)]

    networks = summaries.with_training(test).drop_duplicates(NETWORK).set_index(NETWORK)
    outcomes: dict[tuple[str, Training, int], dict[str, np.ndarray]] = {}
    for file in args.outcomes:
        arrays = npz.read(file)
        group = json.loads(str(arrays.pop("about")))
        training = networks.training[tuple(group[column] for column in NETWORK)]
        for key, array in arrays.items():
            seed, _, name = key.partition("|")
            outcomes.setdefault((group["model"], training, int(seed)), {})[name] = array

    compared = tables.comparisons(test, outcomes)
    shown = compared.round({"difference": 2, "low": 2, "high": 2})
    for name in ("p_value", "p_holm"):
        shown[name] = compared[name].map(lambda value: "< 0.001" if value < 0.001 else f"{value:.3f}")
    errors, signs = tables.errors(test, compared), tables.signs(test, validation)
    for name, table in (("errors", errors), ("comparison", compared), ("signs", signs)):
        text = shown if name == "comparison" else table
        metrics.write(args.out / f"{name}.csv", table)
        write_text(args.out / f"{name}.md", tables.to_markdown(text))
        write_text(args.out / f"{name}.tex", tables.to_latex(text))
    first = f"{ERRORS}. {MARKS}"
    write_text(
        args.out / "errors.html", tables.to_html({first: errors, COMPARISON: shown}, f"Errors on {args.dataset}")
    )
    write_text(args.out / "signs.html", tables.to_html({SIGNS: signs}, f"Signs on {args.dataset}"))


if __name__ == "__main__":
    cli.run(main)
