# Training: one job per run and block of seeds, one folder per cell.
# A run is one point of the grid: (dataset, n_train, model, objective, p, eps).

for _dataset, _block, _sizes in EXPERIMENT.blocks():

    rule:
        name:
            f"train_{_dataset}_seeds_{_block[0]}_to_{_block[-1]}"
        input:
            data=DATA,
            whitening=whitening,
            code=training_code,
        output:
            cell_of_block(_block, TRAINED),
        log:
            f"{ROOT}/logs/train/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.log",
        benchmark:
            f"{ROOT}/logs/seconds/train/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.tsv"
        wildcard_constraints:
            dataset=_dataset,
            n_train="|".join(_sizes),
        threads: 1
        resources:
            gpu=GPUS,
            device=DEVICE,
            mem_mb=memory,
            runtime="4h",
        params:
            hp=hyperparameters,
            functions=functions_of_training,
            run=names_of_run,
            resume=f"{ROOT}/resume/{RUN_PATTERN}",
            cells=folders,
            whitening=whitening_argument,
        shell:
            "on_gpu {resources.gpu} && logged {log:q} python workflow/scripts/train.py"
            " --data {input.data:q} --hp {params.hp:q} --run {params.run:q}"
            " --cells {params.cells:q} --resume {params.resume:q} --device {resources.device}"
            " {params.whitening:q}"
