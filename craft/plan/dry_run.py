"""What is left to do for a target, by Snakemake's own judgement: a dry-run that says it in data."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class PlanError(RuntimeError):
    """Snakemake cannot plan the target."""


@dataclass(frozen=True)
class Pending:
    """Jobs to run by rule, and the files that they will write."""

    jobs: Mapping[str, int]
    files: frozenset[str]


class _Jobs(logging.Handler):
    """Keeps the numbers of jobs that Snakemake reports of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.by_rule: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.by_rule |= getattr(record, "stats", None) or {}


def pending(config: Mapping[str, Any], targets: Sequence[str], *, conda: bool = False) -> Pending:
    """What Snakemake would run here for ``targets`` (rules or files) of a configuration.

    ``config`` is as a config file has it; ``conda`` plans for runs in conda environments. Raises
    PlanError with Snakemake's words.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.logging import logger
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        DeploymentMethod,
        DeploymentSettings,
        OutputSettings,
        Quietness,
        ResourceSettings,
    )

    jobs, files = _Jobs(), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        # With just these two it says how many jobs there are and walks through none of them.
        quiet = {Quietness.RULES, Quietness.PROGRESS}
        with SnakemakeApi(OutputSettings(dryrun=True, quiet=quiet)) as api:
            logger.addHandler(jobs)
            try:
                workflow = api.workflow(
                    ResourceSettings(cores=1),
                    config_settings=ConfigSettings(configfiles=[path]),
                    deployment_settings=DeploymentSettings(
                        deployment_method={DeploymentMethod.CONDA} if conda else set()
                    ),
                    snakefile=Path("Snakefile"),
                )
                dag = workflow.dag(DAGSettings(targets=set(targets), force_incomplete=True))
                dag.execute_workflow(executor="dryrun", updated_files=files)
            except Exception as error:
                raise PlanError(f"{', '.join(targets)}: {error}") from error
            finally:
                logger.removeHandler(jobs)
    by_rule = {rule: count for rule, count in jobs.by_rule.items() if rule != "total"}
    return Pending(by_rule, frozenset(map(str, files)))
