# Test labels enter here, and here only.

for fold in SCORES:

    rule:
        name:
            fold.rule("score")
        input:
            predictions=fold.each(f"{RUN}/predictions.safetensors"),
            records=fold.each(f"{RUN}/record.json"),
            manifests=test_manifests,
            current=current(fold.each(f"{RUN}/score.json")),
        output:
            score=fold.each(f"{RUN}/score.json"),
        log:
            f"{LOG}/score/{fold.job}.log",
        benchmark:
            f"{BENCHMARK}/score/{fold.job}.tsv"
        wildcard_constraints:
            method=fold.method,
        # Seconds of work: sending it to a cluster would cost more than doing it.
        localrule: True
        conda:
            "../../envs/data.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            runs=folders_of_runs,
            tests=tests_of_runs,
            manifests=named_manifests,
            code=planned(SCORING),
        message:
            f"Score {{wildcards.method}} on {{wildcards.dataset}}, {fold.shown} shots, {{wildcards.backbone}}"
        shell:
            "python -m craft.evaluation.score --runs {params.runs:q} --tests {params.tests:q} --manifests {params.manifests:q}"
            " {params.code:q} > {log:q} 2>&1"


rule write_request:
    """Write what a table or figure asks for: its cells and their runs, everything resolved."""
    input:
        template=workflow.source_path("../templates/request.json"),
        current=current(REQUEST),
    output:
        request=REQUEST,
    log:
        f"{LOG}/write_request/{{artefact}}.log",
    wildcard_constraints:
        artefact=one_of([*ASKED, SUITE_REQUEST]),
    # Rendered by Snakemake itself: of a large suite it is longer than a command line may be.
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        request=request_of,
    message:
        "Write what {wildcards.artefact} asks for"
    template_engine:
        "jinja2"


rule gather_runs:
    """Gather the runs of a table or figure, or the counts of its data sets, each file read once."""
    input:
        request=REQUEST,
        sources=sources,
        current=current(GATHERED),
    output:
        gathered=GATHERED,
    log:
        f"{LOG}/gather_runs/{{artefact}}.log",
    benchmark:
        f"{BENCHMARK}/gather_runs/{{artefact}}.tsv"
    # Seconds of work: sending it to a cluster would cost more than doing it.
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        results=subpath(output.gathered, ancestor=2),
        job=job(GATHERING),
    message:
        "Gather what {wildcards.artefact} is made from"
    shell:
        "python -m craft.evaluation.gather --request {input.request:q} --results {params.results:q}"
        " --out {output.gathered:q} {params.job:q} > {log:q} 2>&1"


rule gather_suite:
    """Gather every run of the suite, and where it comes from."""
    input:
        request=f"{RESULTS}/{paths.REQUEST.format(artefact=SUITE_REQUEST)}",
        scores=scores(RUNS),
        current=current(f"{RESULTS}/{paths.RUNS}"),
    output:
        runs=f"{RESULTS}/{paths.RUNS}",
        provenance=f"{RESULTS}/{paths.PROVENANCE}",
    log:
        f"{LOG}/gather_suite/runs.log",
    benchmark:
        f"{BENCHMARK}/gather_suite/runs.tsv"
    # Seconds of work: sending it to a cluster would cost more than doing it.
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        results=subpath(output.runs, parent=True),
        job=job(GATHERING),
    message:
        "Gather every run, and where it comes from, into {output}"
    shell:
        "python -m craft.evaluation.gather --request {input.request:q} --results {params.results:q}"
        " --out {output.runs:q} --provenance {output.provenance:q} {params.job:q} > {log:q} 2>&1"
