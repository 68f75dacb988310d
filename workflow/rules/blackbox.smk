# The black box's side: the text tower exported once, prompts as token ids, image features cached.


rule backbone:
    input:
        facts="config/backbones/{backbone}.yaml",
        weights=weights,
    output:
        tower=TOWER,
    log:
        f"{LOG}/backbone/{{backbone}}.log",
    benchmark:
        f"{BENCHMARK}/backbone/{{backbone}}.tsv"
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=30,
    params:
        weights=lambda w, input: ["--weights", input.weights] if input.weights else [],
        code=code_hash("craft.blackbox.weights"),
    message:
        "Export the text tower of {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.weights --backbone {input.facts:q} {params.weights:q} --out {output.tower:q} > {log:q} 2>&1"


rule prompts:
    input:
        facts="config/backbones/{backbone}.yaml",
        dataset=ancient("config/datasets/{dataset}.yaml"),
        manifest=MANIFEST,
    output:
        prompts=PROMPTS,
    log:
        f"{LOG}/prompts/{{backbone}}/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/prompts/{{backbone}}/{{dataset}}.tsv"
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=10,
    params:
        described=described,
        code=code_hash("craft.blackbox.prompts"),
    message:
        "Tokenise the prompts of {wildcards.dataset} for {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.prompts --backbone {input.facts:q} --manifest {input.manifest:q}"
        " --dataset {input.dataset:q} --out {output.prompts:q} > {log:q} 2>&1"


rule features:
    input:
        facts="config/backbones/{backbone}.yaml",
        dataset=ancient("config/datasets/{dataset}.yaml"),
        manifest=MANIFEST,
        weights=weights,
        splits=drawn,
    output:
        features=FEATURES,
    log:
        f"{LOG}/features/{{backbone}}/{{dataset}}/{{part}}.log",
    benchmark:
        f"{BENCHMARK}/features/{{backbone}}/{{dataset}}/{{part}}.tsv"
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 6000 * attempt,
        runtime=240,
    params:
        root=tree,
        described=described,
        weights=lambda w, input: ["--weights", input.weights] if input.weights else [],
        part=lambda wildcards: wildcards.part.partition("-view-")[0],
        view=lambda wildcards: wildcards.part.partition("-view-")[2] or 0,
        splits=lambda w, input: ["--splits", *input.splits] if input.splits else [],
        code=code_hash("craft.blackbox.images"),
    message:
        "Encode the {wildcards.part} images of {wildcards.dataset} with {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.images --backbone {input.facts:q} {params.weights:q} --manifest {input.manifest:q}"
        " --root {params.root:q} --dataset {input.dataset:q} --part {params.part:q} --view {params.view:q}"
        " {params.splits:q} --out {output.features:q} > {log:q} 2>&1"
