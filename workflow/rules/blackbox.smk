# The black box's side: exported towers, prompts as token ids, images as features.


rule export_text_tower:
    """Export the text tower of a backbone, which learners query."""
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
    # A local rule, like fetch_dataset: it can download weights, which jobs find in the cache.
    localrule: True
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        command=lambda wildcards: exporter(wildcards.backbone),
        job=lambda wildcards: exporting(wildcards.backbone, "text"),
    message:
        "Export the text tower of {wildcards.backbone}"
    shell:
        "python -m {params.command:q} --backbone {input.backbone:q} --weights {input.weights:q}"
        " --out {output.tower:q} {params.job:q} > {log:q} 2>&1"


rule export_image_tower:
    """Export the image tower of a backbone, for fits that encode images."""
    input:
        backbone=backbone_file,
        weights=weights,
        current=current(IMAGE_TOWER),
    output:
        tower=IMAGE_TOWER,
    log:
        f"{LOGS}/export_image_tower/{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/export_image_tower/{{backbone}}.tsv"
    # As export_text_tower.
    localrule: True
    conda:
        "../../envs/vision.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        job=EXPORTING["image"],
    message:
        "Export the image tower of {wildcards.backbone}"
    shell:
        "python -m craft.blackbox.backbones.export_side --backbone {input.backbone:q}"
        " --weights {input.weights:q} --side image --out {output.tower:q} {params.job:q}"
        " > {log:q} 2>&1"


rule tokenise_prompts:
    """Write the prompts of a data set, or of all in a suite, as token ids of a backbone."""
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
        module=lambda wildcards: tokeniser(wildcards.backbone),
        job=tokenising_of,
    message:
        "Tokenise prompts for {wildcards.backbone}"
    shell:
        "python -m {params.module} --backbone {input.backbone:q}"
        " --manifest {input.manifests:q} --dataset {input.datasets:q}"
        " --out {output.prompts:q} {params.job:q} > {log:q} 2>&1"


rule encode_images:
    """Encode the images of a data set's part, or of all parts of a suite, with a backbone."""
    input:
        unpack(current(together(FEATURES), images_to_encode)),
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
        **ENCODING_DEVICE,
        **calls_of(lambda wildcards: wildcards.backbone),
        mem_mb=growing(6000),
        runtime=growing(240),
    params:
        job=encoding_of,
    message:
        "Encode images with {wildcards.backbone}: {output}"
    shell:
        "python -m craft.runtime.gpu_lease {resources.device} {params.job:q}"
        " --backbone {input.backbone:q} --weights {input.weights:q} --manifest {input.manifests:q}"
        " --dataset {input.datasets:q} --splits {input.splits:q}"
        " --threads {threads} --out {output.features:q} > {log:q} 2>&1"


if DECODED:

    rule decode_images:
        """Decode images for fits that encode them; of training parts, only drawn images."""
        input:
            unpack(images_to_decode),
            backbone=backbone_file,
            current=current(together(PIXELS, DECODED)),
        output:
            pixels=together(PIXELS, DECODED),
        log:
            f"{LOGS}/decode_images/{ENCODED_BY}.log",
        benchmark:
            f"{BENCHMARKS}/decode_images/{ENCODED_BY}.tsv"
        conda:
            "../../envs/vision.yaml"
        threads: ENCODE_CORES
        resources:
            mem_mb=growing(2000),
            runtime=growing(120),
        params:
            job=decoding_of,
        message:
            "Decode images for {wildcards.backbone}: {output}"
        shell:
            "python -m craft.blackbox.images.decode {params.job:q} --backbone {input.backbone:q}"
            " --manifest {input.manifests:q} --dataset {input.datasets:q} --splits {input.splits:q}"
            " --threads {threads} --out {output.pixels:q} > {log:q} 2>&1"
