# One rule per table of the paper, named as the table.

for table in (name for name in DESIGN.artefacts() if name in TABLES):

    rule:
        name:
            table
        input:
            sources=DESIGN.sources(table),
            published=published(table),
            current=current(f"{RESULTS}/{table}.csv"),
        output:
            csv=f"{RESULTS}/{table}.csv",
            md=f"{RESULTS}/{table}.md",
            tex=f"{RESULTS}/{table}.tex",
            html=report(
                f"{RESULTS}/{table}.html",
                caption=f"../report/{table}.rst",
                category="Tables",
                labels={"table": heading(SUITE["suite"], table)},
            ),
        log:
            f"{LOG}/tables/{table}.log",
        benchmark:
            f"{BENCHMARK}/tables/{table}.tsv"
        # As in evaluate.smk: seconds of work.
        localrule: True
        conda:
            "../../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            artefact=table,
            design=literal(json.dumps(DESIGN.restrict(table))),
            published=["--published", SUITE["published"]] if SUITE["published"] else [],
            out=subpath(output.csv, strip_suffix=".csv"),
            job=making(table),
        message:
            heading(SUITE["suite"], table)
        shell:
            "python -m craft.report.tables --artefact {params.artefact:q} --design {params.design:q}"
            " {params.published:q} --out {params.out:q} {params.job:q} > {log:q} 2>&1"
