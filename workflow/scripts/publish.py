"""Copy tables, figures, choices and joined metrics of every finished experiment to results/published/, kept by git.

What was run at smoke scale means nothing and is left out.

Only what the experiment's config means is copied, not what earlier configs left behind; pages are not: the report and
the tables' hold what the other files hold.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from gradreg import cli
from gradreg.planning.experiment import Experiment
from gradreg.storage.files import read_bytes, read_json

RESULTS = Path("results")


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for report in sorted(RESULTS.glob("*/report.html")):
        source, target = report.parent, RESULTS / "published" / report.parent.name
        experiment = Experiment(read_json(source / "config.json"))
        if experiment.config["scale"] == "smoke":
            continue
        if not up_to_date(source):
            sys.exit(
                f"Error: {source} is not what its config, code and data mean now; give the command that made it again"
            )
        studies = {f"{group.dataset}-{group.n_train}" for group in experiment.groups}
        studies |= {group.dataset for group in experiment.groups}  # figures that go across sizes
        files = [source / "config.json", *sorted((source / "metrics").glob("*.csv"))]
        groups = [source / "groups" / group.path for group in experiment.groups]
        files += [group / "choice.json" for group in groups]
        files += [file for group in groups if (file := group / "gallery.npz").exists()]  # to draw figures again
        folders = [source / part / study for study in sorted(studies) for part in ("tables", "figures")]
        shown = [file for folder in folders for file in folder.glob("[!.]*")]
        files += [file for file in shown if file.suffix != ".html"]
        copies = {target / file.relative_to(source): read_bytes(file) for file in files}
        for part in ("metrics", "groups", "tables", "figures"):  # what else lies there is not ours to delete
            shutil.rmtree(target / part, ignore_errors=True)
        for copy, content in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        print(f"{source} -> {target}: {len(files)} files")


def up_to_date(source: Path) -> bool:
    """Whether a dry run has nothing to do."""
    snakefile = Path(__file__).resolve().parents[2] / "Snakefile"
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--workflow-profile", "none"]
    command += ["--configfile", str(source / "config.json"), "--dry-run", "--cores", "1"]
    command += ["--config", f"seeds_per_job={seeds_per_job(source)}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"Error: {source} cannot be planned: {(done.stderr.strip() or done.stdout.strip())[-300:]}")
    return "Nothing to be done" in done.stdout + done.stderr


def seeds_per_job(source: Path) -> int:
    """The size of the blocks in which an experiment was trained.

    config.json leaves it out, since results are the same. In other blocks, some outputs would be older than inputs of
    the same job.
    """
    cells = [read_json(file) for file in (source / "cells").rglob("train.json")]
    return max(len(cell["seeds_of_block"]) for cell in cells)


if __name__ == "__main__":
    cli.run(main)
