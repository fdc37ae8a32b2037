# Data, training, attacks, figures, report: see README.md. The grid of networks comes from config.yaml.
from snakemake.utils import min_version

min_version("9.20")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/publish.smk"


rule all:
    default_target: True
    input:
        REPORT,
        REPORTED,
        SHOWN,
        JOBS.before_choices(),
        JOBS.after_choices,
    localrule: True


onstart:
    hooks.clear_forced(EXPERIMENT, workflow.dag_settings)
    hooks.print_runtime(JOBS, workflow, GPUS)


onsuccess:
    hooks.print_share(ROOT)
    hooks.remove_empty_folders(ROOT)
    # Snakemake's own closing lines follow this block; the report is named below them.
    if os.path.exists(REPORT):
        atexit.register(print, f"Report: {REPORT}", file=sys.stderr)
