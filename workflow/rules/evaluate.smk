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


rule gather:
    input:
        scores=scores(RUNS),
        current=current(f"{RESULTS}/runs.csv"),
    output:
        runs=f"{RESULTS}/runs.csv",
        provenance=f"{RESULTS}/provenance.json",
    log:
        f"{LOG}/gather/runs.log",
    benchmark:
        f"{BENCHMARK}/gather/runs.tsv"
    # Seconds of work: sending it to a cluster would cost more than doing it.
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        design=literal(json.dumps(SUITE)),
        job=job(GATHERING, design=without_paths(SUITE)),
    message:
        "Gather every run, and where it comes from, into {output}"
    shell:
        "python -m craft.evaluation.gather --design {params.design:q} --runs {output.runs:q}"
        " --provenance {output.provenance:q} {params.job:q} > {log:q} 2>&1"
