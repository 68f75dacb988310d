# From a data set's tree to its manifest and few-shot splits.


rule render:
    input:
        facts=dataset_file,
    output:
        split=f"{SUITE['data']}/{{dataset}}/split.json",
    log:
        f"{LOG}/render/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/render/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(name for name in FACTS if FACTS[name]["kind"] == "mini"),
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        out=subpath(output.split, parent=True),
        development=["--development"] if SUITE["development"] else [],
        job=lambda wildcards: job(RENDERING, development=SUITE["development"]),
    message:
        "Render {wildcards.dataset}"
    shell:
        "python -m craft.mini.render --dataset {wildcards.dataset:q} --out {params.out:q}"
        " {params.development:q} {params.job:q} > {log:q} 2>&1"


rule fetch:
    input:
        facts=ancient(dataset_file),
        names=class_table,
    output:
        fetched=FETCHED,
    log:
        f"{LOG}/fetch/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/fetch/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=one_of(name for name in FACTS if SOURCES[name]),
    # Where Snakemake runs: the nodes of many a cluster reach no host outside it.
    localrule: True
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=720,
    params:
        # No hash of the code: what was fetched and verified stays.
        root=tree,
    message:
        "Fetch, verify and unpack {wildcards.dataset}, unless its tree is there"
    shell:
        "python -m craft.data.fetch --dataset {input.facts:q} --root {params.root:q} --out {output.fetched:q} > {log:q} 2>&1"


rule manifest:
    input:
        facts=ancient(dataset_file),
        tree=whole,
        current=current(MANIFEST),
        source=source_of,
    output:
        manifest=MANIFEST,
        # Beside the manifest.
        report=f"{RESULTS}/{paths.REPORT}",
    log:
        f"{LOG}/manifest/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/manifest/{{dataset}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: lambda wildcards: ENCODE_CORES if "root" in FACTS[wildcards.dataset] else 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        root=tree,
        source=lambda w, input: ["--source", input.source] if input.source else [],
        job=lambda wildcards: listing(wildcards.dataset),
    message:
        "List and count the images of {wildcards.dataset}"
    shell:
        "python -m craft.data.manifest --dataset {input.facts:q} --root {params.root:q}"
        " {params.source:q} --threads {threads} --out {output.manifest:q}"
        " {params.job:q} > {log:q} 2>&1"


rule splits:
    input:
        manifest=MANIFEST,
        current=current(expand(SPLIT, shots=SHOTS, seed=DESIGN.seeds, allow_missing=True)),
    output:
        splits=expand(SPLIT, shots=SHOTS, seed=DESIGN.seeds, allow_missing=True),
    log:
        f"{LOG}/splits/{{dataset}}.log",
    benchmark:
        f"{BENCHMARK}/splits/{{dataset}}.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
    params:
        shots=SHOTS,
        seeds=DESIGN.seeds,
        pattern=lambda wildcards: SPLIT.replace("{dataset}", wildcards.dataset),
        repeat=lambda wildcards: ["--repeat"] if FACTS[wildcards.dataset]["repeat"] else [],
        job=lambda wildcards: drawing(wildcards.dataset),
    message:
        "Draw the few-shot splits of {wildcards.dataset}"
    shell:
        "python -m craft.data.splits --manifest {input.manifest:q} --dataset {wildcards.dataset:q}"
        " --shots {params.shots} --seed {params.seeds} --out-pattern {params.pattern:q}"
        " {params.repeat} {params.job:q} > {log:q} 2>&1"
