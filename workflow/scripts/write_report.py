"""Write the report of a finished experiment: one page with its findings, tables, figures and their captions."""

import argparse
from pathlib import Path

from gradreg import cli
from gradreg.planning.experiment import Experiment
from gradreg.reporting import page
from gradreg.storage.files import read_json, write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, type=Path, help="resolved config, in the folder of the results")
    parser.add_argument("--template", required=True, type=Path, help="template of the page, beside the captions")
    parser.add_argument("--out", required=True, help="page to write (HTML)")
    args = parser.parse_args()
    write_text(args.out, page.write(Experiment(read_json(args.config)), args.config.parent, args.template))


if __name__ == "__main__":
    cli.run(main)
