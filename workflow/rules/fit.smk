# Fits, with one run or a batch of runs per job. No test label is an input here: a fit reads test
# images as features, in the manifest's order, and writes predictions.
#
# Snakemake's outputs cannot depend on wildcards, and batches hold different numbers of runs. A
# job declares one file for its batch; the files of its runs are below the same folder.


rule fit_learner:
    """Fit a learner on few-shot splits through the black box; one run or a batch of runs."""
    input:
        unpack(current(FITTED, inputs_of_fit)),
    output:
        fitted=FITTED,
    log:
        f"{LOGS}/fit_learner/{{batch}}.log",
    benchmark:
        f"{BENCHMARKS}/fit_learner/{{batch}}.tsv"
    conda:
        (environment_of_fit if PLAIN else LEARNER_ENV)
    threads: SUITE["fit_threads"]
    resources:
        **ON_DEVICE,
        **calls_of(lambda wildcards: FITS[wildcards.batch][0].backbone),
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        settings=FIT_SETTINGS,
        job=fitting,
        found=where_found,
    message:
        "Fit {wildcards.batch}"
    shell:
        "python -m craft.runtime.gpu_lease {resources.device} craft.fit"
        " --job {wildcards.batch:q} {params.job} {params.settings} {params.found}"
        " --tower {input.tower:q} --prompts {input.prompts:q} --train {input.train:q}"
        " --image-tower {input.image_tower:q} --train-pixels {input.train_pixels:q}"
        " --codes {input.codes:q} --fitted {output.fitted:q} > {log:q} 2>&1"
