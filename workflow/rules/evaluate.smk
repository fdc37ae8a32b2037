# Evaluation: in the blocks of training. Selection runs are read on held-out training images, final runs on the test set.

for _dataset, _block, _sizes in EXPERIMENT.blocks():

    rule:
        name:
            f"evaluate_{_dataset}_seeds_{_block[0]}_to_{_block[-1]}"
        input:
            data=DATA,
            cells=cell_of_block(_block, TRAINED),
            whitening=whitening,
            code=evaluation_code,
        output:
            cell_of_block(_block, ["metrics.csv", "outcomes.npz"]),
        log:
            f"{ROOT}/logs/evaluate/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.log",
        benchmark:
            f"{ROOT}/logs/seconds/evaluate/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.tsv"
        wildcard_constraints:
            dataset=_dataset,
            n_train="|".join(_sizes),
        threads: 1
        resources:
            gpu=GPUS,
            device=DEVICE,
            mem_mb=memory,
            runtime="2h",
        params:
            attack=attack_settings,
            functions=functions_of_attacks,
            cells=folders,
            whitening=whitening_argument,
        shell:
            "on_gpu {resources.gpu} && logged {log:q} python workflow/scripts/evaluate.py"
            " --data {input.data:q} --attack {params.attack:q}"
            " --cells {params.cells:q} --device {resources.device} {params.whitening:q}"


# Strong attacks on the networks that were chosen, each attack in jobs of its own.
for _name, _dataset, _block, _sizes in EXPERIMENT.strong_blocks():

    rule:
        name:
            f"strong_{_name}_{_dataset}_seeds_{_block[0]}_to_{_block[-1]}".replace("-", "_")
        input:
            data=DATA,
            cells=cell_of_block(_block, TRAINED),
            whitening=whitening,
            code=partial(strong_code, name=_name),
        output:
            cell_of_block(_block, [f"strong-{_name}.csv", f"strong-{_name}.npz"]),
        log:
            f"{ROOT}/logs/strong/{_name}/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.log",
        benchmark:
            f"{ROOT}/logs/seconds/strong/{_name}/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.tsv"
        wildcard_constraints:
            dataset=_dataset,
            n_train="|".join(_sizes),
        threads: 1
        resources:
            gpu=GPUS,
            device=DEVICE,
            mem_mb=memory,
            runtime="8h",
        params:
            attack=partial(strong_settings, name=_name),
            functions=partial(functions_of_strong, name=_name),
            cells=folders,
            name=_name,
            whitening=whitening_argument,
        shell:
            "on_gpu {resources.gpu} && logged {log:q} python workflow/scripts/evaluate.py"
            " --data {input.data:q} --attack {params.attack:q}"
            " --strong {params.name} --cells {params.cells:q} --device {resources.device} {params.whitening:q}"


localrules:
    choose,


# The settings of one group compete on held-out training images; the winner is trained again on all of them.
checkpoint choose:
    input:
        metrics=candidate_files,
        code=closure("workflow/scripts/choose_setting.py"),
    output:
        f"{GROUPS}/choice.json",
    log:
        f"{ROOT}/logs/choose/{GROUP_PATTERN}.log",
    params:
        candidates=candidate_settings,
    shell:
        "logged {log:q} python workflow/scripts/choose_setting.py --candidates {params.candidates:q} --out {output:q}"
