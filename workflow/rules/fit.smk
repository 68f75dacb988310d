# Fits, one run or a batch of runs to a job. No test label is an input here: test images come in
# as features, in the manifest's order, and go out as predictions.
#
# Snakemake's outputs cannot depend on wildcards, and batches hold different numbers of runs. A
# job's own output is one file for its batch, and the files of its runs lie below the same folder.


rule fit_learner:
    """Fit a learner on few-shot splits through the black box, one run or a batch of runs."""
    input:
        unpack(inputs_of_fit),
        current=current(FITTED),
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
        service_calls=lambda wildcards: int(served(FITS[wildcards.batch][0].backbone)),
        mem_mb=growing(4000),
        runtime=growing(720),
    params:
        dtype=SUITE["dtype"],
        tf32=TF32,
        # Not {threads}, which is less where --cores is: the bytes would be the machine's.
        threads=SUITE["fit_threads"],
        job=fitting,
        jobs=jobs_file,
        service=service_of,
        cache=f"{RESULTS}/{paths.CACHE}/fit",
    message:
        "Fit {wildcards.batch}"
    shell:
        "python -m craft.runtime.gpu_lease {resources.device} craft.fit"
        " --suite {params.jobs:q} --job {wildcards.batch:q} --digest {params.job[digest]}"
        " {params.job[code]:q}"
        " --dtype {params.dtype} {params.tf32} --threads {params.threads}"
        " --tower {input.tower:q} --prompts {input.prompts:q} --train {input.train:q}"
        " --image-tower {input.image_tower:q} --train-pixels {input.train_pixels:q}"
        " --test-pixels {params.job[test_pixels]:q} --codes {input.codes:q}"
        " --splits {params.job[splits]:q} --tests {params.job[tests]:q} --out {params.job[out]:q}"
        " {params.service:q} --cache {params.cache:q} --fitted {output.fitted:q} > {log:q} 2>&1"
