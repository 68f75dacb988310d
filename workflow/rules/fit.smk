# One fit per (method, backbone, data set, shots, seed), one or several to a job. No test label is an
# input here: test images come in as features, in the manifest's order, and go out as predictions.


# No rule makes the suite's file. As an input it would re-run all fits where it changes for one; as an
# ancient input it would hide that a fit's own parameters changed, as Snakemake does not look at them
# behind a rule that is to run. Each fit has the hash of its part as a parameter, and checks it.
def write_suite_file():
    """Write the resolved configuration and the runs of every job, unless they stand there already."""
    write_suite(SUITE_FILE, suite_content(RESOLVED, JOBS))


# A node that shares no files with the others has none.
if not workflow.is_main_process:
    write_suite_file()


for fold in FITS:

    rule:
        name:
            fold.rule("fit")
        input:
            tower=TOWER,
            prompts=PROMPTS,
            train=train_features if fold.trains else [],
            splits=fold.each(SPLIT) if fold.trains else [],
            tests=test_features,
            current=current(fold.each(f"{RUN}/record.json")),
        output:
            learner=fold.each(f"{RUN}/learner.safetensors"),
            history=fold.each(f"{RUN}/history.csv"),
            predictions=fold.each(f"{RUN}/predictions.safetensors"),
            record=fold.each(f"{RUN}/record.json"),
            fitted=f"{RESULTS}/runs/{fold.job}/fitted.json",
        log:
            f"{LOG}/fit/{fold.job}.log",
        benchmark:
            f"{BENCHMARK}/fit/{fold.job}.tsv"
        wildcard_constraints:
            method=fold.method,
        conda:
            # A plain text tower is run by open_clip, which the learner's environment lacks.
            (
                "../../envs/learner.yaml"
                if all(map(fast, BACKBONES))  # said once, not asked of every job
                else lambda wildcards: (
                    "../../envs/learner.yaml"
                    if fast(wildcards.backbone)
                    else "../../envs/plain.yaml"
                )
            )
        threads: SUITE["fit_threads"]
        resources:
            **ON_DEVICE,
            mem_mb=growing(4000),
            runtime=growing(720 if fold.trains else 60),
        params:
            dtype=SUITE["dtype"],
            # Not {threads}, which is less where --cores is: the bytes would be the machine's.
            threads=SUITE["fit_threads"],
            fit=what_to_fit,
            tests=named_features,
            out=folder_of_runs,
            suite=SUITE_FILE,
            splits=folder_of_splits if fold.trains else [],
            cache=f"{RESULTS}/cache/fit",
        message:
            f"Fit {{wildcards.method}} on {{wildcards.dataset}}, {fold.shown} shots, {{wildcards.backbone}}"
        shell:
            "python -m craft.runtime.gpu_lease {resources.device} craft.fit --suite {params.suite:q} {params.fit:q}"
            " --dtype {params.dtype} --threads {params.threads} --tower {input.tower:q} --prompts {input.prompts:q} --train {input.train:q}"
            " {params.splits:q} --tests {params.tests:q} --out {params.out:q} --fitted {output.fitted:q} --cache {params.cache:q} > {log:q} 2>&1"
