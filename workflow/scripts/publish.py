"""Copy tables, figures, choices and joined metrics of every finished experiment to results/published/, kept by git.

What was run at smoke scale means nothing and is left out.

Only what the experiment's config means is copied, not what earlier configs left behind; pages are not: the report and
the tables' hold what the other files hold.
"""

import argparse
import json
import shutil
from pathlib import Path

from gradreg import cli
from gradreg.planning.experiment import Experiment

RESULTS = Path("results")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for report in sorted(RESULTS.glob("*/report.html")):
        source, target = report.parent, RESULTS / "published" / report.parent.name
        experiment = Experiment(json.loads((source / "config.json").read_text(encoding="utf-8")))
        if experiment.config["scale"] == "smoke":
            continue
        studies = {f"{group.dataset}-{group.n_train}" for group in experiment.groups}
        studies |= {group.dataset for group in experiment.groups}  # figures that go across sizes
        files = [source / "config.json", *sorted((source / "metrics").glob("*.csv"))]
        files += [source / "groups" / group.path / "choice.json" for group in experiment.groups]
        folders = [source / part / study for study in sorted(studies) for part in ("tables", "figures")]
        shown = [file for folder in folders for file in folder.glob("*")]
        files += [file for file in shown if file.suffix != ".html"]
        shutil.rmtree(target, ignore_errors=True)
        for file in files:
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        print(f"{source} -> {target}: {len(files)} files")


if __name__ == "__main__":
    cli.run(main)
