# What the rules share: the experiment behind the config, its jobs, the device, and what stands before each command.
import atexit
import gc
import os
import shlex
import sys
from functools import partial

if os.pathsep in str(workflow.basedir):
    sys.exit(
        f"{workflow.basedir}: {os.pathsep!r} separates folders in PYTHONPATH; move the project to a path without it"
    )

for _folder in (".", "results"):
    if os.path.isdir(_folder) and not os.access(_folder, os.W_OK):
        sys.exit(
            f"{os.path.abspath(_folder)}: cannot be written to; make it writable, then give the same command again"
        )

# Most of what is loaded, and of what Snakemake makes of a grid, stays to the end: searching it for garbage again and
# again takes a fifth of a dry run.
gc.freeze()
gc.set_threshold(50_000)

try:
    from gradreg.planning import hooks, records, report as reporting, scheduling
    from gradreg.planning.code_inputs import closure, here
    from gradreg.planning.config import ConfigError
    from gradreg.planning.experiment import Experiment, GIVEN, GROUP_PATTERN, RUN_PATTERN
    from gradreg.planning.jobs import folders, group_wildcards, has_gpu, Jobs, TRAINED, WHITENING
    from gradreg.planning.specs import to_json
    from gradreg.registry import literature
    from gradreg.registry.datasets import DATASETS
    from gradreg.storage.files import DamagedFileError, read_json
except ValueError as error:  # a registration that is not as it should be
    sys.exit(str(error))

try:
    # Snakemake lists the files of the command line first, but lays them over the others.
    _files = sorted(dict.fromkeys(workflow.configfiles), key=lambda file: file in workflow.overwrite_configfiles)
    EXPERIMENT = Experiment(config, _files, workflow.config_settings.config)
except ConfigError as error:
    sys.exit(str(error))
if missing := EXPERIMENT.missing():
    sys.exit(f"sweep: networks: there is no file {', '.join(missing)}")

scheduling.mend_snakemake()

if workflow.is_main_process:  # not in the jobs of a cluster
    records.keep_beside_results()
    records.distrust_unrecorded(EXPERIMENT.root)

ROOT = str(EXPERIMENT.root)
GROUPS = f"{ROOT}/groups/{GROUP_PATTERN}"
REPORT, PROVENANCE = f"{ROOT}/report.html", f"{ROOT}/provenance.html"
TRANSFER = f"{ROOT}/metrics/transfer-{{dataset}}-{{n_train}}.csv"
DATA = "results/data/{dataset}.npz"

# Jobs ask for a GPU only where networks will run on one.
DEVICE = EXPERIMENT.config["device"] if has_gpu() or EXPERIMENT.config["device"] == "cuda" else "cpu"
GPUS = 0 if DEVICE == "cpu" else 1

# Before each command: the Python that runs Snakemake also runs the jobs, whether or not its environment is activated,
# on the package of this folder, wherever another copy is installed; and the functions of job.sh are there.
_BASE = str(workflow.basedir)
_PREFIX = (
    f"set -euo pipefail; . {shlex.quote(os.path.join(_BASE, 'workflow/job.sh'))};"
    f" export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH"
    f" PYTHONPATH={shlex.quote(_BASE)}${{PYTHONPATH:+:$PYTHONPATH}}"
    f" GRADREG_PYTHON={shlex.quote(sys.executable)} GRADREG_CODE={shlex.quote(here('.'))}; "
)
shell.prefix(_PREFIX.replace("{", "{{").replace("}", "}}"))  # Snakemake formats it with the command


_NUMERAL = r"(inf|\d+(\.\d+)?|\d+of\d+)"
JOINED = rf"{_NUMERAL}(\+{_NUMERAL})*"  # several norms together, or the eps of each
TRAINED_P = rf"none|{JOINED}"


wildcard_constraints:
    dataset="[a-z0-9_]+",
    n_train=r"\d+(from\d+)?",
    model="[a-z][a-z0-9-]*",
    objective="[a-z][a-z0-9-]*",
    p=rf"{GIVEN}|{TRAINED_P}",
    eps=JOINED,
    table="validation|history|test",


def memory(wildcards, attempt):
    """The MB that a job with networks may take; a job that ran out of memory gets more when it is tried again."""
    return 4000 * attempt


def chosen(group):
    """The content of a group's choice.json; waits for it."""
    try:
        return read_json(checkpoints.choose.get(**group_wildcards(group)).output[0])
    except DamagedFileError as error:
        sys.exit(str(error))


def optional(flag):
    """A function of a job that gives an input of the same name as an argument of a command, where there is one."""
    return lambda wildcards, input: [f"--{flag}", *input[flag]] if input.get(flag) else []


def shown(study, contents, folder):
    """The files of a folder among the contents of a report, each in its place there."""
    files = [file for file in contents if file.startswith(folder)]
    return [report(f"{ROOT}/{file}", **reporting.place(EXPERIMENT, study, contents[file])) for file in files]


JOBS = Jobs(EXPERIMENT, chosen)
