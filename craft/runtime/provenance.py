"""Provenance: the sources that a stage can import, versions, machine and commit."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: Distributions whose version can change a number.
DISTRIBUTIONS = (
    "cma",
    "numpy",
    "open_clip_torch",
    "pillow",
    "safetensors",
    "scikit-learn",
    "snakemake",
    "torch",
    "torchvision",
)


@functools.cache
def source(module: str) -> Path | None:
    """Return the file of a module of this project, None for any other, without importing it."""
    path = os.path.join(ROOT, *module.split("."))
    for candidate in (f"{path}.py", os.path.join(path, "__init__.py")):
        if os.path.isfile(candidate):
            return Path(candidate)
    return None


#: Package whose code decides no result: start, end, reports and leases of processes.
_UNHASHED = "craft.runtime."

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_LEVELS = ("debug", "info", "warning", "error", "exception", "critical")

#: Where a statement holds others.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


@functools.cache
def tree(module: str) -> ast.Module:
    """Syntax tree of a module of this project; raises ModuleNotFoundError."""
    path = source(module)
    if path is None:
        raise ModuleNotFoundError(f"{module} is no module below {ROOT}", name=module)
    return ast.parse(path.read_bytes())


def summary_of(module: str) -> str:
    """Return the first line of a command's docstring."""
    entry = module if source(f"{module}.__main__") is None else f"{module}.__main__"
    return (ast.get_docstring(tree(entry)) or module).splitlines()[0]


@functools.cache
def modules(*entries: str) -> tuple[str, ...]:
    """Return the modules of this project that ``entries`` can import, including themselves, sorted.

    Reads the sources, including imports inside functions. Imports in a module's ``main`` count only
    for entries, because only their own command runs it.
    """
    found: set[str] = set()
    todo = list(entries)
    while todo:
        module = todo.pop()
        if module in found or source(module) is None:
            continue
        found.add(module)
        parents = module.split(".")
        todo += [".".join(parents[:n]) for n in range(1, len(parents))]
        todo += _imports(module, module in entries)
    return tuple(sorted(found))


@functools.cache
def _imports(module: str, runs_main: bool) -> tuple[str, ...]:
    """Every module that a module's import statements may name, existing or not."""
    found: list[str] = []
    todo = [n for n in tree(module).body if runs_main or getattr(n, "name", None) != "main"]
    for node in todo:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # Imports are absolute here (ruff's TID252); `from package import name` imports a
            # module where the name is one.
            found += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            # Imports are statements: expressions, most of a tree, are left out.
            for block in _BLOCKS:
                todo += getattr(node, block, ())
    return tuple(found)


@functools.cache
def code_hash(*entries: str) -> str:
    """Return 16 hex digits of the SHA-256 over the code that ``entries`` can import.

    As a parameter of a rule, it runs again only the jobs whose code has changed. It excludes
    comments, layout, docstrings, texts of errors and log lines, and the package ``craft.runtime``,
    which decides no result. An entry outside this project counts by its name.
    """
    digest = hashlib.sha256("\0".join(sorted(entries)).encode())
    for module in modules(*entries):
        if not f"{module}.".startswith(_UNHASHED):
            digest.update(f"\0{module}\0{_meaning(module)}".encode())
    return digest.hexdigest()[:16]


@functools.cache
def _meaning(module: str) -> str:
    """Syntax tree of a module as text, without what only people read."""
    found = tree(module)
    for node in ast.walk(found):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        elif isinstance(node, ast.Raise) or _logs(node):
            _Silent().visit(node)
    return ast.dump(found)


def _logs(node: ast.AST) -> bool:
    """Return whether a node is a call such as ``log.info(...)``."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    logger = node.func.value
    return isinstance(logger, ast.Name) and logger.id == "log" and node.func.attr in _LEVELS


class _Silent(ast.NodeTransformer):
    """Empties the texts below a node."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
        return ast.Constant("")

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant("") if isinstance(node.value, str) else node


def timestamp() -> str:
    """Return the time now, UTC, in ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of each distribution that can change a number."""
    found = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an environment of one role has not all of them
    return found


def config_hash(settings: Mapping[str, Any]) -> str:
    """Return 16 hex digits of the SHA-256 of settings (JSON values), in any order of keys."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def commit() -> str | None:
    """Return the checkout's git commit, with "-dirty" if tracked files differ; None without."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    # Git refuses a repository of another user, as its configuration can name programs to run; code
    # of this checkout, whose ever it is, runs here anyway.
    command[1:1] = ["-c", f"safe.directory={ROOT}"]
    # Git looks upwards otherwise, and takes the commit of whatever project this one lies in.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(ROOT.parent)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    except OSError:
        return None  # no git
    return done.stdout.strip() or None


def machine(device: str, threads: int) -> dict[str, str]:
    """Return the machine that times and memory depend on: device, threads, processor, system."""
    return {
        "device": device,
        "threads": str(threads),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
    }


@functools.cache
def _processor() -> str:
    """Name of the processor; Linux tells it in a file, other systems to ``platform``."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text("utf-8"))
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()
