"""Draw the tables and figures of published experiments again, from the measurements that are published beside them."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from gradreg import cli
from gradreg.planning import report
from gradreg.planning.experiment import Experiment
from gradreg.planning.report import Study
from gradreg.storage.files import read_json

PUBLISHED = Path(__file__).resolve().parents[2] / "results" / "published"
TABLES = ("test", "validation", "history")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiments", nargs="*", help="their names; all by default")
    parser.add_argument("--out", type=Path, default=PUBLISHED, help="folder, in place of results/published")
    args = parser.parse_args()
    for config in sorted(PUBLISHED.glob("*/config.json")):
        source = config.parent
        if (source / "metrics" / "test.csv").exists() and source.name in (args.experiments or [source.name]):
            redraw(source, args.out / source.name)
            print(source.name, flush=True)


def redraw(source: Path, target: Path) -> None:
    """All tables and figures of one experiment."""
    try:
        experiment = Experiment(read_json(source / "config.json"))
    except ValueError as error:
        sys.exit(f"Error: {source.name} cannot be drawn again: {error}")
    width = ["--width", experiment.config["figure_width"]]
    measured = {name: source / "metrics" / f"{name}.csv" for name in TABLES}
    for study in experiment.studies:
        folder, arguments = "{}-{}".format(*study), report.arguments(experiment, study)
        with tempfile.TemporaryDirectory() as scratch:
            before = source / "tables" / folder / "comparison.csv"
            known = ["--comparison", before] if before.exists() else []
            some = ["--test", measured["test"], "--validation", measured["validation"]]
            run("make_table", *some, *known, *arguments, "--out", scratch)
            replace(Path(scratch), target / "tables" / folder)
        files: list[object] = [part for name, file in measured.items() for part in (f"--{name}", file)]
        files += with_others(source, experiment, study)
        draw(source, target, folder, [*files, *arguments, *width])
    for dataset in experiment.in_several_sizes:
        draw(source, target, dataset, ["--test", measured["test"], "--dataset", dataset, *width])


def with_others(source: Path, experiment: Experiment, study: Study) -> list[object]:
    """What else figures of a study are drawn from, as far as it is published."""
    transfer = source / "metrics" / "transfer-{}-{}.csv".format(*study)
    groups = [group for group in experiment.groups if (group.dataset, group.n_train) == study]
    galleries = [file for group in groups if (file := source / "groups" / group.path / "gallery.npz").exists()]
    others: list[object] = ["--transfer", transfer] if transfer.exists() else []
    return [*others, *(["--galleries", *galleries] if galleries else [])]


def draw(source: Path, target: Path, folder: str, arguments: list[object]) -> None:
    """The published figures of a folder."""
    names = sorted(file.stem for file in (source / "figures" / folder).glob("*.svg"))
    with tempfile.TemporaryDirectory() as scratch:
        run("plot_figures", *names, *arguments, "--out", scratch)
        replace(Path(scratch), target / "figures" / folder)


def run(script: str, *arguments: object) -> None:
    """A script of the workflow."""
    command = [sys.executable, Path(__file__).with_name(f"{script}.py"), *arguments]
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def replace(drawn: Path, target: Path) -> None:
    """Put files where those of before are; pages are not published."""
    target.mkdir(parents=True, exist_ok=True)
    for file in drawn.glob("[!.]*"):
        if file.suffix != ".html":
            shutil.copyfile(file, target / file.name)


if __name__ == "__main__":
    cli.run(main)
