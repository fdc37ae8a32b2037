# Data: fetched once for all experiments, verified against published checksums.


localrules:
    data,


rule data:
    input:
        code=closure("workflow/scripts/prepare_data.py"),
    output:
        DATA,
    log:
        "results/data/{dataset}.log",
    params:
        data_dir=["--data-dir", EXPERIMENT.config["data_dir"]] if EXPERIMENT.config["data_dir"] else [],
    resources:
        mem_mb=2000,
        runtime="30m",
    shell:
        "python workflow/scripts/prepare_data.py {wildcards.dataset} {output:q} {params.data_dir:q} > {log:q} 2>&1"
