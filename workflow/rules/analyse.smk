# Analysis: all cells joined into tidy tables, transfer between networks, and the arrays that the galleries show.
# Cells are joined group by group, so that no job waits for more than one choice and no command line grows too long.


# The resolved config beside the results, without what only says where and how jobs run.
rule settings:
    input:
        here("gradreg/planning/config.schema.yaml"),  # has the defaults
    output:
        f"{ROOT}/config.json",
    log:
        f"{ROOT}/logs/settings.log",
    localrule: True
    params:
        text=to_json(EXPERIMENT.settings),
    shell:
        "printf '%s\\n' {params.text:q} > {output:q} 2> {log:q}"


rule join_group:
    input:
        tables=JOBS.group_tables,
        code=closure("workflow/scripts/join_tables.py"),
    output:
        f"{GROUPS}/{{table}}.csv",
    log:
        f"{ROOT}/logs/join/{GROUP_PATTERN}/{{table}}.log",
    localrule: True
    shell:
        "logged {log:q} run join_tables.py --out {output:q} {input.tables:q}"


rule join:
    input:
        tables=[f"{ROOT}/groups/{group.path}/{{table}}.csv" for group in EXPERIMENT.groups],
        code=closure("workflow/scripts/join_tables.py"),
    output:
        f"{ROOT}/metrics/{{table}}.csv",
    log:
        f"{ROOT}/logs/join/{{table}}.log",
    localrule: True
    shell:
        "logged {log:q} run join_tables.py --out {output:q} {input.tables:q}"


rule join_outcomes:
    input:
        outcomes=partial(JOBS.final_files, suffix="npz"),
        code=closure("workflow/scripts/join_outcomes.py"),
    output:
        f"{GROUPS}/outcomes.npz",
    log:
        f"{ROOT}/logs/join/{GROUP_PATTERN}/outcomes.log",
    localrule: True
    params:
        about=JOBS.run_names,
    shell:
        "logged {log:q} run join_outcomes.py --about {params.about:q} --out {output:q} {input.outcomes:q}"


# Perturbations made for some networks of a study, shown to all of them.
rule transfer:
    input:
        unpack(JOBS.transfer_files),
        data=DATA,
        code=JOBS.code("transfer"),
    output:
        TRANSFER,
    log:
        f"{ROOT}/logs/transfer/{{dataset}}-{{n_train}}.log",
    benchmark:
        f"{ROOT}/logs/seconds/transfer/{{dataset}}-{{n_train}}.tsv"
    resources:
        gpu=GPUS,
        device=DEVICE,
        mem_mb=memory,
        runtime="2h",
    params:
        settings=JOBS.settings("transfer"),
        cells=JOBS.transfer_cells,
    shell:
        "logged {log:q} run transfer.py --data {input.data:q} --settings {params.settings:q}"
        " --cells {params.cells:q} --n-train {wildcards.n_train} --out {output:q} --device {resources.device}"


rule gallery:
    input:
        data=DATA,
        cell=JOBS.first_cell,
        whitening=JOBS.whitening,
        code=JOBS.code("gallery"),
    output:
        f"{GROUPS}/gallery.npz",
    log:
        f"{ROOT}/logs/gallery/{GROUP_PATTERN}.log",
    resources:
        gpu=GPUS,
        device=DEVICE,
        mem_mb=memory,
        runtime="30m",
    params:
        settings=JOBS.settings("gallery"),
        whitening=optional("whitening"),
    shell:
        "logged {log:q} run make_gallery.py --data {input.data:q} --settings {params.settings:q}"
        " --record {input.cell[0]:q} --out {output:q} --device {resources.device} {params.whitening:q}"
