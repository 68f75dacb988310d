"""Snakemake where something is wrong around it: told before the first job, or survived."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from craft.files.locks import locked
from tests.pipeline.conftest import ROOT, SHELL, Checkout

MANIFEST = ("results/mini/manifests/digits.csv", "--configfile", "config/mini.yaml", "--cores", "1")
#: Not run as root, for whom everything is writable; reads what root has, the interpreter say.
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NOBODY += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


@pytest.fixture
def own(tmp_path: Path) -> Checkout:
    """A checkout of the test's own."""
    return Checkout(tmp_path / "own")


def refused(checkout: Checkout, *arguments: str) -> str:
    """What Snakemake writes where no job may start."""
    output = checkout.snakemake(*arguments, succeeds=False)
    assert "Traceback" not in output and "site-packages" not in output, output
    assert "Job stats" not in output and not list(checkout.folder.glob("results/mini/manifests/*"))
    return output


@pytest.mark.parametrize(("name", "what"), [("a{dataset}b", "braces"), ("a:b", "':'")])
def test_paths_of_the_checkout_that_jobs_cannot_have_are_refused(
    tmp_path: Path, name: str, what: str
) -> None:
    checkout = Checkout(tmp_path / name)
    assert f"without {what}" in refused(checkout, *MANIFEST)


def test_an_odd_path_of_the_checkout_is_none_to_a_job(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / f"-{SHELL} %20 ünï *?[x] ~ a b\nc")
    checkout.snakemake(*MANIFEST)
    assert (checkout.folder / MANIFEST[0]).stat().st_size
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.parametrize("name", ["logs", "runs", "cache"])
def test_a_file_in_place_of_a_folder_is_named(own: Checkout, name: str) -> None:
    path = own.folder / "results/mini" / name
    path.parent.mkdir(parents=True)
    path.touch()
    assert f"results/mini/{name}: expected a folder, got a file" in refused(own, *MANIFEST)


def test_docstrings_that_python_removes_are_asked_for(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    output = checkout.snakemake(*MANIFEST, succeeds=False, anew=True)
    assert "PYTHONOPTIMIZE: expected 0 or 1, got 2" in output
    assert "Traceback" not in output and "Job stats" not in output


def as_another_user(own: Checkout, owned: str) -> str:
    """What Snakemake writes of a checkout that is nobody's but for one folder."""
    (own.folder / owned).mkdir(parents=True)
    for path in (own.folder, *own.folder.rglob("*")):
        os.chown(path, 65534, 65534)
    os.chown(own.folder / owned, 0, 0)
    command = [*NOBODY, sys.executable, "-m", "snakemake", *MANIFEST]
    home = {"HOME": str(own.folder), "XDG_CACHE_HOME": str(own.folder / "home")}
    done = subprocess.run(
        command, cwd=own.folder, env=os.environ | home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="becomes another user")
@pytest.mark.parametrize("owned", ["results/mini/logs/write_manifest", ".snakemake/metadata"])
def test_files_of_another_user_are_told_before_any_job(owned: str) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to others
        os.chmod(folder, 0o755)
        output = as_another_user(Checkout(Path(folder) / "own"), owned)
    assert "that user nobody can write, got 1 others (1 of user root)" in output, output
    assert owned in output and "Job stats" not in output


def test_a_second_call_is_told_who_works_on_the_suite(checkout: Checkout) -> None:
    lock = checkout.folder / "results/mini/cache/snakemake.lock"
    with locked(lock, wait=False):
        output = checkout.snakemake(*MANIFEST, succeeds=False)
    assert f"process {os.getpid()} " in output and str(lock.relative_to(checkout.folder)) in output
    assert "localrule" not in output and "Error in rule" not in output


def test_few_open_files_are_enough(own: Checkout) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, hard))
        own.snakemake(*MANIFEST, anew=True)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_call_that_failed_ends_with_the_jobs_that_did(own: Checkout) -> None:
    (own.folder / "craft/mini/render.py").write_text("raise SystemExit('error: out of luck')\n")
    config = yaml.safe_load((ROOT / "config/mini.yaml").read_text())
    logs = {f"results/mini/logs/render_dataset/{name}.log" for name in config["datasets"]}
    targets = [f"results/mini/manifests/{name}.csv" for name in config["datasets"]]
    output = own.snakemake(*targets, *MANIFEST[1:], succeeds=False)
    end = output.partition("4 of 8 jobs failed:\n")[2].splitlines()[:4]
    assert all(line.endswith("error: out of luck") for line in end)
    assert {line.split(": ")[1] for line in end} == logs


@pytest.mark.parametrize(
    "given",
    [
        ("--configfile", "config/mini.yaml", "all"),
        ("--configfile", "config/mini.yaml", "Snakefile"),
        ("--configfile", "missing.yaml"),
        ("--config", "seeds=[1]", "all"),
        ("-C", "seeds=[1]", "all"),
    ],
)
def test_a_target_behind_an_option_that_takes_it_is_named(
    checkout: Checkout, given: tuple[str, ...]
) -> None:
    output = checkout.snakemake("-n", *given, succeeds=False).splitlines()
    assert len(output) == 2  # the first names the profile
    assert output[1].startswith(f"{given[0]}: expected ") and f"got '{given[-1]}'" in output[1]


def test_targets_before_or_apart_are_targets(checkout: Checkout) -> None:
    target, suite = MANIFEST[0], ("--configfile", "config/mini.yaml")
    for given in (
        (target, *suite),
        (f"{suite[0]}={suite[1]}", target),
        (*suite, "--config", "seeds=[1]", "--", target),
    ):
        output = checkout.snakemake("-n", *given)
        assert re.search(r"^write_manifest +1$", output, re.M) and "make_table" not in output
