# CraFT (ICML 2024), reproduced: from data sets to tables, figures and report.
#
#   snakemake --cores 8 all_tables                      the paper, config/config.yaml
#   snakemake all --configfile config/mini.yaml         the embedded suite
#   snakemake -n results/ablation_residual.csv          the jobs that one table would take
#   craft plan results/ablation_residual.csv            its queries, disk and hours

from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/suite.smk"
include: "workflow/rules/common.smk"
include: "workflow/rules/claim.smk"
include: "workflow/rules/needs.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/blackbox.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    input:
        ALL_TABLES,
        ALL_FIGURES,
        f"{RESULTS}/runs.csv",
        f"{RESULTS}/provenance.json",


rule all_tables:
    input:
        ALL_TABLES,


rule all_figures:
    input:
        ALL_FIGURES,


rule all_runs:
    input:
        f"{RESULTS}/runs.csv",
