# The black box's side: the text tower exported once, prompts as token ids, image features cached.


rule backbone:
    input:
        facts=backbone_file,
        weights=weights,
        current=current(TOWER),
    output:
        tower=TOWER,
    log:
        f"{LOG}/backbone/{{backbone}}.log",
    benchmark:
        f"{BENCHMARK}/backbone/{{backbone}}.tsv"
    # As fetch: it may bring the weights, which jobs on nodes without a network then find in the cache.
    localrule: True
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        weights=lambda w, input: ["--weights", input.weights] if input.weights else [],
        job=job(EXPORTING),
    message:
        "Export the text tower of {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.backbones.export --backbone {input.facts:q} {params.weights:q} --out {output.tower:q} {params.job:q} > {log:q} 2>&1"


rule prompts:
    input:
        facts=backbone_file,
        datasets=ancient(descriptions_of_trained),
        manifests=manifests_of_trained,
        current=current(together(PROMPTS)),
    output:
        prompts=together(PROMPTS),
    log:
        f"{LOG}/prompts/{TOKENISING}.log",
    benchmark:
        f"{BENCHMARK}/prompts/{TOKENISING}.tsv"
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        job=lambda wildcards: tokenising(trained(wildcards)),
    message:
        "Tokenise prompts for {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.text.prompts --backbone {input.facts:q} --manifest {input.manifests:q}"
        " --dataset {input.datasets:q} --out {output.prompts:q} {params.job:q} > {log:q} 2>&1"


rule features:
    input:
        facts=backbone_file,
        datasets=ancient(descriptions_of_encoded),
        manifests=manifests_of_encoded,
        weights=weights,
        splits=drawn,
        current=current(together(FEATURES)),
    output:
        features=together(FEATURES),
    log:
        f"{LOG}/features/{ENCODING}.log",
    benchmark:
        f"{BENCHMARK}/features/{ENCODING}.tsv"
    conda:
        "../../envs/vision.yaml"
    threads: ENCODE_CORES
    resources:
        **ON_DEVICE,
        mem_mb=growing(6000),
        runtime=growing(240),
    params:
        roots=lambda wildcards: [tree_of(name) for name, _ in encoded(wildcards)],
        weights=lambda w, input: ["--weights", input.weights] if input.weights else [],
        parts=lambda wildcards: [p.partition("-")[0] for _, p in encoded(wildcards)],
        copies=lambda wildcards: [p.partition("-")[2] or "none" for _, p in encoded(wildcards)],
        splits=lambda w, input: ["--splits", *input.splits] if input.splits else [],
        job=lambda wildcards: encoding(encoded(wildcards)),
    message:
        "Encode images with {wildcards.backbone}: {params.parts} of {input.datasets}"
    shell:
        "python -m craft.runtime.gpu_lease {resources.device} craft.blackbox.images --backbone {input.facts:q} {params.weights:q}"
        " --manifest {input.manifests:q} --root {params.roots:q} --dataset {input.datasets:q} --part {params.parts:q} --copy {params.copies:q}"
        " {params.splits:q} --threads {threads} --out {output.features:q} {params.job:q} > {log:q} 2>&1"
