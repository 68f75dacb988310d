"""Which runs share a job: starting a process costs seconds, and many a fit takes less."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from craft.design.runs import ZERO_SHOT, Design, Run
from craft.files import paths
from craft.files.suite import Job, JobRun

#: ``runs_per_job`` -> path of a job that trains runs.
JOB_PATHS = {
    "one": f"{paths.CELL}/{paths.RUN_OF_CELL}",
    "seeds": f"{paths.CELL}/{paths.SHOTS}",
    "shots": paths.CELL,
}


@dataclass(frozen=True)
class JobShape:
    """Jobs of one shape, and so one rule: the shots and seeds that each of them holds.

    Where ``shots`` or ``seeds`` is empty a job holds one of them, and a wildcard says which.
    """

    name: str
    method: str  # constraint of the wildcard {method}
    shots: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether its runs are trained at all: zero-shot ones are not."""
        return self.shots != (0,)

    @property
    def shown(self) -> str:
        """Its shots, for messages."""
        return ", ".join(map(str, self.shots)) or "{wildcards.shots}"

    @property
    def job(self) -> str:
        """Path of a job, for its log."""
        shots, seed = f"/{paths.SHOTS}", f"/{paths.SEED}"
        return paths.CELL + ("" if self.shots else shots) + ("" if self.seeds else seed)

    def each(self, pattern: str) -> list[str]:
        """A path with {shots} and {seed} for every run of a job."""
        paths = [pattern]
        for wildcard, values in (("{shots}", self.shots), ("{seed}", self.seeds)):
            if values:
                paths = [path.replace(wildcard, str(value)) for path in paths for value in values]
        return paths

    def rule(self, step: str) -> str:
        """Name of a step's rule for these jobs."""
        return "_".join(filter(None, (step, self.name)))


def job_shapes(runs: Iterable[Run], per_job: str) -> list[JobShape]:
    """Shapes of the jobs for ``runs``; a job holds ``one`` run, all ``seeds`` of a cell of a
    table, or all ``shots`` and seeds of a (method, backbone, data set).

    Methods have different sets of shots, and what a job makes cannot depend on its wildcards: each
    set is a shape of its own.
    """
    shots: dict[tuple[str, str, str], set[int]] = {}
    seeds: set[int] = set()
    for run in runs:
        if run.method != ZERO_SHOT:
            shots.setdefault((run.method, run.backbone, run.dataset), set()).add(run.shots)
            seeds.add(run.seed)
    found = []
    if per_job == "shots":
        shapes: dict[tuple[int, ...], list[tuple[str, str, str]]] = {}
        for cell, values in shots.items():
            shapes.setdefault(tuple(sorted(values)), []).append(cell)
        for shape, cells in sorted(shapes.items()):
            name = "_".join(map(str, shape))
            found.append(JobShape(name, _one_of_together(cells), shape, tuple(sorted(seeds))))
    elif shots:
        methods = _one_of(method for method, _, _ in shots)
        found.append(JobShape("", methods, (), tuple(sorted(seeds)) if per_job == "seeds" else ()))
    if any(run.method == ZERO_SHOT for run in runs):
        found.append(JobShape("zero_shot", _one_of([ZERO_SHOT]), (0,), (0,)))
    return found


def runs_of_jobs(runs: Iterable[Run]) -> dict[str, tuple[Run, ...]]:
    """Return the runs of every job that a shape may have, by the job's path, in a fixed order."""
    found: dict[str, list[Run]] = {}
    for run in sorted(runs):
        for pattern in JOB_PATHS.values():
            found.setdefault(pattern.format(**run.identity), []).append(run)
    return {name: tuple(jobs) for name, jobs in found.items()}


def jobs_of(design: Design, per_job: str) -> dict[str, Job]:
    """Return what each job that fits runs of a design reads of them, by the job's path."""
    found: dict[str, list[Run]] = {}
    for run in sorted(design.all_runs):
        pattern = paths.CELL if run.method == ZERO_SHOT else JOB_PATHS[per_job]
        found.setdefault(pattern.format(**run.identity), []).append(run)
    return {name: job_of(design, runs) for name, runs in found.items()}


def job_of(design: Design, runs: Sequence[Run]) -> Job:
    """Return what a job that fits these runs reads of them."""
    first = runs[0]
    each = (
        JobRun(run.shots, run.seed, run.options.as_dict(), design.tests_of(run)) for run in runs
    )
    return Job(first.method, first.backbone, first.dataset, first.learner, tuple(each))


def _one_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(set(names))))


def _one_of_together(cells: Iterable[tuple[str, str, str]]) -> str:
    """Constraint of {method} in a path {method}/{backbone}/{dataset}/ that binds the three."""
    cells = list(cells)
    return (
        f"(?=(?:{_one_of(map('/'.join, cells))})/)(?:{_one_of(method for method, _, _ in cells)})"
    )
