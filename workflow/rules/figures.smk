# Figures, and their numbers as CSV.


rule draw_figure:
    """Draw a figure from its gathered runs, with the paper's printed numbers."""
    input:
        gathered=GATHERED,
        published=published,
        current=current(f"{RESULTS}/{paths.FIGURE}.pdf"),
    output:
        pdf=f"{RESULTS}/{paths.FIGURE}.pdf",
        png=report(
            f"{RESULTS}/{paths.FIGURE}.png",
            caption="../report/artefact.rst",
            category="Figures",
            labels=label_of,
        ),
        csv=f"{RESULTS}/{paths.FIGURE}.csv",
    log:
        f"{LOGS}/draw_figure/{{artefact}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_figure/{{artefact}}.tsv"
    wildcard_constraints:
        artefact=one_of(each.name for each in figures() if each.name in ASKED),
    # As in evaluate.smk: seconds of work.
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        published=["--published", SUITE["published"]] if SUITE["published"] else [],
        out=subpath(output.csv, strip_suffix=".csv"),
        heading=heading,
        about=about,
        job=making,
    message:
        "Draw {params.heading}"
    shell:
        "python -m craft.report.figures --artefact {wildcards.artefact:q} --runs {input.gathered:q}"
        " {params.published:q} --out {params.out:q} {params.job:q} > {log:q} 2>&1"
