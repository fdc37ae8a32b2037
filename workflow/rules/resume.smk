# The states of unfinished training: a job that is forced to run starts afresh. Seen in the main process only, where the
# flags are: Snakemake runs jobs elsewhere with a --force of its own.


def clear_forced(asked):
    """Remove the states of all training that -F, -R or -f asks to be run again, of final runs not yet planned as well.

    asked: what the command line says. Not what the DAG calls forced, which has the jobs that a kill cut off as well.
    """
    names = set(asked.forcerun) | (set(asked.targets) if asked.forcetargets else set())
    forced = [
        (f"{dataset}-{size}", set(block))
        for dataset, block, sizes in EXPERIMENT.blocks()
        for size in sizes
        if asked.forceall or f"train_{dataset}_seeds_{block[0]}_to_{block[-1]}" in names
    ]
    for file in glob.glob(f"{ROOT}/resume/**/seed-*.safetensors", recursive=True):
        run, name = os.path.split(os.path.relpath(file, f"{ROOT}/resume"))
        seeds = {int(seed) for seed in name.removesuffix(".safetensors").split("-")[1:]}
        outputs = {f"{ROOT}/cells/{run}/seed-{seed}/{output}" for seed in seeds for output in TRAINED}
        if any(run.split("/")[0] == images and seeds & block for images, block in forced) or names & outputs:
            os.remove(file)


def remove_empty_folders():
    """Where nothing is unfinished, nothing is left of the folder of states."""
    for folder, _, _ in os.walk(f"{ROOT}/resume", topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)
