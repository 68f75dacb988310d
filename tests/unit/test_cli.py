"""Commands end an expected failure in one line: bad files, missing ones, a full disk."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from craft.data import manifest, splits
from craft.evaluation import score as evaluate
from craft.files.atomic import RecordError
from craft.learner.options import Options
from craft.runtime import command as cli
from craft.runtime.provenance import code_hash
from craft.runtime.signals import ENDED, Ended

COMMANDS = sorted(
    path for path in Path("craft").rglob("*.py") if '__name__ == "__main__"' in path.read_text()
)


def failure(error: BaseException) -> str:
    """What a command ends with whose main raises an error."""

    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        cli.run_command(main)
    return str(ended.value.code)


@pytest.mark.parametrize("path", COMMANDS, ids=str)
def test_every_command_ends_in_the_same_way(path: Path) -> None:
    assert "    run_command(" in path.read_text()


def test_what_can_be_expected_is_one_line() -> None:
    assert failure(RecordError("a.json: not a run record")) == "error: a.json: not a run record"
    full = OSError(28, "No space left on device", "b.csv")
    assert failure(full) == "error: [Errno 28] No space left on device: 'b.csv'"
    with pytest.raises(SystemExit, match=r"^error: .*budget"):
        cli.run_command(lambda: Options.resolve({"budget": 1}))  # raised in a module of ours


@pytest.mark.parametrize("library", [np, torch], ids=["numpy", "torch"])
def test_a_lack_of_memory_is_named(library: ModuleType) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run_command(lambda: library.ones(1 << 50))
    assert str(ended.value.code).startswith("error: out of memory (")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_is_one_line_and_a_status_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    number = signal.Signals[name]

    def main() -> None:
        try:
            signal.raise_signal(number)
        except Ended as ended:
            ended.add_note("half of it is kept")
            raise

    before = signal.signal(number, signal.SIG_DFL)  # nohup may have run this
    try:
        with pytest.raises(SystemExit) as ended:
            cli.run_command(main)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert ended.value.code == ENDED == 75
    assert capsys.readouterr().err == f"ended by {name}; half of it is kept\n"


def test_what_nohup_started_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        cli.run_command(lambda: signal.raise_signal(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    with pytest.raises(TypeError):
        cli.run_command(lambda: len(3))  # type: ignore[arg-type]
    # A library's ValueError is no refusal of ours.
    with pytest.raises(ValueError, match="broadcast"):
        import numpy as np

        cli.run_command(lambda: np.broadcast_to(np.zeros(3), (2,)))


CASES = {
    "a manifest that is not there": (
        lambda folder: splits.main(
            f"--manifest {folder}/no.csv --dataset D --shots 1 --seed 1"
            f" --out-pattern {folder}/{{seed}}.json".split()
        ),
        r"no\.csv: not a readable manifest",
    ),
    "a description that is not there": (
        lambda folder: manifest.main(
            ["--dataset", f"{folder}/no.yaml", "--root", str(folder), "--out", f"{folder}/o.csv"]
        ),
        r"no\.yaml",
    ),
    "a record that is not there": (
        lambda folder: evaluate.score_run(folder, {}),
        r"record\.json",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_missing_file_is_named(tmp_path: Path, case: str) -> None:
    command, said = CASES[case]
    with pytest.raises(SystemExit) as ended:
        cli.run_command(lambda: command(tmp_path))
    assert re.search(said, str(ended.value.code))
    assert "\n" not in str(ended.value.code)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "write", ["write_text(out, 'x' * 5000)", "write_tensors(out, {'a': a}, {})"]
)
def test_a_full_disk_is_told_with_the_files_name_and_nothing_is_left(
    tmp_path: Path, write: str
) -> None:
    # A limit to the size of files stands in for a disk without room: both fail while writing.
    code = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from craft.runtime.command import run_command\n"
        "from craft.files.atomic import write_tensors, write_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "out, a = sys.argv[1], np.zeros(5000)\n"
        f"run_command(lambda: {write})\n"
    )
    out = tmp_path / "folder" / "out"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert str(out) in done.stderr and "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert not list(out.parent.iterdir())


def test_a_folder_that_is_read_only_is_told_with_the_files_name(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    folder.chmod(0o555)
    tmp_path.chmod(0o755)
    # Root may write anywhere, so a process of root's becomes somebody else once it is in place: its
    # folder is then its own to enter, whoever owns those above.
    code = (
        "import os\n"
        "from craft.runtime.command import run_command\n"
        "from craft.files.atomic import write_text\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "if os.geteuid() == 0:\n"
        "    os.seteuid(65534)\n"
        "run_command(lambda: write_text('results/out', 'x'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    said = "error: [Errno 13] cannot be written: Permission denied: 'results/out'\n"
    assert done.stderr == said
    assert not list(folder.iterdir())


def test_another_code_than_the_planned_one_is_refused() -> None:
    command = [sys.executable, "-m", "craft.data.splits", "--help", "--code"]
    planned = f"craft.data.splits={code_hash('craft.data.splits')}"
    assert subprocess.run([*command, planned], capture_output=True).returncode == 0
    refused = subprocess.run([*command, planned[:-1] + "x"], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "planned code" in refused.stderr and "Traceback" not in refused.stderr
