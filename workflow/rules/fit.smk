# One fit per (method, backbone, data set, shots, seed). No test label is an input here: test
# images come in as features, in the manifest's order, and go out as predictions.


rule fit:
    input:
        tower=TOWER,
        prompts=PROMPTS,
        train=train_features,
        splits=per_seed(SPLIT),
        tests=test_features,
    output:
        learner=per_seed(f"{RUN}/learner.safetensors"),
        history=per_seed(f"{RUN}/history.csv"),
        predictions=per_seed(f"{RUN}/predictions.safetensors"),
        record=per_seed(f"{RUN}/record.json"),
    log:
        f"{LOG}/fit/{JOB}.log",
    benchmark:
        f"{BENCHMARK}/fit/{JOB}.tsv"
    conda:
        "../../envs/learner.yaml"
    threads: 1
    resources:
        **ON_DEVICE,
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        learner=lambda wildcards: LEARNERS[wildcards.method],
        options=lambda wildcards: json.dumps(options(wildcards)),
        tests=lambda wildcards, input: named(wildcards, input.tests),
        out=f"{RESULTS}/runs/{CELL}",
        code=lambda wildcards: CODE[wildcards.method],
    message:
        "Fit {wildcards.method} on {wildcards.dataset}, {wildcards.shots} shots, {wildcards.backbone}"
    shell:
        "python -m craft.device {resources.device} craft.fit --learner {params.learner:q} --options {params.options:q} --method {wildcards.method:q}"
        " --backbone {wildcards.backbone:q} --dataset {wildcards.dataset:q} --tower {input.tower:q}"
        " --prompts {input.prompts:q} --train {input.train:q} --splits {input.splits:q} --tests {params.tests:q}"
        " --out {params.out:q} > {log:q} 2>&1"


rule zero_shot:
    input:
        tower=TOWER,
        prompts=PROMPTS,
        tests=test_features,
    output:
        learner=f"{ZERO}/learner.safetensors",
        history=f"{ZERO}/history.csv",
        predictions=f"{ZERO}/predictions.safetensors",
        record=f"{ZERO}/record.json",
    log:
        f"{LOG}/zero_shot/{{backbone}}/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/zero_shot/{{backbone}}/{{dataset}}.tsv"
    conda:
        "../../envs/learner.yaml"
    threads: 1
    resources:
        **ON_DEVICE,
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        method=ZERO_SHOT,
        learner=lambda wildcards: LEARNERS[ZERO_SHOT],
        options=lambda wildcards: json.dumps(options(wildcards)),
        tests=lambda wildcards, input: named(wildcards, input.tests),
        out=subpath(output.record, ancestor=2),
        code=lambda wildcards: CODE[ZERO_SHOT],
    message:
        "Ask {wildcards.backbone} about {wildcards.dataset}, untrained"
    shell:
        "python -m craft.device {resources.device} craft.fit --learner {params.learner:q} --options {params.options:q} --method {params.method:q}"
        " --backbone {wildcards.backbone:q} --dataset {wildcards.dataset:q} --tower {input.tower:q}"
        " --prompts {input.prompts:q} --tests {params.tests:q} --out {params.out:q} > {log:q} 2>&1"
