# Results must match configuration, code and inputs: each job fails if its code differs from the
# planned one, and writes a receipt of its inputs (current.smk compares them).

from craft.evaluation.staleness import Graph
from craft.files.receipts import Index
from craft.runtime.provenance import code_hash, config_hash

# Checksums of files, cached between calls.
INDEX = Index(Path(RESULTS, paths.INDEX))
GRAPH = Graph(INDEX)


def planned(*modules):
    """Return the argument with the planned hash of the code, which a command compares."""
    return ["--code", f"{','.join(modules)}={code_hash(*modules)}"]


def job(*modules, **settings):
    """Return the arguments with the planned code and the key of the receipts to write.

    The key is a hash of code and settings, without paths, cores and device.
    """
    key = config_hash({"code": code_hash(*modules), "settings": settings})
    return [*planned(*modules), "--receipt", key]


def current(outputs, inputs=lambda wildcards: []):
    """Return an input function that also marks stale files to be made again.

    It acts like --forcerun, but only for jobs of the targets, which Snakemake does not list before
    it asks for their inputs. A rule with thousands of jobs passes its ``inputs``, because each
    function that Snakemake calls costs planning time.
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
