# One Snakemake at a time works on a suite's results. Snakemake's own locks outlive a killed
# process, so profiles/default turns them off; the kernel's lock ends with its process.

from snakemake.logging import logger

from craft.files.locks import Busy, claim
from craft.runtime.failures import summary

CLAIMED = []


onstart:
    if lacking := {each["key"] for each in SERVICES.values()} - set(os.environ):
        raise WorkflowError(
            f"{min(lacking)}: expected the key of a service in this variable, got no variable"
        )
    try:
        CLAIMED.append(claim(Path(RESULTS, paths.LOCK), wait=False))
    except Busy as error:
        raise WorkflowError(f"{error}: wait for that Snakemake, or end it")
    except OSError as error:
        why = str(error.strerror).removeprefix("cannot be written: ")
        raise WorkflowError(f"results = {RESULTS!r}: cannot be written: {why}")


onerror:
    failed = [
        job for group in workflow.scheduler.failed for job in getattr(group, "jobs", [group])
    ]
    named = [(job.name, dict(job.wildcards_dict), [*job.log]) for job in failed]
    if named:
        logger.error("\n".join(summary(named, len(workflow.dag))))
