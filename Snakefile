# Data, training, attacks, figures, report: see README.md. The grid of networks comes from config.yaml.
import os
import sys

from snakemake.utils import min_version

min_version("9.20")

sys.path.insert(0, str(workflow.basedir))
from gradreg.planning import yaml_files

# That of the folder of results (--directory) comes before the one here.
CONFIG = "config.yaml" if os.path.exists("config.yaml") else os.path.join(workflow.basedir, "config.yaml")
if fault := yaml_files.fault(CONFIG):
    sys.exit(fault)


configfile: CONFIG


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
        PROVENANCE,
        REPORTED,
        SHOWN,
        JOBS.before_choices(),
        JOBS.after_choices,
    localrule: True


onstart:
    records.a_run_began()
    hooks.clear_forced(EXPERIMENT, workflow.dag_settings)
    hooks.print_runtime(JOBS, workflow, GPUS)


onsuccess:
    records.a_run_succeeded()
    hooks.print_share(ROOT)
    hooks.clear_finished(ROOT, workflow.dag_settings)
    # Snakemake's own closing lines follow this block; the report is named below them.
    if os.path.exists(REPORT):
        atexit.register(print, f"Report: {REPORT}", file=sys.stderr)
