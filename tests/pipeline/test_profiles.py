"""The profiles plan what the default one plans: with their executors, on no cluster."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.pipeline.conftest import ROOT, Checkout
from tests.plugins import kubernetes_plugins  # noqa: F401

MINI = ("all_tables", "--configfile", "config/mini.yaml")


class Bucket(BaseHTTPRequestHandler):
    """A bucket that holds this project's config/ below craft/, and nothing else."""

    LISTING = b"""<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>
    </ListBucketResult>"""

    def do_HEAD(self) -> None:
        """Say whether an object is there."""
        key = urlsplit(self.path).path.partition("/craft/")[2]
        there = key.startswith("config/") and (ROOT / key).is_file()
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str((ROOT / key).stat().st_size if there else 0))
        self.send_header("Last-Modified", formatdate(usegmt=True))
        self.end_headers()

    def do_GET(self) -> None:
        """List no object: what is there is asked for one by one."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.LISTING)))
        self.end_headers()
        self.wfile.write(self.LISTING)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def bucket() -> Iterator[tuple[str, ...]]:
    """Snakemake's arguments for a bucket on the loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    keys = ("--storage-s3-access-key", "none", "--storage-s3-secret-key", "none")
    yield ("--storage-s3-endpoint-url", address, *keys)
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def planned(checkout: Checkout) -> dict[str, int]:
    """Jobs by rule without any profile but the default one."""
    return checkout.plan(*MINI)


def test_slurm_is_planned_the_same_jobs(checkout: Checkout, planned: dict[str, int]) -> None:
    assert checkout.plan(*MINI, "--profile", "profiles/slurm") == planned
    assert planned["fit_learner"] > 10


@pytest.mark.exhaustive
def test_kubernetes_is_planned_the_same_jobs(
    checkout: Checkout,
    bucket: tuple[str, ...],
    kubernetes_plugins: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = ("training_time", *MINI[1:])  # each file is asked for at the bucket
    planned = checkout.plan(*one)
    monkeypatch.setenv("PYTHONPATH", kubernetes_plugins, prepend=os.pathsep)
    # Anew, as Snakemake looks for plugins once.
    on_kubernetes = checkout.plan(*one, "--profile", "profiles/kubernetes", *bucket, anew=True)
    assert on_kubernetes == planned and planned["fit_learner"] == 8


CONDA = """#!/bin/sh
case "$*" in
--version) echo "conda 25.7.0" ;;
info*) echo '{"conda_prefix": "/nowhere", "platform": "linux-64"}' ;;
config*) echo '{"get": {"channel_priority": "strict"}}' ;;
*) exit 1 ;;
esac
"""


def test_conda_is_planned_the_same_jobs_in_environments_of_their_own(
    checkout: Checkout,
    planned: dict[str, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What Snakemake asks conda before it plans; it makes no environment in a dry-run.
    (tmp_path / "conda").write_text(CONDA)
    (tmp_path / "conda").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    output = checkout.snakemake(*MINI, "--profile", "profiles/conda", "-n")
    made = set(re.findall(r"Conda environment envs/(\w+)\.yaml will be created", output))
    assert made == {"data", "vision", "learner", "report"}
    table = output.rpartition("Job stats:")[2]
    assert planned == {r: int(jobs) for r, jobs in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


#: Jobs that ask for a GPU as those of workflow/rules do (test_dag.py), and say when they had it.
JOBS_ON_GPUS = """
rule all:
    input: expand("{n}.txt", n=range(4))
rule job:
    output: "{n}.txt"
    resources: gpu=1
    shell: "date +%s.%N > {output}; sleep 0.5; date +%s.%N >> {output}"
"""


@pytest.mark.parametrize(("given", "gpus"), [((), 1), (("--resources", "gpu=2"), 2)])
def test_no_more_jobs_run_than_there_are_gpus(
    checkout: Checkout, tmp_path: Path, given: tuple[str, ...], gpus: int
) -> None:
    (tmp_path / "Snakefile").write_text(JOBS_ON_GPUS)
    places = ("--snakefile", str(tmp_path / "Snakefile"), "--directory", str(tmp_path))
    checkout.snakemake(*places, "--profile", "profiles/gpu", "--cores", "4", *given)
    spans = [tuple(map(float, path.read_text().split())) for path in tmp_path.glob("?.txt")]
    assert len(spans) == 4
    at_a_time = [sum(begin <= start < end for begin, end in spans) for start, _ in spans]
    assert max(at_a_time) <= gpus


def test_a_job_that_failed_gets_more_of_what_it_may_have_lacked(tmp_path: Path) -> None:
    broken = Checkout(tmp_path)
    (tmp_path / "craft/mini/render.py").write_text("raise SystemExit('out of memory')\n")
    target = ("results/mini/manifests/digits.csv", *MINI[1:], "--retries", "2", "--cores", "1")
    tries = [job["resources"] for job in broken.jobs(*target, succeeds=False)]
    assert len(tries) == 3
    for asked in ("mem_mb", "runtime"):
        first = tries[0][asked]
        assert first > 0 and [job[asked] for job in tries] == [first, 2 * first, 3 * first]


@pytest.mark.parametrize("profile", ["slurm", "kubernetes"])
def test_a_cluster_tries_a_job_again_and_names_its_executor(profile: str) -> None:
    settings = yaml.safe_load((ROOT / f"profiles/{profile}/config.yaml").read_text())
    assert settings["executor"] == profile
    # What grows with the attempt is of use only where there is a second one.
    assert settings["retries"] >= 1
    # The default profile is read too, and wins where both have a key.
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert not set(settings) & set(default)
