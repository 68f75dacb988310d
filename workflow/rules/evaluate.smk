# Test labels enter here, and here only.


rule score:
    input:
        predictions=all_seeds(f"{RUN}/predictions.safetensors"),
        records=all_seeds(f"{RUN}/record.json"),
        manifests=test_manifests,
    output:
        score=all_seeds(f"{RUN}/score.json"),
    log:
        f"{LOG}/score/{CELL}.log",
    benchmark:
        f"{BENCHMARK}/score/{CELL}.tsv"
    # Seconds of work: sending it to a cluster would cost more than doing it.
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        runs=lambda w, input: [str(Path(path).parent) for path in input.records],
        manifests=lambda wildcards, input: named(wildcards, input.manifests),
        code=code_hash("craft.evaluate"),
    message:
        "Score {wildcards.method} on {wildcards.dataset}, {wildcards.shots} shots, {wildcards.backbone}"
    shell:
        "python -m craft.evaluate --runs {params.runs:q} --manifests {params.manifests:q} > {log:q} 2>&1"


use rule score as score_zero_shot with:
    input:
        predictions=f"{ZERO}/predictions.safetensors",
        records=f"{ZERO}/record.json",
        manifests=test_manifests,
    output:
        score=f"{ZERO}/score.json",
    log:
        f"{LOG}/score_zero_shot/{{backbone}}/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/score_zero_shot/{{backbone}}/{{dataset}}.tsv"
    params:
        runs=subpath(input.records, parent=True),
        manifests=lambda wildcards, input: named(wildcards, input.manifests),
        code=code_hash("craft.evaluate"),
    message:
        "Score the untrained {wildcards.backbone} on {wildcards.dataset}"


rule gather:
    input:
        scores=scores(RUNS),
    output:
        runs=f"{RESULTS}/runs.csv",
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
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        design=literal(json.dumps(SUITE)),
        code=code_hash("craft.tables.gather"),
    message:
        "Gather every run into {output.runs}"
    shell:
        "python -m craft.tables.gather --design {params.design:q} --out {output.runs:q} > {log:q} 2>&1"
