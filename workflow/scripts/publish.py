"""Copy tables, figures, choices and joined metrics of every finished experiment to results/published/, kept by git.

With them go the networks of seed 0 of chosen settings, each with its card: in the order of the config, as many as there
is room for below a limit on all that are published. What was run at smoke scale means nothing and is left out.

Only what the experiment's config means is copied, not what earlier configs left behind.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from gradreg import cli
from gradreg.planning import finished
from gradreg.planning.experiment import Experiment
from gradreg.planning.jobs import RECORD, WEIGHTS
from gradreg.reporting import cards
from gradreg.storage import metrics
from gradreg.storage.files import read_bytes, read_json

RESULTS = Path("results")
NETWORKS = 25e6  # bytes of all published networks
OF_GROUPS = ("choice.json", "gallery.npz")
PARTS = ("metrics", "groups", "tables", "figures", "networks")  # what else lies there is not ours to delete


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for report in sorted(RESULTS.glob("*/report.html")):
        source, target = report.parent, RESULTS / "published" / report.parent.name
        config = read_json(source / "config.json")
        if config["scale"] == "smoke":
            continue
        try:
            experiment = Experiment(config)
            finished.check(experiment)
        except ValueError as error:
            sys.exit(f"Error: {error}")
        files = [source / "config.json", *filter(is_published, finished.results(experiment))]
        copies = {target / file.relative_to(source): read_bytes(file) for file in files}
        copies |= networks(experiment, source, target)
        copies[target / "made.json"] = json.dumps(finished.made(experiment), indent=1).encode()
        for part in PARTS:
            shutil.rmtree(target / part, ignore_errors=True)
        for copy, content in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        print(f"{source} -> {target}: {len(copies)} files")


def is_published(result: Path) -> bool:
    """Pages hold what other files hold; of groups, metrics/ has all but choices and galleries, to draw these again."""
    return result.suffix != ".html" and ("groups" not in result.parts or result.name in OF_GROUPS)


def networks(experiment: Experiment, source: Path, target: Path) -> dict[Path, bytes]:
    """The files of the networks to be published, as far as there is room for them."""
    test = metrics.read(source / "metrics" / "test.csv")
    files: dict[Path, bytes] = {}
    others = [file for file in target.parent.glob(f"*/networks/**/{WEIGHTS}") if target not in file.parents]
    room = NETWORKS - sum(file.stat().st_size for file in others)
    for group in experiment.groups:
        run = experiment.final_run(group, read_json(source / "groups" / group.path / "choice.json"))
        cell, folder = source / "cells" / run.path / "seed-0", target / "networks" / group.path
        record = read_json(cell / RECORD)
        if run.given or record["whitening"]:  # not ours to publish; a file larger than all networks goes with it
            continue
        room -= (cell / WEIGHTS).stat().st_size
        if room < 0:
            print(f"{source}: no room for the network {group.path} and those after it")
            break
        text = cards.card(experiment.config["experiment"], group.path, record, test)
        files |= {folder / name: read_bytes(cell / name) for name in (WEIGHTS, RECORD)}
        files[folder / "README.md"] = text.encode()
        strong = {name: spec.attacks for name, (spec, _) in experiment.plan(run).strong.items()}
        for threat, entry in cards.robustbench(record, test, strong).items():
            files[folder / f"robustbench-{threat}.json"] = json.dumps(entry, indent=2).encode()
    return files


if __name__ == "__main__":
    cli.run(main)
