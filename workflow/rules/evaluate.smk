# Only these rules read test labels.


rule score_runs:
    """Score the predictions of a batch of runs with the labels of their test sets."""
    input:
        unpack(current(SCORED, inputs_of_scores)),
    output:
        scored=SCORED,
    log:
        f"{LOGS}/score_runs/{{batch}}.log",
    benchmark:
        f"{BENCHMARKS}/score_runs/{{batch}}.tsv"
    # Seconds of work: sending it to a cluster would cost more than doing it.
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        job=scoring,
        code=planned("craft.evaluation.score"),
    message:
        "Score {wildcards.batch}"
    shell:
        "python -m craft.evaluation.score --job {wildcards.batch:q} {params.job:q}"
        " --scored {output.scored:q} {params.code:q} > {log:q} 2>&1"


rule write_request:
    """Write the request of a table or figure: its cells, their runs and resolved options."""
    input:
        template=workflow.source_path("../templates/request.json"),
        current=current(REQUEST),
    output:
        request=REQUEST,
    log:
        f"{LOGS}/write_request/{{artefact}}.log",
    wildcard_constraints:
        artefact=one_of([*ASKED, SUITE_REQUEST]),
    # Rendered by Snakemake itself: for a large suite, it exceeds the limit of a command line.
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
    """Gather the runs of a table or figure, or the counts of its data sets."""
    input:
        request=REQUEST,
        sources=sources,
        current=current(GATHERED),
    output:
        gathered=GATHERED,
    log:
        f"{LOGS}/gather_runs/{{artefact}}.log",
    benchmark:
        f"{BENCHMARKS}/gather_runs/{{artefact}}.tsv"
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
        job=GATHERING,
    message:
        "Gather what {wildcards.artefact} is made from"
    shell:
        "python -m craft.evaluation.gather --request {input.request:q} --results {params.results:q}"
        " --out {output.gathered:q} {params.job:q} > {log:q} 2>&1"


rule gather_suite:
    """Gather every run of the suite."""
    input:
        request=f"{RESULTS}/{paths.REQUEST.format(artefact=SUITE_REQUEST)}",
        scores=scored(RUNS),
        current=current(ALL_RUNS),
    output:
        runs=ALL_RUNS,
    log:
        f"{LOGS}/gather_suite/runs.log",
    benchmark:
        f"{BENCHMARKS}/gather_suite/runs.tsv"
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
        job=GATHERING,
    message:
        "Gather every run into {output}"
    shell:
        "python -m craft.evaluation.gather --request {input.request:q} --results {params.results:q}"
        " --out {output.runs:q} {params.job:q} > {log:q} 2>&1"


rule write_suite:
    """Write the resolved configuration beside the results, with the runs of every job."""
    input:
        template=workflow.source_path("../templates/text.j2"),
    output:
        suite=SUITE_FILE,
    log:
        f"{LOGS}/write_suite/suite.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=100,
        runtime=5,
    params:
        text=resolved_suite,
    message:
        "Write the resolved configuration to {output.suite}"
    template_engine:
        "jinja2"
