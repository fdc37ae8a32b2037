# What the rules share: the experiment behind the config, paths, the device, functions for inputs and params.
import atexit
import gc
import glob
import json
import os
import shlex
import subprocess
import sys
from functools import partial

for _folder in (".", "results"):
    if os.path.isdir(_folder) and not os.access(_folder, os.W_OK):
        sys.exit(
            f"{os.path.abspath(_folder)}: cannot be written to; make it writable, then give the same command again"
        )

# What is loaded, and most of what Snakemake makes of a grid, stays to the end: to search it for garbage again and again
# takes a fifth of a dry run.
gc.freeze()
gc.set_threshold(50_000)

sys.path.insert(0, str(workflow.basedir))

try:
    from gradreg import registry
    from gradreg.planning.config import ConfigError
    from gradreg.registry.datasets import DATASETS
    from gradreg.planning.experiment import Experiment, Group, GROUP_PATTERN, Run, RUN_PATTERN, as_json
    from gradreg.planning.code_inputs import closure, has_gpu
    from gradreg.planning.numerals import from_path, to_path
except ValueError as error:  # a registration that is not as it should be
    sys.exit(str(error))

try:
    # Snakemake lists the files of the command line first, but lays them over the others.
    _files = sorted(dict.fromkeys(workflow.configfiles), key=lambda file: file in workflow.overwrite_configfiles)
    EXPERIMENT = Experiment(config, _files)
except ConfigError as error:
    sys.exit(str(error))

ROOT = str(EXPERIMENT.root)
CELLS = f"{ROOT}/cells/{RUN_PATTERN}"
GROUPS = f"{ROOT}/groups/{GROUP_PATTERN}"
REPORT = f"{ROOT}/report.html"
TRANSFER = f"{ROOT}/metrics/transfer-{{dataset}}-{{n_train}}.csv"
DATA = "results/data/{dataset}.npz"
TRAINED = ["model.safetensors", "train.json", "history.csv"]
WHITENING = "results/data/whitening/{dataset}-{n_train}.safetensors"

# Jobs ask for a GPU only where networks will run on one.
DEVICE = EXPERIMENT.config["device"] if has_gpu() or EXPERIMENT.config["device"] == "cuda" else "cpu"
GPUS = 0 if DEVICE == "cpu" else 1

# Before each command: the Python that runs Snakemake also runs the jobs, whether or not its environment is activated,
# on the package of this folder, wherever another copy is installed; and the functions of job.sh are known.
_BASE = str(workflow.basedir)
_PREFIX = (
    f"set -euo pipefail; . {shlex.quote(os.path.join(_BASE, 'workflow/job.sh'))};"
    f" export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH"
    f" PYTHONPATH={shlex.quote(_BASE)}${{PYTHONPATH:+:$PYTHONPATH}}; "
)
shell.prefix(_PREFIX.replace("{", "{{").replace("}", "}}"))  # Snakemake formats it with the command


wildcard_constraints:
    dataset="[a-z0-9_]+",
    n_train=r"\d+(from\d+)?",
    model="[a-z][a-z0-9-]*",
    objective="[a-z][a-z0-9-]*",
    p=r"none|inf|\d+(\.\d+)?",
    eps=r"\d+(\.\d+)?|\d+of\d+",
    table="validation|history|test",


def memory(wildcards, attempt):
    """The MB that a job with networks may take; what ended for want of it gets more when it is tried again."""
    return 4000 * attempt


def cell_of_block(block, names):
    """Files of the cells of a block of seeds of one run."""
    return [f"{CELLS}/seed-{seed}/{name}" for seed in block for name in names]


def run_of(wildcards):
    """The run that wildcards name."""
    names = {key: wildcards[key] for key in ("dataset", "model", "objective")}
    n_train, _, skip = wildcards.n_train.partition("from")
    labels = {"p": from_path(wildcards.p), "eps": from_path(wildcards.eps)}
    return Run(**names, **labels, n_train=int(n_train), skip=int(skip or 0))


def hyperparameters(wildcards):
    """All that training depends on beside data and code, as one text that does not depend on the order of keys."""
    return as_json(EXPERIMENT.plan(run_of(wildcards)).hp)


