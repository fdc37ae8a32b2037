# Publication: figures and tables of each data set, and the report that holds them.
STUDIES = sorted({(group.dataset, group.n_train) for group in EXPERIMENT.groups})
# The tables that each figure of a study is drawn from.
FIGURES = {
    "objectives": "test",
    "validation_error": "validation test",
    "norm_matrix": "test",
    "robust_error": "test",
    "gradient_norms": "test",
    "learning_curves": "history test",
}
if not any(compares(*study) for study in STUDIES):
    del FIGURES["objectives"]
TABLES = {name: f"{ROOT}/metrics/{name}.csv" for name in ("validation", "history", "test")}

PUBLISHED = [file for study in STUDIES for file in published(*study, FIGURES)]
# Where the training set's size is an axis, one figure goes across the studies.
PUBLISHED += [
    f"{ROOT}/figures/{dataset}/sample_size.svg"
    for dataset in sorted({dataset for dataset, _ in STUDIES})
    if sum(dataset == of for of, _ in STUDIES) > 1
]


localrules:
    all,
    errors,
    figure_gallery,
    figure_sample_size,
    report,


rule errors:
    input:
        test=TABLES["test"],
        code=closure("workflow/scripts/make_table.py"),
    output:
        csv=f"{ROOT}/tables/{{dataset}}-{{n_train}}/errors.csv",
        markdown=f"{ROOT}/tables/{{dataset}}-{{n_train}}/errors.md",
        html=report(
            f"{ROOT}/tables/{{dataset}}-{{n_train}}/errors.html",
            caption="../report/errors.rst",
            category="{dataset}, {n_train} training images",
            labels={"shows": "1. Errors with intervals"},
        ),
    log:
        f"{ROOT}/logs/tables/{{dataset}}-{{n_train}}.log",
    params:
        facts=facts,
    shell:
        "logged {log:q} python workflow/scripts/make_table.py --test {input.test:q} --dataset {wildcards.dataset}"
        " --n-train {wildcards.n_train} --csv {output.csv:q} --markdown {output.markdown:q}"
        " --html {output.html:q}"


for _number, (_figure, _tables) in enumerate(FIGURES.items(), start=2):

    rule:
        name:
            f"figure_{_figure}"
        input:
            **{name: TABLES[name] for name in _tables.split()},
            code=closure("workflow/scripts/plot_figure.py"),
        output:
            svg=report(
                f"{ROOT}/figures/{{dataset}}-{{n_train}}/{_figure}.svg",
                caption=f"../report/{_figure}.rst",
                category="{dataset}, {n_train} training images",
                labels={"shows": f"{_number}. {_figure.replace('_', ' ').capitalize()}"},
            ),
            png=f"{ROOT}/figures/{{dataset}}-{{n_train}}/{_figure}.png",
        log:
            f"{ROOT}/logs/figures/{{dataset}}-{{n_train}}/{_figure}.log",
        localrule: True
        params:
            facts=facts,
            tables=lambda wildcards, input: [
                part for name, file in input.items() if name != "code" for part in (f"--{name}", file)
            ],
            figure=lambda wildcards, output: os.path.splitext(os.path.basename(output.svg))[0],
        shell:
            "logged {log:q} python workflow/scripts/plot_figure.py {params.figure} {params.tables:q} --dataset {wildcards.dataset}"
            " --n-train {wildcards.n_train} --n-selection {params.facts[n_selection]} --out {output:q}"


rule figure_gallery:
    input:
        galleries=galleries,
        code=closure("workflow/scripts/plot_figure.py"),
    output:
        svg=report(
            f"{ROOT}/figures/{{dataset}}-{{n_train}}/gallery_{{model}}.svg",
            caption="../report/gallery.rst",
            category="{dataset}, {n_train} training images",
            labels={"shows": f"{len(FIGURES) + 2}. Gallery of {{model}}"},
        ),
        png=f"{ROOT}/figures/{{dataset}}-{{n_train}}/gallery_{{model}}.png",
    log:
        f"{ROOT}/logs/figures/{{dataset}}-{{n_train}}/gallery_{{model}}.log",
    params:
        facts=facts,
    shell:
        "logged {log:q} python workflow/scripts/plot_figure.py gallery --galleries {input.galleries:q} --out {output:q}"


rule figure_sample_size:
    input:
        test=TABLES["test"],
        code=closure("workflow/scripts/plot_figure.py"),
    output:
        svg=report(
            f"{ROOT}/figures/{{dataset}}/sample_size.svg",
            caption="../report/sample_size.rst",
            category="{dataset}, every size",
            labels={"shows": "Error against training images"},
        ),
        png=f"{ROOT}/figures/{{dataset}}/sample_size.png",
    log:
        f"{ROOT}/logs/figures/{{dataset}}/sample_size.log",
    params:
        facts=lambda wildcards: [facts({"dataset": of, "n_train": n}) for of, n in STUDIES if of == wildcards.dataset],
    shell:
        "logged {log:q} python workflow/scripts/plot_figure.py sample_size --test {input.test:q}"
        " --dataset {wildcards.dataset} --out {output:q}"


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
