"""Dry-run of Snakemake in this process that returns data instead of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from craft.config.load import load
from craft.files.paths import RECORD, at


class PlanError(RuntimeError):
    """Snakemake cannot plan the target."""


@dataclass(frozen=True)
class Pending:
    """Jobs to run by rule, the files that they will write, and their configuration."""

    jobs: Mapping[str, int]
    files: frozenset[str]
    suite: Mapping[str, Any]


def pending(
    targets: Sequence[str],
    *,
    configfiles: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    snakefile: Path | None = None,
    directory: Path | None = None,
) -> Pending:
    """Return the remaining work for ``targets`` (rules or files).

    ``configfiles`` and ``overrides`` (KEY=VALUE) are those of ``--configfile`` and ``--config``.
    Raises PlanError with Snakemake's words.
    """
    from snakemake.api import SnakemakeApi, resolve_snakefile
    from snakemake.cli import parse_config
    from snakemake.logging import logger
    from snakemake.settings import types

    logger.disabled = True  # a quiet dry-run still lists what it would run
    with SnakemakeApi(types.OutputSettings(dryrun=True)) as api:
        try:
            parsed = api.workflow(
                types.ResourceSettings(cores=1),
                config_settings=types.ConfigSettings(
                    config=parse_config(list(overrides)), configfiles=list(configfiles)
                ),
                snakefile=resolve_snakefile(snakefile),
                workdir=directory,
            )
            dag = parsed.dag(types.DAGSettings(targets=set(targets), force_incomplete=True))
            dag.execute_workflow(executor="dryrun")
            workflow = parsed._workflow
            suite = load(workflow.globals["GIVEN"])
        except Exception as error:
            raise PlanError(f"{', '.join(targets)}: {error}") from error
        finally:
            logger.disabled = False
        jobs = list(workflow.dag.needrun_jobs(exclude_finished=False))
        batches = workflow.globals["FITS"]
    files = {str(file) for job in jobs for file in job.output}
    # A fit declares one file for its batch of runs, whose own files lie below the same folder.
    for job in jobs:
        if job.rule.name == "fit_learner":
            runs = batches[job.wildcards.batch]
            files |= {at(suite["results"], RECORD, **run.identity) for run in runs}
    by_rule = Counter(sorted(job.rule.name for job in jobs))
    return Pending(by_rule, frozenset(files), suite)
