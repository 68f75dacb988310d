# The black box's side: the text tower exported, prompts as token ids, images as features.


rule export_text_tower:
    """Export the text tower of a backbone, which learners query, from the whole model."""
    input:
        backbone=backbone_file,
        weights=weights,
        current=current(TOWER),
    output:
        tower=TOWER,
    log:
        f"{LOGS}/export_text_tower/{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/export_text_tower/{{backbone}}.tsv"
    # As fetch_dataset: it may bring weights, which jobs without a network find in the cache.
    localrule: True
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=EXPORTING,
    message:
        "Export the text tower of {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.backbones.export --backbone {input.backbone:q}"
        " --weights {input.weights:q} --side text --out {output.tower:q} {params.job:q} > {log:q} 2>&1"


rule tokenise_prompts:
    """Write the prompts of a data set, or of a suite's, as token ids of a backbone."""
    input:
        unpack(datasets_to_tokenise),
        backbone=backbone_file,
        current=current(together(PROMPTS)),
    output:
        prompts=together(PROMPTS),
    log:
        f"{LOGS}/tokenise_prompts/{TOKENISED}.log",
    benchmark:
        f"{BENCHMARKS}/tokenise_prompts/{TOKENISED}.tsv"
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        job=tokenising_of,
    message:
        "Tokenise prompts for {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.text.prompts --backbone {input.backbone:q}"
        " --manifest {input.manifests:q} --dataset {input.datasets:q}"
        " --out {output.prompts:q} {params.job:q} > {log:q} 2>&1"


rule encode_images:
    """Encode images of a data set's part, or of all that a suite reads, with a backbone."""
    input:
        unpack(images_to_encode),
        backbone=backbone_file,
        weights=weights,
        current=current(together(FEATURES)),
    output:
        features=together(FEATURES),
    log:
        f"{LOGS}/encode_images/{ENCODED_BY}.log",
    benchmark:
        f"{BENCHMARKS}/encode_images/{ENCODED_BY}.tsv"
    conda:
        "../../envs/vision.yaml"
    threads: ENCODE_CORES
    resources:
        **ON_DEVICE,
        mem_mb=growing(6000),
        runtime=growing(240),
    params:
        sets=images_told,
        job=encoding_of,
    message:
        "Encode images with {wildcards.backbone}: {output}"
    shell:
        "python -m craft.runtime.gpu_lease {resources.device} craft.blackbox.images"
        " --backbone {input.backbone:q} --weights {input.weights:q}"
        " --manifest {input.manifests:q} --root {params.sets[roots]:q}"
        " --dataset {input.datasets:q} --part {params.sets[parts]:q}"
        " --copy {params.sets[copies]:q} --splits {input.splits:q}"
        " --threads {threads} --out {output.features:q} {params.job:q} > {log:q} 2>&1"
