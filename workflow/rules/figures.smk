# One rule per figure of the paper, named as the figure.

for figure in (name for name in DESIGN.artefacts() if name in FIGURES):

    rule:
        name:
            figure
        input:
            sources=DESIGN.sources(figure),
            published=published(figure),
            current=current(f"{RESULTS}/figures/{figure}.pdf"),
        output:
            pdf=f"{RESULTS}/figures/{figure}.pdf",
            png=report(
                f"{RESULTS}/figures/{figure}.png",
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": heading(SUITE["suite"], figure)},
            ),
            csv=f"{RESULTS}/figures/{figure}.csv",
        log:
            f"{LOG}/figures/{figure}.log",
        benchmark:
            f"{BENCHMARK}/figures/{figure}.tsv"
        # As in evaluate.smk: seconds of work.
        localrule: True
        conda:
            "../../envs/report.yaml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=10,
        params:
            artefact=figure,
            design=literal(json.dumps(DESIGN.restrict(figure))),
            published=["--published", SUITE["published"]] if SUITE["published"] else [],
            out=subpath(output.csv, strip_suffix=".csv"),
            job=making(figure),
        message:
            heading(SUITE["suite"], figure)
        shell:
            "python -m craft.report.figures --artefact {params.artefact:q} --design {params.design:q}"
            " {params.published:q} --out {params.out:q} {params.job:q} > {log:q} 2>&1"