def functions_of_training(wildcards):
    """The functions behind a run's model and objective."""
    hp = EXPERIMENT.plan(run_of(wildcards)).hp
    return as_json([registered("models", hp["model"]["kind"]), registered("objectives", hp["objective"]["kind"])])


def functions_of_attacks(wildcards):
    """The functions behind the further attacks on a run."""
    others = EXPERIMENT.plan(run_of(wildcards)).attack["others"]
    return as_json({name: registered("attacks", attack["kind"]) for name, attack in others.items()})


def names_of_run(wildcards):
    """The columns of the run in every table."""
    return as_json({key: value for key, value in vars(run_of(wildcards)).items() if key != "skip"})


def attack_settings(wildcards):
    """All that evaluation depends on beside the network, data and code."""
    return as_json(EXPERIMENT.plan(run_of(wildcards)).attack)


def training_code(wildcards):
    """The files that training a run depends on: those of its own model and objective, and of no other."""
    hp = EXPERIMENT.plan(run_of(wildcards)).hp
    own = [registry.module(f"{part}s", hp[part]["kind"]) for part in ("model", "objective")]
    return closure("workflow/scripts/train.py", *own)


def evaluation_code(wildcards):
    """The files that the measurements of a run depend on: those of its own model and attacks, and of no other."""
    plan = EXPERIMENT.plan(run_of(wildcards))
    own = [registry.module("attacks", attack["kind"]) for attack in plan.attack["others"].values()]
    return closure("workflow/scripts/evaluate.py", registry.module("models", plan.hp["model"]["kind"]), *own)


def strong_settings(wildcards, name):
    """All that a strong attack depends on beside the network, data and code: not on how many seeds it is run on."""
    own = EXPERIMENT.plan(run_of(wildcards)).strong[name]
    return as_json({key: value for key, value in own.items() if key != "seeds"})


def strong_code(wildcards, name):
    """The files that a strong attack on a run depends on."""
    plan = EXPERIMENT.plan(run_of(wildcards))
    own = [registry.module("attacks", kind) for kind in plan.strong[name]["attacks"]]
    return closure("workflow/scripts/evaluate.py", registry.module("models", plan.hp["model"]["kind"]), *own)


def functions_of_strong(wildcards, name):
    """What the answers of a strong attack's kinds depend on, of what is registered."""
    kinds = EXPERIMENT.plan(run_of(wildcards)).strong[name]["attacks"]
    keys = ("function", "norms", "minimum", "settings")
    return as_json({kind: {key: registry.lookup("attacks", kind).get(key) for key in keys} for kind in kinds})


def registered(section, kind):
    """What the registry says of a kind, beside its settings, which are in the plan."""
    return {key: registry.lookup(section, kind).get(key) for key in ("function", "draw")}


def gallery_code(wildcards):
    """The files that a gallery depends on."""
    kind = EXPERIMENT.plan(final_run(wildcards)).hp["model"]["kind"]
    return closure("workflow/scripts/make_gallery.py", registry.module("models", kind))


def whitening(wildcards):
    """The whitening of a run's training images, or of those behind a gallery, where the network has one."""
    run = run_of(wildcards) if "eps" in wildcards.keys() else final_run(wildcards)
    return whitening_of(run) or []


def whitening_argument(wildcards, input):
    """The whitening as an argument of a command, where there is one."""
    return ["--whitening", input.whitening] if input.whitening else []


def folders(wildcards, output):
    """The folders of a job's cells. Derived from output, so that the size of a block is no trigger."""
    return sorted({os.path.dirname(file) for file in output}, key=lambda f: int(f.rsplit("-", 1)[1]))


def group_of(wildcards):
    """The group that wildcards name."""
    return Group(
        wildcards.dataset, int(wildcards.n_train), wildcards.model, wildcards.objective, from_path(wildcards.p)
    )


def cell_files(runs, plans, name):
    """One file of every cell of some runs."""
    return [f"{ROOT}/cells/{cell}/{name}" for run in runs for cell in run.cells(plans[run].seeds)]


def candidate_settings(wildcards):
    """The settings that compete, in the order that breaks ties, with the files that hold their errors."""
    runs = EXPERIMENT.groups[group_of(wildcards)]
    files = {run: cell_files([run], EXPERIMENT.selection, "metrics.csv") for run in runs}
    return as_json([{"objective": run.objective, "eps": run.eps, "metrics": files[run]} for run in runs])


