"""The table of errors of one data set: CSV, Markdown, and a page for the report."""

import argparse

from gradreg import metrics, tables
from gradreg.files import write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", required=True, help="measurements of the final runs")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--n-train", required=True, type=int)
    parser.add_argument("--csv", required=True)
    parser.add_argument("--markdown", required=True)
    parser.add_argument("--html", required=True)
    args = parser.parse_args()
    test = metrics.read(args.test)
    table = tables.errors(test[(test.dataset == args.dataset) & (test.n_train == args.n_train)])
    metrics.write(args.csv, table)
    write_text(args.markdown, tables.to_markdown(table))
    write_text(args.html, tables.to_html(table, f"Errors on {args.dataset}"))


if __name__ == "__main__":
    main()
