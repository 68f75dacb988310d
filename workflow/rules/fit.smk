# One fit per (method, backbone, data set, shots, seed), one or several to a job. No test label is an
# input here: test images come in as features, in the manifest's order, and go out as predictions.

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
            cache=f"{RESULTS}/cache/fit/{{method}}/{{backbone}}/{{dataset}}",
        message:
            f"Fit {{wildcards.method}} on {{wildcards.dataset}}, {fold.shown} shots, {{wildcards.backbone}}"
        shell:
            "python -m craft.runtime.gpu_lease {resources.device} craft.fit {params.fit:q} --dtype {params.dtype} --threads {params.threads}"
            " --tower {input.tower:q} --prompts {input.prompts:q} --train {input.train:q}"
            " --tests {params.tests:q} --out {params.out:q} --cache {params.cache:q} > {log:q} 2>&1"
