# What keeps results of this configuration, code and inputs: each job refuses to run another code
# than was planned with, and leaves a receipt of what it was made from (current.smk compares them).

from craft.evaluation.staleness import Graph
from craft.files.receipts import Index
from craft.runtime.provenance import code_hash, config_hash

# Checksums of files, kept from one call to the next.
INDEX = Index(Path(RESULTS, paths.INDEX))
GRAPH = Graph(INDEX)


def planned(*modules):
    """Return the argument by which a command refuses to be another code than was planned with."""
    return ["--code", f"{','.join(modules)}={code_hash(*modules)}"]


def job(*modules, **settings):
    """Return that argument, and one by which a command leaves receipts.

    Their key stands for code and settings, without paths, cores and device.
    """
    key = config_hash({"code": code_hash(*modules), "settings": settings})
    return [*planned(*modules), "--receipt", key]


def current(outputs, inputs=lambda wildcards: []):
    """Return an input function that also lets stale files be made again; it adds no input of its own.

    As --forcerun would, but for the jobs of the targets alone: Snakemake says nowhere which these
    are before it asks for their inputs. Of a rule with thousands of jobs it takes ``inputs`` along,
    as each function that Snakemake calls costs planning time.
    """

    def look(wildcards):
        for path in [outputs] if isinstance(outputs, str) else outputs:
            for name, value in wildcards.items():
                path = path.replace(f"{{{name}}}", value)
            for stale, why in GRAPH.stale(path).items():
                workflow.dag.forcefiles.add(stale)
                if not GRAPH.derived(stale):
                    logger.info(f"{stale}: {why}; made again")
        return inputs(wildcards)

    return look if workflow.is_main_process else inputs
