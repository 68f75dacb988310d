# What a target will cost. Writes nothing, so that it is asked anew each time.


rule plan:
    log:
        f"{LOG}/plan/plan.log",
    # Where Snakemake runs, as it measures this machine.
    localrule: True
    conda:
        "../../envs/plan.yaml"
    threads: 1
    resources:
        **ON_DEVICE,
        mem_mb=4000,
        runtime=10,
    params:
        # Not SUITE: a dry-run of Snakemake reads it, as it read this configuration.
        config=literal(json.dumps({key: config[key] for key in config if key != "target"})),
        target=[TARGET] if isinstance(TARGET, str) else TARGET,
        cores=lambda wildcards: workflow.cores,
        gpus=lambda wildcards: [
            *(limit.value for name, limit in workflow.global_resources.items() if name == "gpu"),
            1,
        ][0],
        conda=lambda wildcards: (
            ["--conda"] if workflow.deployment_settings.deployment_method else []
        ),
    message:
        "Plan {params.target}: what is done is looked up, then this machine's speed is measured"
    shell:
        "python -m craft.runtime.gpu_lease {resources.device} craft.plan --config {params.config:q} --target {params.target:q}"
        " --cores {params.cores} --gpus {params.gpus} {params.conda} 2> {log:q}"
