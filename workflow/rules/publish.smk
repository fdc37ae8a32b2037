# Publication: tables and figures of each study, and the report that holds them, by a reader's questions.
TABLES = {name: f"{ROOT}/metrics/{name}.csv" for name in ("validation", "history", "test")}

PUBLISHED = []


localrules:
    all,
    report,


for _dataset, _n_train in EXPERIMENT.studies:
    _study = study_name(_dataset, _n_train)
    _names = {"dataset": _dataset, "n_train": str(_n_train)}
    _tables = f"{ROOT}/tables/{_dataset}-{_n_train}"
    _folder = f"{ROOT}/figures/{_dataset}-{_n_train}"
    _figures = EXPERIMENT.figures(_dataset, _n_train)
    _models = [model for of, n, model in EXPERIMENT.galleries if (of, n) == (_dataset, _n_train)]
    _shown = {name: (name, {}) for name in _figures}
    _shown |= {f"{name}_{model}": (name, {"model": model}) for model in _models for name in ("gallery", "dreams")}
    _kinds = {"errors", "signs", *(name for name, _ in _shown.values())}
    PUBLISHED += [f"{_tables}/errors.html", f"{_tables}/signs.html", *(f"{_folder}/{file}.svg" for file in _shown)]

    rule:
        name:
            f"tables_{_dataset}_{_n_train}"
        input:
            test=TABLES["test"],
            validation=TABLES["validation"],
            outcomes=of_study(_names, "outcomes.npz"),
            code=closure("workflow/scripts/make_table.py"),
            published="gradreg/registry/literature.yaml",
        output:
            [f"{_tables}/{name}.{kind}" for name in ("errors", "comparison", "signs") for kind in ("csv", "md", "tex")],
            reported(f"{_tables}/errors.html", "errors", _study, _kinds),
            reported(f"{_tables}/signs.html", "signs", _study, _kinds),
        log:
            f"{ROOT}/logs/tables/{_dataset}-{_n_train}.log",
        localrule: True
        params:
            facts=facts(_names),
            selections=as_json(facts(_names)["selections"]),
            dataset=_dataset,
            n_train=_n_train,
            folder=folder_of_output,
        shell:
            "logged {log:q} python workflow/scripts/make_table.py --test {input.test:q} --validation {input.validation:q}"
            " --outcomes {input.outcomes:q} --dataset {params.dataset} --n-train {params.n_train}"
            " --selections {params.selections:q} --out {params.folder:q}"

    rule:
        name:
            f"figures_{_dataset}_{_n_train}"
        input:
            **TABLES,
            transfer=[TRANSFER.format(**_names)] if "transfer" in _figures else [],
            galleries=of_study(_names, "gallery.npz", _models),
            code=closure("workflow/scripts/plot_figures.py"),
            published="gradreg/registry/literature.yaml",
        output:
            [reported(f"{_folder}/{file}.svg", name, _study, _kinds, **own) for file, (name, own) in _shown.items()],
            [f"{_folder}/{file}.png" for file in _shown],
        log:
            f"{ROOT}/logs/figures/{_dataset}-{_n_train}.log",
        localrule: True
        params:
            facts=facts(_names),
            dataset=_dataset,
            n_train=_n_train,
            selections=as_json(facts(_names)["selections"]),
            figures=list(_shown),
            folder=folder_of_output,
            transfer=lambda wildcards, input: ["--transfer", *input.transfer] if input.transfer else [],
            galleries=lambda wildcards, input: ["--galleries", *input.galleries] if input.galleries else [],
        shell:
            "logged {log:q} python workflow/scripts/plot_figures.py {params.figures} --validation {input.validation:q}"
            " --history {input.history:q} --test {input.test:q} {params.transfer:q} {params.galleries:q}"
            " --dataset {params.dataset} --n-train {params.n_train} --selections {params.selections:q}"
            " --out {params.folder:q}"


# Where the training set's size is an axis, one figure goes across the studies.
for _dataset in sorted({dataset for dataset, _ in EXPERIMENT.studies}):
    _sizes = [n_train for of, n_train in EXPERIMENT.studies if of == _dataset]
    if len(_sizes) == 1:
        continue
    PUBLISHED.append(f"{ROOT}/figures/{_dataset}/sample_size.svg")

    rule:
        name:
            f"figure_sample_size_{_dataset}"
        input:
            test=TABLES["test"],
            code=closure("workflow/scripts/plot_figures.py"),
            published="gradreg/registry/literature.yaml",
        output:
            reported(
                f"{ROOT}/figures/{_dataset}/sample_size.svg", "sample_size", f"{_dataset}, every size", {"sample_size"}
            ),
            f"{ROOT}/figures/{_dataset}/sample_size.png",
        log:
            f"{ROOT}/logs/figures/{_dataset}.log",
        localrule: True
        params:
            facts=[facts({"dataset": _dataset, "n_train": n_train}) for n_train in _sizes],
            dataset=_dataset,
            folder=folder_of_output,
        shell:
            "logged {log:q} python workflow/scripts/plot_figures.py sample_size --test {input.test:q}"
            " --dataset {params.dataset} --out {params.folder:q}"


# A nested Snakemake writes the report from the finished figures; nothing is run by it.
rule report:
    input:
        PUBLISHED,
        config=f"{ROOT}/config.json",
        captions=sorted(glob_captions()),
    output:
        REPORT,
    log:
        f"{ROOT}/logs/report.log",
    params:
        published=PUBLISHED,
    shell:
        "logged {log:q} python -m snakemake {params.published:q} --report {output:q} --nolock --workflow-profile none"
        " --configfile {input.config:q}"
