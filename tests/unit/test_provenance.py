from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from craft.runtime import provenance
from craft.runtime.provenance import code_hash, config_hash, modules, versions

RULES = "".join(path.read_text() for path in Path("workflow/rules").glob("*.smk"))
#: Every stage of which a rule plans the code.
STAGES = sorted(set(re.findall(r'"(craft\.[\w.]+)"', RULES)))


#: Prints, a line for each stage, what of ours a process has imported that imports the stage. Other
#: people's packages, which take seconds, are imported once and before.
IMPORT = """
import gc, importlib, json, os, sys
import matplotlib.pyplot, open_clip, pandas, torch
assert not any(name.split(".")[0] == "craft" for name in sys.modules)
gc.freeze()
for stage in sys.argv[1:]:
    if not os.fork():
        importlib.import_module(stage)
        ours = [name for name in sys.modules if name.split(".")[0] == "craft"]
        print(json.dumps(ours), flush=True)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{stage} cannot be imported")
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Stage -> the modules of ours that importing it imports."""
    command = [sys.executable, "-c", IMPORT, *STAGES]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    lines = done.stdout.splitlines()
    return {stage: set(json.loads(line)) for stage, line in zip(STAGES, lines, strict=True)}


@pytest.mark.parametrize("stage", STAGES)
def test_all_that_a_stage_imports_is_in_its_hash(stage: str, imported: dict[str, set[str]]) -> None:
    assert stage in imported[stage]
    assert imported[stage] <= set(modules(stage))


def test_every_command_of_the_workflow_is_hashed() -> None:
    commands = set(re.findall(r"python -m (?:craft\.runtime\.gpu_lease \S+ )?([\w.]+)", RULES))
    assert len(commands) > 8
    # What was fetched and verified stays, whatever becomes of the code that did it. The lease
    # starts a module that a rule names by a parameter, beside its hash.
    for command in commands - {"craft.data.fetch", "craft.runtime.gpu_lease"}:
        assert {command, f"{command}.__main__"} & set(STAGES)


def test_stages_do_not_share_what_they_need_not() -> None:
    fit = modules("craft.fit.__main__", "craft.learner.collaborative")
    assert "craft.learner.collaborative" in fit
    assert not any(
        name.startswith(("craft.report.tables", "craft.report.figures", "craft.data"))
        for name in fit
    )
    assert "craft.evaluation.score" not in fit
    assert not any(name.startswith("craft.learner") for name in modules("craft.evaluation.score"))


def test_a_command_that_another_stage_borrows_from_is_not_its_own() -> None:
    assert "craft.blackbox.backbones.description" in modules("craft.blackbox.text.tokenise")
    assert "craft.blackbox.text.tokenise" in modules("craft.fit.__main__")
    assert "craft.blackbox.backbones.pretrained" not in modules("craft.fit.__main__")


def test_no_code_of_the_text_side_belongs_to_the_encoding_of_images() -> None:
    images = modules("craft.blackbox.images.__main__")
    assert "craft.blackbox.backbones.pretrained" in images
    assert not [name for name in images if name.startswith("craft.blackbox.text")]
    assert "craft.blackbox.text.prefix_sharing" in modules("craft.blackbox.backbones.export_side")


def forget() -> None:
    """Read sources anew."""
    for cached in vars(provenance).values():
        if hasattr(cached, "cache_clear"):
            cached.cache_clear()


def test_a_hash_follows_the_sources_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    package = tmp_path / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "stage.py").write_text("def run():\n    from pack import helper\n")
    (package / "helper.py").write_text("import os\n")
    (package / "other.py").write_text("")

    def fresh() -> str:
        forget()
        return code_hash("pack.stage")

    first = fresh()
    assert modules("pack.stage") == ("pack", "pack.helper", "pack.stage")
    (package / "other.py").write_text("x = 1\n")
    assert fresh() == first
    (package / "helper.py").write_text("import sys\n")
    changed = fresh()
    assert changed != first
    (package / "__init__.py").write_text("y = 1\n")
    assert fresh() not in (first, changed)
    monkeypatch.undo()
    forget()


STAGE = '''"""What it is."""
import logging

log = logging.getLogger("stage")


class Stage:
    """A class."""

    def run(self, value, name="a"):
        """A method."""
        if value < 0:
            raise ValueError(f"{name}: value {value} is below " + "0")
        log.info("value %s of " "%s", value, name)
        return value, "result"
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("What it is.", "What else it is.", True),
        ("A class.", "No class.", True),
        ("A method.", "Another method.", True),
        ('        """A method."""\n', "", True),
        ("value < 0:", "value < 0:  # why", True),
        ("{name}: value {value} is below ", "value of {name} is {value}, below ", True),
        ('"0"', '"zero"', True),
        ("value %s of ", "%s for ", True),
        ("import logging\n", "import logging\n\n", True),
        ('"result"', '"other"', False),
        ('name="a"', 'name="b"', False),
        ("value < 0", "value < 1", False),
        ("log.info", "print", False),
        ("import logging\n", "import logging\nimport math\n", False),
    ],
)
def test_only_what_a_program_does_is_in_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, same: bool
) -> None:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    hashes = []
    for text in (STAGE, STAGE.replace(old, new)):
        (tmp_path / "stage.py").write_text(text)
        forget()
        hashes.append(code_hash("stage"))
    assert STAGE.count(old) == 1 and (hashes[0] == hashes[1]) == same
    monkeypatch.undo()
    forget()


def test_the_room_runtime_is_in_no_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    runtime = tmp_path / "craft/runtime"
    runtime.mkdir(parents=True)
    (tmp_path / "craft/stage.py").write_text("from craft.runtime import exit\n")
    hashes = []
    for text in ("STATUS = 75", "STATUS = 76"):
        (runtime / "exit.py").write_text(text)
        forget()
        hashes.append(code_hash("craft.stage"))
    assert hashes[0] == hashes[1]
    monkeypatch.undo()
    forget()


def test_the_commit_is_that_of_this_projects_own_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=n", "-c", "user.email=e")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    def found(root: Path) -> str | None:
        monkeypatch.setattr(provenance, "ROOT", root)
        provenance.commit.cache_clear()
        return provenance.commit()

    inner = tmp_path / "vendored"
    inner.mkdir()
    (tmp_path / "file").write_text("1")
    git("init", "--quiet")
    git("add", "file")
    git("commit", "--quiet", "--message", "m")
    assert re.fullmatch("[0-9a-f]{40}", found(tmp_path))
    (tmp_path / "file").write_text("2")
    assert found(tmp_path).endswith("-dirty")
    assert found(inner) is None
    monkeypatch.setenv("HOME", str(inner))  # where no safe.directory is set
    for owner in (65534, os.geteuid()):
        if os.geteuid() == 0:  # who else may give files away
            os.chown(tmp_path, owner, -1)
            os.chown(tmp_path / ".git", owner, -1)
        assert found(tmp_path).endswith("-dirty")
    monkeypatch.setenv("PATH", "")
    assert found(tmp_path) is None
    monkeypatch.undo()
    provenance.commit.cache_clear()


def test_a_hash_of_settings_is_one_of_their_values() -> None:
    assert config_hash({"a": 1, "b": [2]}) == config_hash({"b": [2], "a": 1})
    assert config_hash({"a": 1}) != config_hash({"a": 1.5})


def test_versions_name_python_and_what_computes() -> None:
    found = versions()
    assert {"python", "torch", "numpy", "cma"} <= set(found)
