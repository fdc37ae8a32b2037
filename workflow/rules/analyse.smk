# Analysis: all cells joined into tidy tables, and the arrays that the galleries show.
# Cells are joined group by group, so that no job waits for more than one choice and no command line grows too long.


localrules:
    settings,
    join_group,
    join,
    join_outcomes,


# The resolved config beside the results, without what only says where and how jobs run.
rule settings:
    output:
        f"{ROOT}/config.json",
    log:
        f"{ROOT}/logs/settings.log",
    params:
        text=as_json(EXPERIMENT.settings),
    shell:
        "printf '%s\\n' {params.text:q} > {output:q} 2> {log:q}"


rule join_group:
    input:
        tables=tables_of_group,
        code=closure("workflow/scripts/join_tables.py"),
    output:
        f"{GROUPS}/{{table}}.csv",
    log:
        f"{ROOT}/logs/join/{GROUP_PATTERN}/{{table}}.log",
    shell:
        "logged {log:q} python workflow/scripts/join_tables.py --out {output:q} {input.tables:q}"


rule join:
    input:
        tables=[f"{ROOT}/groups/{group.path}/{{table}}.csv" for group in EXPERIMENT.groups],
        code=closure("workflow/scripts/join_tables.py"),
    output:
        f"{ROOT}/metrics/{{table}}.csv",
    log:
        f"{ROOT}/logs/join/{{table}}.log",
    shell:
        "logged {log:q} python workflow/scripts/join_tables.py --out {output:q} {input.tables:q}"


rule join_outcomes:
    input:
        outcomes=lambda wildcards: final_files(wildcards, "npz"),
        code=closure("workflow/scripts/join_outcomes.py"),
    output:
        f"{GROUPS}/outcomes.npz",
    log:
        f"{ROOT}/logs/join/{GROUP_PATTERN}/outcomes.log",
    params:
        about=lambda wildcards: as_json(vars(final_run(wildcards))),
    shell:
        "logged {log:q} python workflow/scripts/join_outcomes.py --about {params.about:q} --out {output:q}"
        " {input.outcomes:q}"


# What is made for some networks of a study, shown to all of them.
rule transfer:
    input:
        unpack(transfer_files),
        data=DATA,
        code=transfer_code,
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
        settings=lambda wildcards: as_json(EXPERIMENT.transfers[wildcards.dataset, int(wildcards.n_train)]),
        cells=transfer_cells,
    shell:
        "on_gpu {resources.gpu} && logged {log:q} python workflow/scripts/transfer.py"
        " --data {input.data:q} --settings {params.settings:q}"
        " --cells {params.cells:q} --n-train {wildcards.n_train} --out {output:q} --device {resources.device}"


rule gallery:
    input:
        data=DATA,
        cell=first_final_cell,
        whitening=whitening,
        code=gallery_code,
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
        gallery=gallery_settings,
        whitening=whitening_argument,
    shell:
        "on_gpu {resources.gpu} && logged {log:q} python workflow/scripts/make_gallery.py"
        " --data {input.data:q} --gallery {params.gallery:q}"
        " --record {input.cell[0]:q} --out {output:q} --device {resources.device} {params.whitening:q}"
