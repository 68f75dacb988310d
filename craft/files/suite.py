"""``suite.json`` beside the results: the resolved configuration, and the runs of every job.

A job gets its name on the command line, and reads its runs and options here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from craft.files.atomic import RecordError, json_text, read_json, write_text
from craft.files.typed import STRICT, build
from craft.runtime.provenance import config_hash


@dataclass(frozen=True)
class JobRun:
    """One run of a job: every option of its learner, and the test sets that it predicts."""

    __pydantic_config__ = STRICT

    shots: int
    seed: int
    options: dict[str, Any]
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """Runs of one method on one data set that share a process."""

    method: str
    backbone: str
    dataset: str
    learner: str  # module:Class
    runs: tuple[JobRun, ...]

    @property
    def content(self) -> dict[str, Any]:
        """Return the content of the job, with its runs' options by their hash."""
        runs = [vars(run) | {"options": config_hash(run.options)} for run in self.runs]
        return vars(self) | {"runs": runs}

    @property
    def digest(self) -> str:
        """Return a hash of the job: 16 hex digits."""
        return config_hash(self.content)

    @classmethod
    def read(cls, path: str | os.PathLike[str], name: str, digest: str) -> Job:
        """Return the job of a name from ``suite.json``.

        Raises RecordError if the file has no such job, or one with another ``digest`` than planned.
        """
        content = read_json(path)
        try:
            found, options = content["jobs"][name], content["options"]
            runs = [run | {"options": options[run["options"]]} for run in found["runs"]]
        except (KeyError, TypeError) as error:
            raise RecordError(f"{path}: expected job {name}, got none ({error!r})") from None
        job = build(cls, found | {"runs": runs}, path, "suite's file")
        if job.digest != digest:
            raise RecordError(
                f"{path}: expected {name} as planned ({digest}), got another ({job.digest}); "
                "delete the file, and the next call writes it again"
            )
        return job


def suite_content(configuration: Mapping[str, Any], jobs: Mapping[str, Job]) -> dict[str, Any]:
    """Return what ``suite.json`` holds; equal options of several runs stand there once."""
    options = {
        key["options"]: run.options
        for job in jobs.values()
        for key, run in zip(job.content["runs"], job.runs, strict=True)
    }
    named = {name: job.content for name, job in sorted(jobs.items())}
    return {"configuration": dict(configuration), "options": options, "jobs": named}


def write_suite(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write ``suite.json``, unless it holds that already."""
    text = json_text(content)
    try:
        same = Path(path).read_text(encoding="utf-8") == text
    except (OSError, ValueError):
        same = False
    if not same:
        write_text(path, text)
