# The images of a data set, its manifest and its few-shot splits.


rule render_dataset:
    """Render a data set of the embedded suite."""
    input:
        dataset=dataset_file,
    output:
        split=f"{SUITE['data']}/{{dataset}}/split.json",
    log:
        f"{LOGS}/render_dataset/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/render_dataset/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(name for name in DATASETS if DATASETS[name]["kind"] == "mini"),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        out=subpath(output.split, parent=True),
        development=["--development"] if SUITE["development"] else [],
        job=rendering(),
    message:
        "Render {wildcards.dataset}"
    shell:
        "python -m craft.mini.render --dataset {wildcards.dataset:q} --out {params.out:q}"
        " {params.development:q} {params.job:q} > {log:q} 2>&1"


rule fetch_dataset:
    """Download, verify and unpack a data set, unless its images exist."""
    input:
        dataset=ancient(dataset_file),
        names=class_table,
    output:
        fetched=FETCHED,
    log:
        f"{LOGS}/fetch_dataset/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/fetch_dataset/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(name for name in DATASETS if SOURCES[name]),
    # A local rule: the nodes of many clusters have no network.
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        # No hash of the code: verified downloads stay valid.
        root=tree,
    message:
        "Fetch, verify and unpack {wildcards.dataset}, unless its tree is there"
    shell:
        "python -m craft.data.fetch --dataset {input.dataset:q} --root {params.root:q}"
        " --out {output.fetched:q} > {log:q} 2>&1"


rule write_manifest:
    """List the images of a data set with classes and parts, and count them."""
    input:
        dataset=ancient(dataset_file),
        tree=whole_tree,
        source=origin_manifest,
        current=current(MANIFEST),
    output:
        manifest=MANIFEST,
        # Beside the manifest.
        report=f"{RESULTS}/{paths.REPORT}",
    log:
        f"{LOGS}/write_manifest/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/write_manifest/{{dataset}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: listing_threads
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        root=tree,
        job=listing_of,
    message:
        "List and count the images of {wildcards.dataset}"
    shell:
        "python -m craft.data.manifest --dataset {input.dataset:q} --root {params.root:q}"
        " --source {input.source:q} --threads {threads} --out {output.manifest:q}"
        " {params.job:q} > {log:q} 2>&1"


rule draw_splits:
    """Draw the few-shot splits of a data set, for every number of shots and seed."""
    input:
        manifest=MANIFEST,
        current=current(SPLITS),
    output:
        splits=SPLITS,
    log:
        f"{LOGS}/draw_splits/{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/draw_splits/{{dataset}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        shots=SHOTS,
        seeds=DESIGN.seeds,
        job=drawing_of,
    message:
        "Draw the few-shot splits of {wildcards.dataset}"
    shell:
        "python -m craft.data.splits --manifest {input.manifest:q} --dataset {wildcards.dataset:q}"
        " --shots {params.shots} --seed {params.seeds} {params.job:q} > {log:q} 2>&1"
