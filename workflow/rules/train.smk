# Training: one job per run and block of seeds, one folder per cell.
# A run is one point of the grid: (dataset, n_train, model, objective, p, eps).

# Rules are made in loops, here and below, where the number of their outputs depends on the config: the outputs of a rule
# are a fixed list, and a wildcard stands for one name, not for several.
for _dataset, _block, _sizes in EXPERIMENT.blocks():

    rule:
        name:
            f"train_{_dataset}_seeds_{_block[0]}_to_{_block[-1]}"
        input:
            data=DATA,
            whitening=JOBS.whitening,
            code=JOBS.code("train"),
        output:
            JOBS.block_files(_block, TRAINED),
        log:
            f"{ROOT}/logs/train/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.log",
        benchmark:
            f"{ROOT}/logs/seconds/train/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.tsv"
        wildcard_constraints:
            dataset=_dataset,
            n_train="|".join(_sizes),
            p=TRAINED_P,
        threads: 1
        resources:
            gpu=GPUS,
            device=DEVICE,
            mem_mb=memory,
            runtime="4h",
        params:
            settings=JOBS.settings("train"),
            resume=f"{ROOT}/resume/{RUN_PATTERN}",
            cells=folders,
            whitening=optional("whitening"),
        shell:
            "logged {log:q} run train.py --data {input.data:q} --settings {params.settings:q}"
            " --cells {params.cells:q} --resume {params.resume:q} --device {resources.device} {params.whitening:q}"


# A network that was trained elsewhere stands where a trained one would.
rule take_network:
    input:
        data=DATA,
        network=JOBS.given_file,
        code=JOBS.code("take"),
    output:
        JOBS.block_files([0], TRAINED),
    log:
        f"{ROOT}/logs/take/{RUN_PATTERN}.log",
    wildcard_constraints:
        p=GIVEN,
    resources:
        mem_mb=4000,
        runtime="30m",
    params:
        settings=JOBS.settings("take"),
        cell=folders,
    shell:
        "logged {log:q} run take_network.py --data {input.data:q} --settings {params.settings:q} --cell {params.cell:q}"
