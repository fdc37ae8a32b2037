"""The tables of one study, each as CSV, Markdown and LaTeX, and as pages for the report.

errors: every chosen network; comparison: each against plain; flags: results that cannot be trusted; reproduction:
errors in the literature beside ours.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from gradreg import cli
from gradreg.planning.attacked import CLEAN, Criterion
from gradreg.reporting import reproduction, summaries, tables
from gradreg.reporting.summaries import NETWORK, Training
from gradreg.storage import metrics, npz
from gradreg.storage.files import write_text

COMPARISON = "Difference from plain in percentage points, 95 % interval over seeds and images, P values"
FLAGS = "Flags: results that cannot be trusted"
REPRODUCTION = "Errors in the literature beside ours, %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", required=True, help="measurements of the final runs")
    parser.add_argument("--validation", required=True, help="measurements of the selection runs")
    parser.add_argument("--outcomes", default=[], nargs="+", help="outcomes of the study's groups (npz)")
    parser.add_argument("--comparison", help="comparisons made before (CSV), in place of outcomes")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--n-train", required=True, type=int)
    parser.add_argument("--selections", required=True, type=json.loads, help="model: training images, as JSON")
    parser.add_argument("--by", default={}, type=json.loads, help="the error that settings competed by, as JSON")
    parser.add_argument("--literature", default=[], type=json.loads, help="errors to compare, as JSON")
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

    if args.comparison:
        compared = tables.compared_before(metrics.read(args.comparison), test)
    else:
        compared = tables.comparisons(test, outcomes)
    rounded = tables.rounded(compared)
    errors, flags = tables.errors(test, compared), tables.flags(test, validation)
    by = Criterion(**args.by)
    told = errors if by == CLEAN else tables.with_criterion(errors, str(by))
    shown = {"errors": (told, told), "comparison": (compared, rounded), "flags": (flags, flags)}
    if args.literature:
        table = reproduction.table(test, args.literature)
        shown["reproduction"] = (table, reproduction.rounded(table))
    for name, (table, text) in shown.items():
        metrics.write(args.out / f"{name}.csv", table)
        write_text(args.out / f"{name}.md", tables.to_markdown(text))
        lettered, sources = tables.with_letters(text)
        if name == "errors":
            latex = tables.to_latex(tables.by_attack(lettered, test), f"{tables.NOTE} {sources}")
        else:
            latex = tables.to_latex({name: lettered}, sources)
        write_text(args.out / f"{name}.tex", latex)
    lettered, sources = tables.with_letters(errors)
    parts = tables.by_attack(lettered, test) | {COMPARISON: rounded}
    page = tables.to_html(parts, f"Errors on {args.dataset}", f"{tables.NOTE} {sources}")
    write_text(args.out / "errors.html", page)
    write_text(args.out / "flags.html", tables.to_html({FLAGS: flags}, f"Flags on {args.dataset}", numbers=False))
    if args.literature:
        beside = shown["reproduction"][1]
        sources = f"Literature: {'; '.join(dict.fromkeys(beside.source))}."
        page = tables.to_html({REPRODUCTION: beside.drop(columns=["seeds", "source"])}, REPRODUCTION, sources)
        write_text(args.out / "reproduction.html", page)


if __name__ == "__main__":
    cli.run(main)
