# What a run says of its time: an estimate before the first job, and the share of evaluation at the end.


def print_share():
    """Say what share of the seconds of this experiment's jobs went into evaluation, earlier runs included."""
    seconds = {}
    for file in glob.glob(f"{ROOT}/logs/seconds/**/*.tsv", recursive=True):
        stage = os.path.relpath(file, f"{ROOT}/logs/seconds").split(os.sep)[0]
        with open(file) as table:
            seconds[stage] = seconds.get(stage, 0) + float(table.read().splitlines()[1].split("\t")[0])
    training, total = seconds.get("train", 0), sum(seconds.values())
    if total:
        parts = ", ".join(f"{stage} {own / total:.0%}" for stage, own in sorted(seconds.items()) if stage != "train")
        print(f"Evaluation took {1 - training / total:.0%} of {total:.0f} job seconds ({parts}).", file=sys.stderr)


def remaining_work(jobs):
    """What the jobs of a DAG train and measure, with the final runs of choices that are still open: for the budget."""
    found = {}

    def add(run, train=0, evaluate=0, attacked=None):
        plan = EXPERIMENT.plan(run)
        item = {
            "dataset": run.dataset,
            "hp": plan.hp,
            "attack": plan.attack,
            "n_read": plan.n_read,
            "strong": plan.strong,
            "train": 0,
            "evaluate": 0,
            "attacked": dict.fromkeys(plan.strong, 0),
        }
        own = found.setdefault(run, item)
        own["train"] += train
        own["evaluate"] += evaluate
        for name, count in (attacked or {}).items():
            own["attacked"][name] += count

    for job in jobs:
        stage = job.rule.name.split("_")[0]
        if stage in ("train", "evaluate"):
            last = {"train": "model.safetensors", "evaluate": "metrics.csv"}[stage]
            add(run_of(job.wildcards), **{stage: sum(str(file).endswith(last) for file in job.output)})
        elif stage == "strong":
            count = sum(str(file).endswith(".csv") for file in job.output)
            add(run_of(job.wildcards), attacked={job.params.name: count})
        elif stage == "choose":
            candidate = EXPERIMENT.groups[group_of(job.wildcards)][-1]
            final = EXPERIMENT.final_run(group_of(job.wildcards), vars(candidate))
            plan = EXPERIMENT.final[final]
            attacked = {name: own["seeds"] for name, own in plan.strong.items()}
            add(final, train=plan.seeds, evaluate=plan.seeds, attacked=attacked)
            for run in EXPERIMENT.half_runs(group_of(job.wildcards), vars(candidate)):
                if run in EXPERIMENT.halves:
                    add(run, train=EXPERIMENT.halves[run].seeds)
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
