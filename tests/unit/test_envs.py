"""The conda environments agree with the one lock, and hold what their rules import."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

_spec = importlib.util.spec_from_file_location("generate", "envs/generate.py")
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)

LOCK = Path("requirements.lock").read_text()
MINI = yaml.safe_load(Path("config/mini.yaml").read_text())
#: Run with an environment's packages and modules: imports those with no other package at hand.
IMPORT = """
import importlib, importlib.machinery, importlib.metadata, re, sys
allowed = {"craft-pipeline", *sys.argv[1].split()}  # the checkout itself may be installed
homes = {
    top: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
    for top, names in importlib.metadata.packages_distributions().items()
}
class Only(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        home = homes.get(name.partition(".")[0])
        return super().find_spec(name, path, target) if not home or home & allowed else None
sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Only
sys.path.insert(0, "")
for module in sys.argv[2:]:
    importlib.import_module(module)
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def listed(role: str) -> set[str]:
    pip = yaml.safe_load(Path(f"envs/{role}.yaml").read_text())["dependencies"][-1]["pip"]
    return {entry.partition("==")[0] for entry in pip}


#: Rules whose backbone decides which module they run -> these modules.
BY_BACKBONE = {
    "export_text_tower": {"craft.blackbox.backbones.export_side", "craft.client.describe"},
    "tokenise_prompts": {"craft.blackbox.text.tokenise", "craft.client.tokenise"},
    "encode_images": {"craft.blackbox.images.__main__", "craft.client.upload"},
}


def commands(role: str) -> list[str]:
    """Modules that an environment's rules run, and what fits load by name or by their tower."""
    learners = {m["learner"].partition(":")[0] for m in MINI["methods"].values()}
    loaded = {
        "learner": {*learners},
        "plain": {*learners, "craft.blackbox.text.full_length"},
    }
    found = loaded.get(role, set())
    text = "".join(path.read_text() for path in sorted(Path("workflow/rules").glob("*.smk")))
    names = {"learner": "LEARNER_ENV", "plain": "PLAIN_ENV"}
    for rule in re.split(r"^ *rule ", text, flags=re.M)[1:]:
        conda = re.search(r"^ +conda:\n(.*)", rule, re.M)
        if conda and (f"envs/{role}.yaml" in conda[1] or names.get(role, "-") in conda[1]):
            if ran := re.search(r"python -m (?:craft\.runtime\.gpu_lease \S+ )?([\w.]+)", rule):
                name = ran[1]
                found.add(f"{name}.__main__" if Path(*name.split(".")).is_dir() else name)
            else:  # by the backbone, here or by its service
                found |= BY_BACKBONE[rule.partition(":")[0]]
    assert found
    return sorted(found)


@pytest.mark.parametrize("role", generate.ROLES)
def test_an_environment_is_what_the_lock_makes_it(role: str) -> None:
    assert Path(f"envs/{role}.yaml").read_text() == generate.environment(role)


def test_no_environment_is_unknown() -> None:
    assert {path.stem for path in Path("envs").glob("*.yaml")} == set(generate.ROLES)


@pytest.mark.parametrize("role", generate.ROLES)
def test_an_environment_has_what_its_rules_import(role: str) -> None:
    command = [sys.executable, "-c", IMPORT, " ".join(listed(role)), *commands(role)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize("role", generate.ROLES)
def test_an_environment_installs_and_imports_what_its_rules_do(role: str, tmp_path: Path) -> None:
    if "torch" in listed(role) and not os.environ.get("CRAFT_ENV_TEST"):
        pytest.skip("several GB of torch; CRAFT_ENV_TEST=1 installs it")
    listing = yaml.safe_load(Path(f"envs/{role}.yaml").read_text())["dependencies"][-1]["pip"]
    (tmp_path / "requirements.txt").write_text("\n".join(listing))
    folder = tmp_path / "environment"
    python = folder / "bin/python"

    def succeeds(*command: object) -> None:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    try:
        # These packages alone, by the pip that is here, which finds that none needs another one.
        succeeds(sys.executable, "-m", "venv", "--without-pip", folder)
        pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
        install = ("install", "--no-deps", "--no-compile")
        succeeds(*pip, *install, "-r", tmp_path / "requirements.txt")
        succeeds(*pip, "check")
        # Imports every plugin in sight, so that it is tried here only, where there are no others.
        modules = commands(role) + ["snakemake.api"] * ("snakemake" in listed(role))
        names = f"import importlib, sys; sys.path.insert(0, '')\nfor name in {modules}:"
        succeeds(python, "-c", f"{names}\n    importlib.import_module(name)")
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # pytest keeps what is left for a while


def test_the_learners_environment_holds_no_model_zoo() -> None:
    assert not listed("learner") & {"open-clip-torch", "timm", "huggingface-hub", "transformers"}


def test_every_package_of_the_project_is_locked() -> None:
    project = tomllib.loads(Path("pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["test"]]
    lines, _ = generate.read_lock()
    assert {canonical(re.match(r"[\w.-]+", name)[0]) for name in wanted} <= set(lines)


def test_the_lock_is_exact_hashed_and_names_no_host() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.partition("Makefile does.\n")[2])
    assert len(entries) > 80
    for entry in entries:
        assert re.match(r"[a-z0-9._-]+==[\w.+]+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in LOCK
    assert "--index" not in LOCK and "--find-links" not in LOCK


@pytest.mark.parametrize("profile", generate.PLUGINS)
def test_a_profiles_plugins_are_exact_hashed_and_beside_the_lock(profile: str) -> None:
    text = generate.PLUGINS[profile].read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert all(re.match(r"[a-z0-9._-]+==\S+", entry) for entry in entries)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    mine = {entry.partition("==")[0]: entry.splitlines()[0].strip(" \\") for entry in entries}
    lines, _ = generate.read_lock()
    assert not any(line in lines.get(name, ()) for name, line in mine.items())
    groups = tomllib.loads(Path("pyproject.toml").read_text())["dependency-groups"]
    assert set(groups[profile]) <= set(mine)
