"""A small suite through a real Slurm: the bytes of a local run, and the resources of the rules."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.pipeline.conftest import Checkout
from tests.slurm.cluster import Cluster, unavailable
from tests.suites import tiny

pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(bool(unavailable()), reason=str(unavailable())),
]

TARGET = "results/tiny/architectures.csv"
SUITE = ("--configfile", "tiny.yaml")
#: Soon enough for a test; a cluster that others share is asked less often.
SLURM = ("--profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "8")

#: Rule -> what Slurm is to be asked for: MiB of memory, time, CPUs.
ASKED = {
    "render_dataset": ("1000M", "10:00", "1"),
    "write_manifest": ("2000M", "1:00:00", "1"),
    "draw_splits": ("2000M", "10:00", "1"),
    "tokenise_prompts": ("2000M", "10:00", "1"),
    "encode_images": ("6000M", "4:00:00", "1"),
    "fit_learner": ("4000M", "12:00:00", "1"),
}


def checkout(folder: Path) -> Checkout:
    """A checkout with a suite of one small table, two fits in a job."""
    config = tiny(
        ("zero-shot", "craft"),
        {"architectures": {"shots": [1]}},
        results="results/tiny",
        data="results/tiny/data",
    )
    made = Checkout(folder)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return made


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


@pytest.fixture(scope="module")
def sent(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose table was made by the cluster."""
    made = checkout(tmp_path_factory.mktemp("sent"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.environment.items():
            patch.setenv(name, value)
        made.snakemake(TARGET, *SUITE, *SLURM)
    return made


def test_the_daemons_listen_on_loopback_only(cluster: Cluster) -> None:
    listening = [
        line.split()[1].split(":")
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if os.path.exists(table)
        for line in Path(table).read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    found = {int(port, 16): address for address, port in listening}
    assert [found[port] for port in cluster.ports] == ["0100007F", "0100007F"]


def test_the_bytes_are_those_of_a_local_run(sent: Checkout, tmp_path: Path) -> None:
    local = checkout(tmp_path)
    local.snakemake(TARGET, *SUITE)
    names = [f"architectures.{suffix}" for suffix in ("csv", "md", "tex", "html")]
    run = "runs/craft/mini-rn/digits/shots-1/seed"
    for seed in (1, 2):
        for name in ("learner.safetensors", "predictions.safetensors", "history.csv"):
            names.append(f"{run}-{seed}/{name}")
    for name in names:
        one, other = (made.folder / "results/tiny" / name for made in (sent, local))
        assert one.read_bytes() == other.read_bytes(), name


def test_slurm_is_asked_for_what_the_rules_say(sent: Checkout, cluster: Cluster) -> None:
    # The comment of a job names its rule; local rules are none of Slurm's.
    listed = subprocess.run(
        ["squeue", "--noheader", "--states=all", "--format=%T|%k|%m|%l|%C"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    jobs = [line.split("|") for line in listed]
    assert {state for state, *_ in jobs} == {"COMPLETED"}
    found = {
        comment.partition("_wildcards_")[0].removeprefix("rule_"): asked
        for _, comment, *asked in jobs
    }
    assert {rule: tuple(asked) for rule, asked in found.items()} == ASKED
    assert len(jobs) == len(ASKED)
