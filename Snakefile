# CraFT (ICML 2024), reproduced: from data sets to tables, figures and report.
#
#   snakemake --cores 8 all_tables                      the paper, config/config.yaml
#   snakemake all --configfile config/mini.yaml         the embedded suite
#   snakemake -n results/ablation_residual.csv          the jobs that one table would take
#   craft plan results/ablation_residual.csv            its queries, disk and hours


include: "workflow/Snakefile"


# Snakemake takes no default target from an included file.
workflow.default_target = "all"
