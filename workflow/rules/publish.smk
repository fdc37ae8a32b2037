# Publication: tables and figures of each study, and the report that holds them, by a reader's questions.
TABLES = {name: f"{ROOT}/metrics/{name}.csv" for name in ("validation", "history", "test")}

CAPTIONS = sorted(
    here(f"workflow/report/{name}")
    for name in os.listdir(os.path.join(workflow.basedir, "workflow/report"))
    if name.endswith(".rst")
)

# What the report holds, and what is shown beside it.
REPORTED, SHOWN = [], []

for _study in EXPERIMENT.studies:
    _name = "{}-{}".format(*_study)
    _facts, _figures = reporting.facts(EXPERIMENT, _study), list(reporting.figures(EXPERIMENT, _study))
    _shown = reporting.contents(EXPERIMENT, _study)
    _arguments = reporting.arguments(EXPERIMENT, _study)
    # Scripts read it from the registry; as a parameter, a changed entry reruns only the studies of its data set.
    _literature = to_json(literature.entries(_study[0]))
    _beside = [f"{ROOT}/{file}" for file in reporting.beside(EXPERIMENT, _study)]
    REPORTED += [f"{ROOT}/{file}" for file in _shown]
    SHOWN += _beside

    rule:
        name:
            f"tables_{_name}".replace("-", "_")
        input:
            test=TABLES["test"],
            validation=TABLES["validation"],
            outcomes=JOBS.study_files(_study, "outcomes.npz"),
            code=closure("workflow/scripts/make_table.py"),
        output:
            [file for file in _beside if file.startswith(f"{ROOT}/tables/")],
            shown(_study, _shown, "tables/"),
        log:
            f"{ROOT}/logs/tables/{_name}.log",
        localrule: True
        params:
            facts=_facts,
            literature=_literature,
            arguments=_arguments,
            folder=subpath(output[0], parent=True),
        shell:
            "logged {log:q} run make_table.py --test {input.test:q} --validation {input.validation:q}"
            " --outcomes {input.outcomes:q} {params.arguments:q} --out {params.folder:q}"

    rule:
        name:
            f"figures_{_name}".replace("-", "_")
        input:
            **TABLES,
            transfer=[TRANSFER.format(dataset=_study[0], n_train=_study[1])] if "transfer" in _figures else [],
            galleries=JOBS.study_files(_study, "gallery.npz", reporting.models_with_galleries(EXPERIMENT, _study)),
            code=closure("workflow/scripts/plot_figures.py"),
        output:
            shown(_study, _shown, "figures/"),
            [file for file in _beside if file.startswith(f"{ROOT}/figures/")],
        log:
            f"{ROOT}/logs/figures/{_name}.log",
        localrule: True
        params:
            facts=_facts,
            figures=_figures,
            literature=_literature,
            arguments=_arguments,
            folder=subpath(output[0], parent=True),
            transfer=optional("transfer"),
            galleries=optional("galleries"),
            width=EXPERIMENT.config["figure_width"],
        shell:
            "logged {log:q} run plot_figures.py {params.figures} --width {params.width} --validation {input.validation:q}"
            " --history {input.history:q} --test {input.test:q} {params.transfer:q} {params.galleries:q}"
            " {params.arguments:q} --out {params.folder:q}"


# Where the training set's size is an axis, one figure goes across the studies.
for _dataset in EXPERIMENT.in_several_sizes:
    _studies = [study for study in EXPERIMENT.studies if study[0] == _dataset]
    _shown = reporting.contents(EXPERIMENT, (_dataset, 0))
    _beside = [f"{ROOT}/{file}" for file in reporting.beside(EXPERIMENT, (_dataset, 0))]
    REPORTED += [f"{ROOT}/{file}" for file in _shown]
    SHOWN += _beside

    rule:
        name:
            f"figure_sample_size_{_dataset}"
        input:
            test=TABLES["test"],
            code=closure("workflow/scripts/plot_figures.py"),
        output:
            shown((_dataset, 0), _shown, "figures/"),
            _beside,
        log:
            f"{ROOT}/logs/figures/{_dataset}.log",
        localrule: True
        params:
            facts=[reporting.facts(EXPERIMENT, study) for study in _studies],
            dataset=_dataset,
            folder=subpath(output[0], parent=True),
            width=EXPERIMENT.config["figure_width"],
        shell:
            "logged {log:q} run plot_figures.py sample_size --width {params.width} --test {input.test:q}"
            " --dataset {params.dataset} --out {params.folder:q}"


rule report:
    input:
        REPORTED,
        [file for file in SHOWN if file.endswith("comparison.csv")],
        test=TABLES["test"],
        config=f"{ROOT}/config.json",
        captions=CAPTIONS,
        template=here("workflow/report/page.html"),
        code=closure("workflow/scripts/write_report.py"),
    output:
        REPORT,
    log:
        f"{ROOT}/logs/report.log",
    localrule: True
    shell:
        "logged {log:q} run write_report.py --config {input.config:q} --template {input.template:q} --out {output:q}"


# Which job made each file, from what, with which code. A nested Snakemake writes it; nothing is run by it.
rule provenance:
    input:
        REPORTED,
        config=f"{ROOT}/config.json",
        captions=CAPTIONS,
    output:
        PROVENANCE,
    log:
        f"{ROOT}/logs/provenance.log",
    localrule: True
    params:
        reported=REPORTED,
    shell:
        'logged {log:q} python -m snakemake --snakefile "$GRADREG_CODE/Snakefile" {params.reported:q}'
        " --report {output:q} --nolock --workflow-profile none --configfile {input.config:q}"
