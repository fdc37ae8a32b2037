# Evaluation: in the blocks of training. Selection runs are read on held-out training images, final runs on the test set.

for _dataset, _block, _sizes in EXPERIMENT.blocks():

    rule:
        name:
            f"evaluate_{_dataset}_seeds_{_block[0]}_to_{_block[-1]}"
        input:
            data=DATA,
            model=expand(f"{CELLS}/seed-{{seed}}/model.safetensors", seed=_block, allow_missing=True),
            record=expand(f"{CELLS}/seed-{{seed}}/train.json", seed=_block, allow_missing=True),
            whitening=whitening,
            code=evaluation_code,
        output:
            expand(f"{CELLS}/seed-{{seed}}/metrics.csv", seed=_block, allow_missing=True),
        log:
            f"{ROOT}/logs/evaluate/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.log",
        wildcard_constraints:
            dataset=_dataset,
            n_train="|".join(_sizes),
        threads: 1
        resources:
            gpu=GPUS,
            device=DEVICE,
            mem_mb=4000,
            runtime="2h",
        params:
            attack=attack_settings,
            functions=functions_of_attacks,
            cells=folders,
            whitening=whitening_argument,
        shell:
            "logged {log:q} python workflow/scripts/evaluate.py --data {input.data:q} --attack {params.attack:q}"
            " --cells {params.cells:q} --device {resources.device} {params.whitening:q}"


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
