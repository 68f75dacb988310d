"""Runs that share a job: starting a process takes seconds, and many fits take less."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from craft.design.runs import Design, Run
from craft.files import paths
from craft.files.suite import Job, JobRun

#: Value of ``runs_per_job`` -> the part of a run's folder that names its batch.
BATCHES = {
    "one": f"{paths.CELL}/{paths.RUN_OF_CELL}",
    "seeds": f"{paths.CELL}/{paths.SHOTS}",
    "shots": paths.CELL,
}


def batches(runs: Iterable[Run], per_job: str) -> dict[str, tuple[Run, ...]]:
    """Return the runs of every job in a fixed order, by the name of the batch.

    A job holds ``one`` run, all ``seeds`` of a cell of a table, or all ``shots`` and seeds of a
    (method, backbone, data set).
    """
    found: dict[str, list[Run]] = {}
    for run in sorted(runs):
        found.setdefault(BATCHES[per_job].format(**run.identity), []).append(run)
    return {name: tuple(each) for name, each in found.items()}


def jobs_of(design: Design, per_job: str) -> dict[str, Job]:
    """Return the description of each fitting job of a design, by the name of its batch."""
    found = batches(design.all_runs, per_job)
    return {name: _job(design, runs) for name, runs in found.items()}


def _job(design: Design, runs: Sequence[Run]) -> Job:
    first = runs[0]
    each = (
        JobRun(run.shots, run.seed, run.options.as_dict(), design.tests_of(run)) for run in runs
    )
    return Job(first.method, first.backbone, first.dataset, first.learner, tuple(each))
