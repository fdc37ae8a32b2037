# What the rules share: the experiment behind the config, paths, the device, functions for inputs and params.
import atexit
import json
import os
import shlex
import subprocess
import sys

sys.path.insert(0, str(workflow.basedir))

try:
    from gradreg import registry
    from gradreg.config import ConfigError
    from gradreg.data.registry import DATASETS
    from gradreg.experiment import Experiment, Group, GROUP_PATTERN, Run, RUN_PATTERN, as_json
    from gradreg.flow import closure, has_gpu
    from gradreg.labels import from_path
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
DATA = "results/data/{dataset}.npz"
WHITENING = "results/data/whitening/{dataset}-{n_train}.safetensors"

# Jobs ask for a GPU only where networks will run on one.
DEVICE = EXPERIMENT.config["device"] if has_gpu() or EXPERIMENT.config["device"] == "cuda" else "cpu"
GPUS = 0 if DEVICE == "cpu" else 1

# Before each command: the Python that runs Snakemake also runs the jobs, whether or not its environment is activated,
# on the package of this folder, wherever another copy is installed; and ``logged FILE COMMAND`` keeps what a command
# prints in FILE, whose end it shows when the command fails.
shell.prefix(
    f"set -euo pipefail; export PATH={shlex.quote(os.path.dirname(sys.executable))}:$PATH"
    # Braces are doubled: Snakemake formats the prefix with the command.
    f" PYTHONPATH={shlex.quote(str(workflow.basedir))}" + "${{PYTHONPATH:+:$PYTHONPATH}}; "
    'logged() {{ local log="$1"; shift; "$@" > "$log" 2>&1 || {{ tail -n 5 "$log" >&2; return 1; }}; }}; '
)


wildcard_constraints:
    dataset="[a-z0-9_]+",
    n_train=r"\d+(from\d+)?",
    model="[a-z][a-z0-9-]*",
    objective="[a-z][a-z0-9-]*",
    p=r"none|inf|\d+(\.\d+)?",
    eps=r"\d+(\.\d+)?|\d+of\d+",
    table="validation|history|test",


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
    whitens = EXPERIMENT.plan(run).hp["model"]["input"] == "whitened"
    return WHITENING.format(dataset=run.dataset, n_train=run.images) if whitens else []


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
        return cell_files([final_run(wildcards)], EXPERIMENT.final, "metrics.csv")
    return candidate_files(wildcards, {"validation": "metrics.csv", "history": "history.csv"}[wildcards.table])


def first_final_cell(wildcards):
    """The record and the network of the first seed of a group's chosen run."""
    return [f"{ROOT}/cells/{final_run(wildcards).path}/seed-0/{name}" for name in ("train.json", "model.safetensors")]


def galleries(wildcards):
    """The galleries of one network: as many as there are groups."""
    study = (wildcards.dataset, int(wildcards.n_train), wildcards.model)
    own = [group for group in EXPERIMENT.groups if (group.dataset, group.n_train, group.model) == study]
    return [f"{ROOT}/groups/{group.path}/gallery.npz" for group in own]


def gallery_settings(wildcards):
    """Which images and perturbations a gallery shows."""
    return as_json(EXPERIMENT.galleries[wildcards.dataset, int(wildcards.n_train), wildcards.model])


def facts(wildcards):
    """What captions say of a study: images, seeds, attack."""
    study = (wildcards["dataset"], int(wildcards["n_train"]))
    run, final = next((run, plan) for run, plan in EXPERIMENT.final.items() if (run.dataset, run.n_train) == study)
    size = EXPERIMENT.selection_size(*study, run.model)
    selection = next(p for r, p in EXPERIMENT.selection.items() if (r.dataset, r.n_train) == (run.dataset, size))
    n_test = final.attack["n_test"]
    return {
        "n_train": run.n_train,
        "n_test": n_test,
        "n_selection": size,
        "n_validation": selection.hp["n_validation"],
        "seeds": final.seeds,
        "selection_seeds": selection.seeds,
        "attacked": min(final.attack["images"], n_test),
        "steps": final.attack["steps"],
    }


def compares(dataset, n_train):
    """Whether a study has several objectives, to be shown side by side."""
    own = [group for group in EXPERIMENT.groups if (group.dataset, group.n_train) == (dataset, n_train)]
    return len({group.objective for group in own if group.p != "none"}) > 1


def published(dataset, n_train, figures):
    """The tables and figures of one study."""
    names = [name for name in figures if name != "objectives" or compares(dataset, n_train)]
    names += [f"gallery_{model}" for of, n, model in EXPERIMENT.galleries if (of, n) == (dataset, n_train)]
    return [f"{ROOT}/tables/{dataset}-{n_train}/errors.html"] + [
        f"{ROOT}/figures/{dataset}-{n_train}/{name}.svg" for name in names
    ]


def glob_captions():
    """The captions, relative to the folder that Snakemake runs in."""
    return [f"workflow/report/{name}" for name in os.listdir(os.path.join(workflow.basedir, "workflow", "report"))]


def remaining_work(jobs):
    """What the jobs of a DAG train and measure, with the final runs of choices that are still open: for the budget."""
    found = {}

    def add(run, **counts):
        plan = EXPERIMENT.plan(run)
        item = {
            "dataset": run.dataset,
            "hp": plan.hp,
            "attack": plan.attack,
            "n_read": plan.n_read,
            "train": 0,
            "evaluate": 0,
        }
        for stage, count in counts.items():
            found.setdefault(run, item)[stage] += count

    for job in jobs:
        stage = job.rule.name.split("_")[0]
        if stage in ("train", "evaluate"):
            last = {"train": "model.safetensors", "evaluate": "metrics.csv"}[stage]
            add(run_of(job.wildcards), **{stage: sum(str(file).endswith(last) for file in job.output)})
        elif stage == "choose":
            candidate = EXPERIMENT.groups[group_of(job.wildcards)][-1]
            final = EXPERIMENT.final_run(group_of(job.wildcards), vars(candidate))
            seeds = EXPERIMENT.final[final].seeds
            add(final, train=seeds, evaluate=seeds)
    return list(found.values())


def print_budget(workflow):
    """Say before the first job how much is to be done and, on the CPUs of this machine, how long it will take."""
    jobs = list(workflow.dag.needrun_jobs())
    work = remaining_work(jobs)
    if workflow.touch or not work:
        return
    if GPUS or not workflow.local_exec:
        counts = [sum(item[stage] for item in work) for stage in ("train", "evaluate")]
        print(f"Budget: at most {counts[0]} networks to train, {counts[1]} to measure.", file=sys.stderr)
        return
    command = [sys.executable, f"{workflow.basedir}/workflow/scripts/budget.py"]
    command += ["--jobs", str(len(jobs)), "--parallel", str(workflow.cores)]
    environment = os.environ | {"PYTHONPATH": str(workflow.basedir)}
    print("Timing a few training steps of each kind ...", file=sys.stderr)
    done = subprocess.run(command, input=json.dumps(work), env=environment, stdout=subprocess.PIPE, text=True)
    print(done.stdout.strip() or "Budget: not known, see above; the run goes on", file=sys.stderr)
