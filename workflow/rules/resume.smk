# The states of unfinished training: a job that is forced to run starts afresh. Seen in the main process only, where the
# flags are: Snakemake runs jobs elsewhere with a --force of its own.


def clear_forced(dag):
    """Remove the states of all training that -F, -R or -f asks to be run again, of final runs not yet planned as well."""
    rules = {rule.name for rule in dag.forcerules}
    forced = [
        (f"{dataset}-{size}", set(block))
        for dataset, block, sizes in EXPERIMENT.blocks()
        for size in sizes
        if f"train_{dataset}_seeds_{block[0]}_to_{block[-1]}" in rules
    ]
    for file in glob.glob(f"{ROOT}/resume/**/seed-*.safetensors", recursive=True):
        run, name = os.path.split(os.path.relpath(file, f"{ROOT}/resume"))
        seeds = {int(seed) for seed in name.removesuffix(".safetensors").split("-")[1:]}
        outputs = {f"{ROOT}/cells/{run}/seed-{seed}/{output}" for seed in seeds for output in TRAINED}
        if any(run.split("/")[0] == images and seeds & block for images, block in forced) or dag.forcefiles & outputs:
            os.remove(file)
