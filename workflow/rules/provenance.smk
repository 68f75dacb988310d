# The provenance of every number: as provenance.json, and as an RO-Crate.

# The copy that the crate describes; a workflow fetched file by file has only its Snakefile.
WORKFLOW_FILES = [workflow.source_path("../Snakefile"), *map(str, PROJECT.glob("workflow/rules/*"))]
TRACING = job("craft.evaluation.trace")
DESCRIBING = job("craft.report.crate.__main__", workflow=sorted(map(INDEX.sha256, WORKFLOW_FILES)))


rule trace_suite:
    """Trace every table, figure and run to the files, code, seeds and machines behind it."""
    input:
        request=expand(REQUEST, artefact=SUITE_REQUEST),
        artefacts=ARTEFACT_FILES,
        runs=ALL_RUNS,
        current=current(PROVENANCE),
    output:
        provenance=PROVENANCE,
    log:
        f"{LOGS}/trace_suite/provenance.log",
    benchmark:
        f"{BENCHMARKS}/trace_suite/provenance.tsv"
    # As in evaluate.smk: seconds of work.
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        results=subpath(output.provenance, parent=True),
        job=TRACING,
    message:
        "Trace every number of the suite to what it was made from"
    shell:
        "python -m craft.evaluation.trace --request {input.request:q} --results {params.results:q}"
        " --out {output.provenance:q} {params.job:q} > {log:q} 2>&1"


rule write_crate:
    """Describe the results as an RO-Crate of the Workflow Run profiles."""
    input:
        provenance=PROVENANCE,
        suite=SUITE_FILE,
        current=current(CRATE),
    output:
        crate=CRATE,
        workflow=directory(f"{RESULTS}/{paths.WORKFLOW}"),
    log:
        f"{LOGS}/write_crate/crate.log",
    benchmark:
        f"{BENCHMARKS}/write_crate/crate.tsv"
    localrule: True
    conda:
        "../../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        results=subpath(output.crate, parent=True),
        # Not inputs: with files in a bucket, the workflow is not there. As a function of the input,
        # their paths run nothing again.
        workflow=lambda wildcards, input: WORKFLOW_FILES,
        job=DESCRIBING,
    message:
        "Describe the results in {output.crate}"
    shell:
        "python -m craft.report.crate --results {params.results:q} --workflow {params.workflow:q}"
        " {params.job:q} > {log:q} 2>&1"
