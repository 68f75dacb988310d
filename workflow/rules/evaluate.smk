# Test labels enter here, and here only.


def named_manifests(method=None, shots=None):
    """DATASET=MANIFEST for each test set of a job's runs."""
    return lambda wildcards, input: [
        f"{n}={p}" for n, p in zip(tests(wildcards, method, shots), input.manifests)
    ]


rule score:
    input:
        predictions=per_seed(f"{RUN}/predictions.safetensors"),
        records=per_seed(f"{RUN}/record.json"),
        manifests=lambda w: expand(MANIFEST, dataset=tests(w)),
    output:
        score=per_seed(f"{RUN}/score.json"),
    log:
        f"{LOG}/score/{JOB}.log",
    benchmark:
        f"{BENCHMARK}/score/{JOB}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        runs=per_seed(RUN),
        manifests=named_manifests(),
        code=code_hash("craft.evaluate"),
    message:
        "Score {wildcards.method} on {wildcards.dataset}, {wildcards.shots} shots, {wildcards.backbone}"
    shell:
        "python -m craft.evaluate --runs {params.runs:q} --manifests {params.manifests:q} > {log:q} 2>&1"


use rule score as score_zero_shot with:
    input:
        predictions=f"{ZERO}/predictions.safetensors",
        records=f"{ZERO}/record.json",
        manifests=lambda w: expand(MANIFEST, dataset=tests(w, ZERO_SHOT, 0)),
    output:
        score=f"{ZERO}/score.json",
    log:
        f"{LOG}/score_zero_shot/{{backbone}}/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/score_zero_shot/{{backbone}}/{{dataset}}.tsv"
    params:
        runs=ZERO,
        manifests=named_manifests(ZERO_SHOT, 0),
        code=code_hash("craft.evaluate"),
    message:
        "Score the untrained {wildcards.backbone} on {wildcards.dataset}"


rule gather:
    input:
        scores=scores(None),
    output:
        runs=f"{RESULTS}/runs.csv",
    log:
        f"{LOG}/gather/runs.log",
    benchmark:
        f"{BENCHMARK}/gather/runs.tsv"
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        design=json.dumps(SUITE),
        code=code_hash("craft.tables.gather"),
    message:
        "Gather every run into {output.runs}"
    shell:
        "python -m craft.tables.gather --design {params.design:q} --out {output.runs:q} > {log:q} 2>&1"
