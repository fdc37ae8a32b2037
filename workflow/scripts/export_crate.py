"""Write a finished experiment as a Workflow Run RO-Crate: a zip file that says in JSON-LD what made its results.

https://w3id.org/ro/wfrun/workflow. Of its results, it holds tables, figures, measurements, choices and reports.
"""

import argparse
import mimetypes
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gradreg import __version__, cli
from gradreg.planning import finished
from gradreg.planning.code_inputs import PACKAGE
from gradreg.planning.experiment import Experiment
from gradreg.storage.files import atomic_path, read_json, sha256

RESULTS = Path("results")
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"  # of sha256, which RO-Crate 1.1 does not define
SOFTWARE = {"torch": "https://pytorch.org", "python": "https://www.python.org"}
LICENSE = "https://spdx.org/licenses/MIT"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", help="its name")
    args = parser.parse_args()
    source = RESULTS / args.experiment
    there = sorted(file.parent.name for file in RESULTS.glob("*/report.html"))
    if args.experiment not in there:
        parser.error(f"there is no finished experiment {args.experiment}; there are {', '.join(there) or 'none'}")
    try:
        from rocrate.rocrate import ROCrate
    except ImportError:
        sys.exit("Error: this needs the package rocrate: pip install -e '.[crate]' -c constraints.txt")
    try:
        experiment = Experiment(read_json(source / "config.json"))
        finished.check(experiment)
    except ValueError as error:
        sys.exit(f"Error: {error}")
    crate = ROCrate(version="1.1")  # that of the profile
    crate.metadata.extra_contexts.append(TERMS)
    described(crate, experiment, source)
    out = source / f"{args.experiment}.crate.zip"
    with atomic_path(out) as temporary:
        crate.write_zip(temporary)
    print(out)


def described(crate: Any, experiment: Experiment, source: Path) -> None:
    """Describe the run of an experiment in a crate, with its files."""
    from rocrate.model.contextentity import ContextEntity
    from rocrate.model.softwareapplication import SoftwareApplication

    made = finished.made(experiment)
    workflow = crate.add_workflow(
        PACKAGE.parent / "Snakefile",
        "Snakefile",
        main=True,
        lang="snakemake",
        lang_version=version("snakemake"),
        properties={
            "name": "gradreg",
            "version": f"{__version__}, commit {', '.join(made['commit'])}",
            "encodingFormat": "text/plain",
        },
    )
    for package, url in SOFTWARE.items():
        for number in made[package]:
            about = {"name": package, "version": number, "url": url}
            software = SoftwareApplication(crate, f"#{package}-{number}", about)
            workflow.append_to("softwareRequirements", crate.add(software))
    data = []
    for name, digests in made["sha256 of data"].items():
        arrays = ", ".join(f"{array} {digest}" for array, digest in digests.items())
        about = {"@type": "Dataset", "name": name, "description": f"SHA-256 of the arrays: {arrays}"}
        data.append(crate.add(ContextEntity(crate, f"#data-{name}", about)))
    for file, digest in made.get("sha256 of networks from files", {}).items():
        about = {"@type": "CreativeWork", "name": f"network {file}", "sha256": digest}
        data.append(crate.add(ContextEntity(crate, f"#network-{digest[:12]}", about)))
    files = [source / "report.html", source / "provenance.html", *finished.results(experiment)]
    results = [added(crate, file, source) for file in files]
    ends = [datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds") for time in span(source)]
    about = {"name": f"run of {source.name}", "startTime": ends[0], "endTime": ends[1]}
    about["description"] = f"on {made['processor']}, {', '.join(made['device'])}; networks: {made['networks']}"
    config_file = added(crate, source / "config.json", source)
    action = crate.add_action(workflow, "#run", object=[config_file, *data], result=results, properties=about)
    crate.root_dataset["mentions"] = action
    crate.name = f"gradreg: {source.name}"
    crate.description = "Gradient regularisation against adversarial examples: what was trained, attacked and measured."
    crate.license = crate.add(ContextEntity(crate, LICENSE, {"@type": "CreativeWork", "name": "MIT License"}))
    for address, title in PROFILES.items():
        about = {"@type": "CreativeWork", "name": title, "version": address.rpartition("/")[2]}
        crate.root_dataset.append_to("conformsTo", crate.add(ContextEntity(crate, address, about)))


def added(crate: Any, file: Path, source: Path) -> Any:
    """A file of the experiment in the crate, with its type and checksum."""
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    about = {"encodingFormat": kind, "sha256": sha256(file)}
    return crate.add_file(file, file.relative_to(source).as_posix(), properties=about, record_size=True)


def span(source: Path) -> tuple[float, float]:
    """When the first and the last of an experiment's files were written, those of earlier configs too, in seconds."""
    times = [file.stat().st_mtime for file in source.rglob("[!.]*") if file.is_file() and file.suffix != ".zip"]
    return min(times), max(times)


if __name__ == "__main__":
    cli.run(main)
