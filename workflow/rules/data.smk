# Data: fetched once for all experiments, verified against known checksums.


# Made once and never again while checksums, range of pixels and number of classes stay: neither the code that fetches
# the arrays nor the folder they come from is a reason to fetch them again, and with them all that was trained on them.
rule data:
    output:
        DATA,
    log:
        "results/data/{dataset}.log",
    localrule: True
    resources:
        data_dir=EXPERIMENT.config["data_dir"] or "",
        mem_mb=2000,
        runtime="30m",
    params:
        checksums=lambda wildcards: DATASETS[wildcards.dataset].fingerprint,
        values=lambda wildcards: (DATASETS[wildcards.dataset].top, DATASETS[wildcards.dataset].classes),
    shell:
        "logged {log:q} run prepare_data.py {wildcards.dataset} {output:q} --data-dir={resources.data_dir:q}"


# One per training split, for all networks that whiten: contrast normalisation and ZCA of its images.
rule whitening:
    input:
        data=DATA,
        code=closure("workflow/scripts/fit_whitening.py"),
    output:
        WHITENING,
    log:
        "results/data/whitening/{dataset}-{n_train}.log",
    resources:
        mem_mb=4000,
        runtime="30m",
    shell:
        "logged {log:q} run fit_whitening.py --data {input.data:q} --images {wildcards.n_train} --out {output:q}"
