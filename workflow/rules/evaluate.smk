# Evaluation: in the blocks of training. Selection runs are evaluated on held-out training images, final runs on the
# test set. Networks from files are blocks of their own.
for _given, _dataset, _block, _sizes in [
    (given, *block) for given in (False, True) for block in EXPERIMENT.blocks(given=given)
]:

    rule:
        name:
            f"evaluate_{_dataset}{'_given' if _given else ''}_seeds_{_block[0]}_to_{_block[-1]}"
        input:
            data=DATA,
            cells=JOBS.block_files(_block, TRAINED),
            whitening=JOBS.whitening,
            code=JOBS.code("evaluate"),
        output:
            JOBS.block_files(_block, ["metrics.csv", "outcomes.npz"]),
        log:
            f"{ROOT}/logs/evaluate/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.log",
        benchmark:
            f"{ROOT}/logs/seconds/evaluate/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.tsv"
        wildcard_constraints:
            dataset=_dataset,
            n_train="|".join(_sizes),
            p=GIVEN if _given else TRAINED_P,
        threads: 1
        resources:
            gpu=GPUS,
            device=DEVICE,
            mem_mb=memory,
            runtime="2h",
        params:
            settings=JOBS.settings("evaluate"),
            cells=folders,
            states=f"{ROOT}/resume/{RUN_PATTERN}",
            whitening=optional("whitening"),
        shell:
            "logged {log:q} run evaluate.py --data {input.data:q} --settings {params.settings:q}"
            " --cells {params.cells:q} --states {params.states:q} --device {resources.device} {params.whitening:q}"


# Strong attacks on the networks that were chosen, each attack in separate jobs.
for _given, _name, _dataset, _block, _sizes in [
    (given, *block) for given in (False, True) for block in EXPERIMENT.strong_blocks(given=given)
]:

    rule:
        name:
            f"strong_{_name}_{_dataset}{'_given' if _given else ''}_seeds_{_block[0]}_to_{_block[-1]}".replace("-", "_")
        input:
            data=DATA,
            cells=JOBS.block_files(_block, TRAINED),
            whitening=JOBS.whitening,
            code=JOBS.code("strong", _name),
        output:
            JOBS.block_files(_block, [f"strong-{_name}.csv", f"strong-{_name}.npz"]),
        log:
            f"{ROOT}/logs/strong/{_name}/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.log",
        benchmark:
            f"{ROOT}/logs/seconds/strong/{_name}/{RUN_PATTERN}/seeds-{_block[0]}-to-{_block[-1]}.tsv"
        wildcard_constraints:
            dataset=_dataset,
            n_train="|".join(_sizes),
            p=GIVEN if _given else TRAINED_P,
        threads: 1
        resources:
            gpu=GPUS,
            device=DEVICE,
            mem_mb=memory,
            runtime="8h",
        params:
            settings=JOBS.settings("strong", _name),
            name=_name,
            cells=folders,
            whitening=optional("whitening"),
        shell:
            "logged {log:q} run evaluate.py --data {input.data:q} --settings {params.settings:q}"
            " --strong {params.name} --cells {params.cells:q} --device {resources.device} {params.whitening:q}"


# The settings of one group compete on held-out training images; the winner is trained again on all of them.
checkpoint choose:
    input:
        metrics=JOBS.candidates,
        code=closure("workflow/scripts/choose_setting.py"),
    output:
        f"{GROUPS}/choice.json",
    log:
        f"{ROOT}/logs/choose/{GROUP_PATTERN}.log",
    localrule: True
    params:
        candidates=JOBS.candidate_settings,
        by=JOBS.criterion,
    shell:
        "logged {log:q} run choose_setting.py --candidates {params.candidates:q} --by {params.by:q} --out {output:q}"
