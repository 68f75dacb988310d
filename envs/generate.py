"""Write envs/*.yaml, one conda environment per role, from the one lock; --lock makes that anew.

    python envs/generate.py          envs/*.yaml from requirements.lock
    python envs/generate.py --lock   requirements.lock from pyproject.toml (needs uv), then these,
                                     and what profiles/kubernetes needs besides

Snakemake hashes an environment's YAML alone, so that packages are listed in it, exactly.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
#: What a profile's plugins need and the lock lacks, or has in another version: 20 packages that
#: nothing else here uses.
PLUGINS = {"kubernetes": ROOT / "profiles/kubernetes/requirements.lock"}

PYTHON, PIP = "3.11.13", "25.2"

#: Environment -> what its rules are for, and the packages that they import.
ROLES = {
    "data": (
        "fetching, trees, manifests, splits and scores",
        (
            "gdown",
            "huggingface-hub",
            "numpy",
            "pillow",
            "pydantic",
            "pyyaml",
            "requests",
            "safetensors",
            "scikit-learn",
            "scipy",
            "urllib3",
        ),
    ),
    "vision": (
        "the black box's side: weights, prompts, image features",
        (
            "filelock",
            "httpx2",
            "numpy",
            "open-clip-torch",
            "pillow",
            "pydantic",
            "pyyaml",
            "safetensors",
            "torch",
            "torchvision",
        ),
    ),
    "learner": (
        "fits, which know the model by its answers: no open_clip, timm or huggingface_hub",
        (
            "cma",
            "filelock",
            "httpx2",
            "numpy",
            "pydantic",
            "pyyaml",
            "safetensors",
            "scipy",
            "threadpoolctl",
            "torch",
        ),
    ),
    "plain": (
        "fits of backbones whose text tower open_clip has to run (docs/backbones.md)",
        (
            "cma",
            "filelock",
            "httpx2",
            "numpy",
            "open-clip-torch",
            "pydantic",
            "pyyaml",
            "safetensors",
            "scipy",
            "threadpoolctl",
            "torch",
            "torchvision",
        ),
    ),
    "report": (
        "tables and figures",
        (
            "jinja2",
            "matplotlib",
            "numpy",
            "pandas",
            "pydantic",
            "pyyaml",
            "safetensors",
        ),
    ),
}

HEADER = """\
# Exact, hashed versions of everything that the project runs and is tested with, on Linux with
# Python 3.11 or newer, from pyproject.toml. Made by `python envs/generate.py --lock`;
# installed by `pip install --require-hashes -r requirements.lock`, as the Makefile does.
"""

PLUGINS_HEADER = """\
# What profiles/{profile} needs beside requirements.lock, exact and hashed. Made by
# `python envs/generate.py --lock`; installed into an environment of that lock by
# `pip install --require-hashes --no-deps -r profiles/{profile}/requirements.lock`.
"""

COMPILE = (
    "uv pip compile pyproject.toml --group test --universal --fork-strategy fewest"
    " --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --quiet --output-file"
)

_NAME = "[a-z0-9][a-z0-9._-]*"
_REQUIREMENT = re.compile(rf"^(?P<line>(?P<name>{_NAME})==\S+(?: ; .*?)?) \\$")
_NEEDED_BY = re.compile(rf"^    #   (?P<one>{_NAME})$|^    # via (?P<only>{_NAME})$")


def make_lock() -> None:
    """Resolve pyproject.toml into the lock, keeping the versions that it has; runs uv."""
    subprocess.run([*COMPILE.split(), str(LOCK)], cwd=ROOT, check=True)
    LOCK.write_text(HEADER + _unmarked(LOCK.read_text(encoding="utf-8")), encoding="utf-8")


def make_plugins(profile: str) -> None:
    """Resolve a profile's plugins on top of the lock, which keeps what versions it can; runs uv."""
    path = PLUGINS[profile]
    shutil.copy(LOCK, path)  # versions to prefer
    subprocess.run([*COMPILE.split(), str(path), "--group", profile], cwd=ROOT, check=True)
    known = {entry for lines in read_lock()[0].values() for entry in lines}
    text = _unmarked(path.read_text(encoding="utf-8")).rstrip("\n")
    entries = re.split(r"\n(?=[a-z0-9])", text)
    new = [
        entry
        for entry in entries
        if _REQUIREMENT.match(entry.partition("\n")[0])["line"] not in known
    ]
    head = PLUGINS_HEADER.format(profile=profile)
    path.write_text(head + "\n".join(new) + "\n", encoding="utf-8")


def _unmarked(text: str) -> str:
    """Return a lock without the mark of Linux at each entry, as [tool.uv] asks for nothing else."""
    text = text.replace(" ; sys_platform == 'linux' \\", " \\")
    return text.replace(" and sys_platform == 'linux' \\", " \\")


def read_lock() -> tuple[dict[str, list[str]], dict[str, set[str]]]:
    """Package -> its lines without hashes, and package -> what it needs directly."""
    lines: dict[str, list[str]] = {}
    needs: dict[str, set[str]] = {}
    name = ""
    for line in LOCK.read_text(encoding="utf-8").splitlines():
        if match := _REQUIREMENT.match(line):
            name = match["name"]
            lines.setdefault(name, []).append(match["line"])
        elif match := _NEEDED_BY.match(line):
            needs.setdefault(match["one"] or match["only"], set()).add(name)
    return lines, needs


def closure(roots: tuple[str, ...], needs: dict[str, set[str]]) -> list[str]:
    """``roots`` and all that they need, sorted."""
    found: set[str] = set()
    todo = list(roots)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs.get(name, ())
    return sorted(found)


def environment(role: str) -> str:
    """Return the text of a role's YAML."""
    purpose, roots = ROLES[role]
    lines, needs = read_lock()
    pinned = [line for name in closure(roots, needs) for line in lines[name]]
    return "\n".join(
        [
            f"# For {purpose}.",
            "# Generated from requirements.lock by `python envs/generate.py`; do not edit.",
            "channels: [conda-forge, nodefaults]",
            "dependencies:",
            f"  - python={PYTHON}",
            f"  - pip={PIP}",
            "  - pip:",
            *(f'      - "{line}"' for line in pinned),
            "",
        ]
    )


def main() -> None:
    """Write the lock where asked to, and every environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true", help="resolve requirements.lock anew")
    if parser.parse_args().lock:
        make_lock()
        for profile in PLUGINS:
            make_plugins(profile)
    for role in ROLES:
        (ROOT / "envs" / f"{role}.yaml").write_text(environment(role), encoding="utf-8")


if __name__ == "__main__":
    main()
