# Tables, as CSV, Markdown, LaTeX and HTML.


rule make_table:
    """Make a table from its gathered runs, with the paper's printed numbers beside them."""
    input:
        gathered=GATHERED,
        published=published,
        current=current(f"{RESULTS}/{paths.TABLE}.csv"),
    output:
        csv=f"{RESULTS}/{paths.TABLE}.csv",
        md=f"{RESULTS}/{paths.TABLE}.md",
        tex=f"{RESULTS}/{paths.TABLE}.tex",
        html=report(
            f"{RESULTS}/{paths.TABLE}.html",
            caption="../report/artefact.rst",
            category="Tables",
            labels=label_of,
        ),
    log:
        f"{LOGS}/make_table/{{artefact}}.log",
    benchmark:
        f"{BENCHMARKS}/make_table/{{artefact}}.tsv"
    wildcard_constraints:
        artefact=one_of(each.name for each in tables() if each.name in ASKED),
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
        "Make {params.heading}"
    shell:
        "python -m craft.report.tables --artefact {wildcards.artefact:q} --runs {input.gathered:q}"
        " {params.published:q} --out {params.out:q} {params.job:q} > {log:q} 2>&1"
