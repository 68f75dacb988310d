"""``craft watch``: which jobs it finds in the logs of a suite, and how it shows them."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from craft.console.watch import GONE, STALE, running, table
from craft.runtime.progress import Progress


def write_log(path: Path, done: int, *, ends: bool = False, age: float = 0.0) -> None:
    """A log as a job leaves it that is at ``done`` of 40, or that ended there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
    logger = logging.getLogger("craft.runtime.progress")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    progress = Progress(path.stem, 40, "generations", every=0)
    with progress:
        progress.reach(done, lambda: {"best loss": 0.5})
        if not ends:
            logger.removeHandler(handler)
    logger.removeHandler(handler)
    handler.close()
    moment = time.time() - age
    os.utime(path, (moment, moment))


def test_running_jobs_of_a_suite_are_found(tmp_path: Path) -> None:
    write_log(tmp_path / "mini/logs/fit/craft.log", 10)
    write_log(tmp_path / "mini/logs/fit/bbt.log", 20)
    write_log(tmp_path / "mini/logs/fit/done.log", 40, ends=True)
    (tmp_path / "mini/logs/other.log").write_text("a line\n")
    for results in (tmp_path, tmp_path / "mini"):
        found = running(results)
        assert [(job.state.what, job.state.done) for job in found] == [("bbt", 20), ("craft", 10)]
        assert not any(job.stale for job in found)


def test_killed_jobs_are_stale_and_then_gone(tmp_path: Path) -> None:
    ages = {"fresh": 5.0, "stale": STALE + 5, "gone": GONE + 5}
    for name, age in ages.items():
        write_log(tmp_path / f"logs/{name}.log", 3, age=age)
    assert {job.state.what: job.stale for job in running(tmp_path)} == {
        "fresh": False,
        "stale": True,
    }


def test_the_last_progress_of_a_long_log_counts(tmp_path: Path) -> None:
    log = tmp_path / "logs/fit.log"
    write_log(log, 3)
    with log.open("a") as stream:
        stream.writelines(f"line {n} \ufffd\n" for n in range(10_000))
    assert running(tmp_path) == []  # nothing of a task in the end of the log
    text = log.read_text().splitlines()
    log.write_text("\n".join([*text[3:], *text[:2]]) + "\n")
    assert [job.state.done for job in running(tmp_path)] == [3]


def test_a_row_shows_task_count_and_what_the_log_says(tmp_path: Path) -> None:
    write_log(tmp_path / "logs/a.log", 10)
    write_log(tmp_path / "logs/b.log", 20, age=STALE + 60)
    console = Console(width=240, record=True, file=io.StringIO())
    console.print(table(running(tmp_path)))
    first, second = console.export_text().splitlines()[1:]
    assert "10 of 40 generations" in first and "best loss 0.5" in first
    assert "20 of 40 generations" in second and "stale" in second


def test_the_command_prints_once(tmp_path: Path) -> None:
    write_log(tmp_path / "logs/a.log", 10)
    command = [sys.executable, "-m", "craft.console", "watch", "--once"]
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True, check=True)
    assert "10 of 40" in done.stdout
    missing = subprocess.run(
        [*command, tmp_path / "nowhere"], capture_output=True, text=True, check=False
    )
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1


def test_help_starts_without_torch_or_snakemake() -> None:
    code = (
        "import sys\nfrom craft.console.__main__ import cli\n"
        "try:\n    cli(['--help'])\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'snakemake', 'rich', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "plan" in done.stdout and "watch" in done.stdout
    assert done.stdout.endswith("set()\n")


def test_a_subcommand_that_does_not_exist_is_refused() -> None:
    command = [sys.executable, "-m", "craft.console", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Traceback" not in done.stderr


@pytest.mark.exhaustive
def test_help_takes_less_than_half_a_second() -> None:
    command = [sys.executable, "-m", "craft.console", "--help"]
    subprocess.run(command, check=True, capture_output=True)
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    assert time.monotonic() - start < 0.5