def candidate_files(wildcards, name="metrics.csv"):
    """One file of every selection cell of a group."""
    return cell_files(EXPERIMENT.groups[group_of(wildcards)], EXPERIMENT.selection, name)


def final_run(wildcards):
    """The run on all training data that a group's choice leads to; waits for the choice."""
    names = {key: wildcards[key] for key in ("dataset", "n_train", "model", "objective", "p")}
    with open(checkpoints.choose.get(**names).output[0]) as file:
        return EXPERIMENT.final_run(group_of(wildcards), json.load(file))


def tables_of_group(wildcards):
    """The tables of the cells of a group that are joined."""
    if wildcards.table == "test":
        return final_files(wildcards, "csv")
    return candidate_files(wildcards, {"validation": "metrics.csv", "history": "history.csv"}[wildcards.table])


def final_files(wildcards, suffix):
    """The measurements (csv) or the outcomes (npz) of the final cells of a group, those of strong attacks included."""
    run = final_run(wildcards)
    plan = EXPERIMENT.plan(run)
    files = cell_files([run], EXPERIMENT.final, {"csv": "metrics.csv", "npz": "outcomes.npz"}[suffix])
    for name, own in plan.strong.items():
        files += [f"{ROOT}/cells/{cell}/strong-{name}.{suffix}" for cell in run.cells(own["seeds"])]
    return files


def transfer_runs(wildcards):
    """The runs between which perturbations are transferred: what was chosen, and plain networks on halves of the data."""
    for group in sorted(EXPERIMENT.groups, key=lambda group: group.path):
        if (group.dataset, group.n_train) == (wildcards.dataset, int(wildcards.n_train)):
            with open(checkpoints.choose.get(**group_wildcards(group)).output[0]) as file:
                chosen = json.load(file)
            yield EXPERIMENT.final_run(group, chosen)
            for run in EXPERIMENT.half_runs(group, chosen):
                if run in EXPERIMENT.halves:
                    yield run


def group_wildcards(group):
    """The wildcards that name a group."""
    return vars(group) | {"n_train": str(group.n_train), "p": to_path(group.p)}


def transfer_folders(wildcards):
    """(run, folder of a cell) of the first two seeds of each run of ``transfer_runs``."""
    runs = list(transfer_runs(wildcards))
    cells = [(run, cell) for run in runs for cell in run.cells(min(2, EXPERIMENT.plan(run).seeds))]
    return [(run, f"{ROOT}/cells/{cell}") for run, cell in cells]


def whitening_of(run):
    """The file of a run's whitening, None where its network has none."""
    whitens = EXPERIMENT.plan(run).hp["model"]["input"] == "whitened"
    return WHITENING.format(dataset=run.dataset, n_train=run.images) if whitens else None


def transfer_files(wildcards):
    """The networks of a transfer, their records, and what whitens their images."""
    folders = transfer_folders(wildcards)
    files = [f"{folder}/{name}" for _, folder in folders for name in ("model.safetensors", "train.json")]
    return {"cells": files, "whitenings": sorted({file for run, _ in folders if (file := whitening_of(run))})}


def transfer_cells(wildcards):
    """The networks of a transfer, as its script takes them."""
    return as_json(
        [
            {"folder": folder, "images": run.images, "whitening": whitening_of(run)}
            for run, folder in transfer_folders(wildcards)
        ]
    )


def transfer_code(wildcards):
    """The files that a transfer depends on."""
    kinds = {
        plan.hp["model"]["kind"]
        for run, plan in EXPERIMENT.final.items()
        if (run.dataset, run.n_train) == (wildcards.dataset, int(wildcards.n_train))
    }
    return closure("workflow/scripts/transfer.py", *(registry.module("models", kind) for kind in sorted(kinds)))


def first_final_cell(wildcards):
    """The record and the network of the first seed of a group's chosen run."""
    return [f"{ROOT}/cells/{final_run(wildcards).path}/seed-0/{name}" for name in ("train.json", "model.safetensors")]


def gallery_settings(wildcards):
    """Which images and perturbations a gallery shows."""
    return as_json(EXPERIMENT.galleries[wildcards.dataset, int(wildcards.n_train), wildcards.model])
