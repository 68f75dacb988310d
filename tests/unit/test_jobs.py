"""Which runs share a job."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from craft.config.load import load
from craft.design.jobs import batches, jobs_of
from craft.design.option_layers import Variant
from craft.design.runs import ZERO_SHOT, Design, Run
from craft.files.atomic import RecordError
from craft.files.suite import Job, suite_content, write_suite
from craft.learner.options import Options


def run(method: str, backbone: str, dataset: str, shots: int, seed: int) -> Run:
    return Run(method, backbone, dataset, shots, seed, Variant(method), "m:L", Options())


RUNS = [
    *(run("a", "rn", "digits", shots, seed) for shots in (16, 1) for seed in (2, 1)),
    *(run("a", "vit", "digits", 16, seed) for seed in (1, 2)),
    *(run("a@x=0.1", "rn", "digits", 16, seed) for seed in (1, 2)),
    run(ZERO_SHOT, "rn", "digits", 0, 0),
]


@pytest.mark.parametrize("per_job", ["one", "seeds", "shots"])
def test_every_run_is_of_one_batch_whose_folder_holds_it(per_job: str) -> None:
    found = batches(RUNS, per_job)
    assert sorted(run for runs in found.values() for run in runs) == sorted(RUNS)
    for name, runs in found.items():
        assert all(f"{run.folder}/".startswith(f"{name}/") for run in runs)
        assert list(runs) == sorted(runs)


@pytest.mark.parametrize(
    ("per_job", "sizes"),
    [("one", [1] * 9), ("seeds", [2, 2, 2, 2, 1]), ("shots", [4, 2, 2, 1])],
)
def test_a_batch_holds_what_it_is_asked_to(per_job: str, sizes: list[int]) -> None:
    assert [len(runs) for runs in batches(RUNS, per_job).values()] == sizes


def test_no_runs_have_no_batch() -> None:
    assert batches([], "one") == {}


def suite_file(path: Path, suite: dict[str, Any], per_job: str) -> dict[str, Job]:
    """Write ``suite.json`` with its jobs; return these."""
    jobs = jobs_of(Design(suite), per_job)
    assert len({job.digest for job in jobs.values()}) == len(jobs)  # asked before it is written
    write_suite(path, suite_content(suite, jobs))
    return jobs


@pytest.mark.parametrize("per_job", ["one", "seeds", "shots"])
def test_a_job_reads_its_runs_from_the_suites_file(tmp_path: Path, per_job: str) -> None:
    suite, path = load("config/mini.yaml"), tmp_path / "suite.json"
    jobs = suite_file(path, suite, per_job)
    design = Design(suite)
    assert sum(len(job.runs) for job in jobs.values()) == len(design.all_runs)
    runs = batches(design.all_runs, per_job)
    for name, job in jobs.items():
        assert Job.read(path, name, job.digest) == job
        held = [(run.shots, run.seed) for run in runs[name]]
        assert [(run.shots, run.seed) for run in job.runs] == held
    told = {
        (job.method, job.backbone, job.dataset, run.shots, run.seed): run
        for job in jobs.values()
        for run in job.runs
    }
    for planned in design.all_runs:
        read = told[tuple(planned.identity.values())]
        assert type(planned.options).resolve(read.options) == planned.options
        assert read.tests == design.tests_of(planned)
    assert json.loads(path.read_text())["configuration"]["seeds"] == suite["seeds"]


def test_a_digest_follows_the_runs_own_options_alone(tmp_path: Path) -> None:
    suite = load("config/mini.yaml")
    before = suite_file(tmp_path / "a", suite, "one")
    other = deepcopy(suite)
    other["methods"]["linear"]["options"]["layers"] = 3
    other["dataset_options"] = {"digits": {"sigma": 0.5}}
    other["methods"]["craft"]["label"] = "another"
    after = suite_file(tmp_path / "b", other, "one")
    changed = {name for name in before if before[name].digest != after[name].digest}
    trained = {name for name in before if not name.startswith("zero-shot")}
    linear = {name for name in trained if name.startswith("linear/")}
    assert changed == linear | {name for name in before if name.split("/")[2] == "digits"}


def test_a_file_of_another_plan_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    jobs = suite_file(path, load("config/mini.yaml"), "one")
    name, job = next(iter(jobs.items()))
    for wrong, digest in (("nothing", job.digest), (name, "0" * 16)):
        with pytest.raises(RecordError, match=re.escape(str(path))):
            Job.read(path, wrong, digest)
    path.write_text("{")
    with pytest.raises(RecordError):
        Job.read(path, name, job.digest)


def test_the_suites_file_is_written_only_where_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    suite = load("config/mini.yaml")
    suite_file(path, suite, "one")
    written = path.stat().st_mtime_ns
    suite_file(path, suite, "one")
    assert path.stat().st_mtime_ns == written
    suite_file(path, suite | {"seeds": [1]}, "one")
    assert path.stat().st_mtime_ns != written
