"""Broken configurations: each is refused in lines that name file and key, or can be planned."""

from __future__ import annotations

import copy
import json
import os
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from craft.config.load import load
from craft.config.problems import ConfigError, Problem
from craft.design.jobs import batches
from craft.design.request import request
from craft.design.runs import Design
from craft.files import yaml12

SUITES = {path: yaml12.read(path) for path in ("config/mini.yaml", "config/config.yaml")}
DESCRIPTIONS = ("datasets/digits", "datasets/objects-v2", "backbones/mini-rn")

#: What a value may be replaced by: other types, out of range, unknown, hostile, odd.
ODD: tuple[Any, ...] = (
    None,
    True,
    "",
    " ",
    "no such name",
    "../../etc/passwd",
    "/",
    "a/b",
    "$(touch pwned)",
    "`id`; rm -rf x",
    "'\"\\\n\t",
    "{dataset}",
    "{}",
    "{0.__class__}",
    "%s%n",
    "naïve 数据 🙂 \u202e",
    "\x00",
    "x" * 5000,
    -1,
    0,
    1,
    1.0,
    0.5,
    -0.0,
    1e308,
    1e-320,
    2**31,
    2**53 + 2,
    10**400,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    [1, 1],
    {"x": {"y": {"z": []}}},
    "2020-01-01",
    "craft.learner.collaborative:Collaborative",
    "os:system",
    "craft.fit:main",
)

#: Without any of these no suite is right that has a table of robustness and sweeps of CraFT.
NEEDED = {
    *((key,) for key in ("suite", "seeds", "backbones", "datasets", "methods", "artefacts")),
    *(("shift",), ("shift", "source"), ("shift", "targets"), ("methods", "craft")),
}
#: Values of ODD that no key of a suite or a description accepts.
NOWHERE = ("{}", [[]], [None], {"x": {"y": {"z": []}}}, {"a": 1})

#: YAML that is broken, or means something else to another reader.
TEXTS = (
    "",
    "null",
    "[1, 2]",
    "text",
    "suite: [",
    "suite: !!python/object/apply:os.system ['touch pwned']",
    "suite: !!python/name:os.system",
    "suite: !local x",
    "suite: 2020-01-01",
    "suite: !!binary aGk=",
    "suite: !!set {a}",
    "suite: *nowhere",
    "suite: &a [*a]",
    "suite: mini\nsuite: other",
    "? [a, b]\n: 1",
    "1: 2",
    "on: 1",
    "a:\n\t- b",
    "[" * 3000,
    "\x00",
    "%YAML 9.9\n---\na",
    "suite: a\n---\nsuite: b",
    "\n".join(["a: &a [x, x, x]", *(f"a{n}: &a [*a, *a, *a]" for n in range(40))]),
    "suite: " + "9" * 5000,
    "suite: 010",
    "suite: 0" + "7" * 5000,
    "suite: 40:00",
    "suite: !!int '0x:'",
    "suite: !!float x",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in a nest of mappings and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in inner if isinstance(value, dict | list) else ():
        yield (*path, key)
        if isinstance(entry, dict | list):
            yield from places(entry, (*path, key))


@st.composite
def mutations(draw: st.DrawFn, value: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """A configuration or a description with one to three places broken, and what was done."""
    value, done = copy.deepcopy(value), []
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        *steps, key = path
        holder: Any = value
        for step in steps:
            holder = holder[step]
        kind = draw(st.sampled_from(["drop", "rename", "replace", "repeat", "add"]))
        odd = copy.deepcopy(draw(st.sampled_from(ODD)))
        if kind == "drop":
            del holder[key]
        elif kind == "rename" and isinstance(holder, dict):
            at = draw(st.integers(0, len(key)))
            letter = draw(st.sampled_from(string.ascii_letters + " .\n{"))
            holder[f"{key[:at]}{letter}{key[at:]}"] = holder.pop(key)
        elif kind == "repeat" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif kind == "add" and isinstance(holder[key], dict):
            holder[key][draw(st.sampled_from([*string.ascii_lowercase, "extra"]))] = odd
        elif kind == "add" and isinstance(holder[key], list):
            holder[key].append(odd)
        else:
            kind, holder[key] = "replace", odd
        done.append((kind, path, odd))
    return value, done


def outcome(suite: Any, project: Path) -> tuple[Problem, ...]:
    """The problems that are reported; none of a configuration that is right, which is planned."""
    try:
        suite = load(suite, project)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert problem.expected and (problem.path or problem.source)
            assert len(str(problem)) < 5000 and str(problem).isprintable(), ascii(str(problem))
        return error.problems
    design = Design(suite)
    assert all(
        run.folder.isprintable() and len(run.options.copies) <= 1001 for run in design.all_runs
    )
    batches(design.all_runs, suite["runs_per_job"])
    for name in design.artefacts():
        json.dumps(request(design, name))
    return ()


def told(done: list[Any], problems: tuple[Problem, ...]) -> bool:
    """Whether what was done to a suite is reported, where it alone spoils any suite."""
    if len(done) > 1:
        return True
    ((kind, path, odd),) = done
    spoils = (
        (kind == "drop" and path in NEEDED)
        or (kind == "rename" and path[:-1] != ("methods",))
        or kind == "repeat"
        or (kind == "replace" and any(odd == value for value in NOWHERE))
    )
    return bool(problems) or not spoils


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of config/ whose descriptions may be broken."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree("config", folder / "config")
    return folder


MANY = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@MANY
@given(case=st.sampled_from(list(SUITES)).flatmap(lambda path: mutations(SUITES[path])))
def test_broken_suites_are_reported(project: Path, case: Any) -> None:
    suite, done = case
    # As it reaches us: from a file, if YAML can hold it at all.
    try:
        text = yaml.safe_dump(suite, allow_unicode=True, sort_keys=False)
    except (ValueError, yaml.YAMLError):
        return
    (project / "suite.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    assert told(done, outcome(project / "suite.yaml", project)), done


@MANY
@given(
    case=st.sampled_from(DESCRIPTIONS).flatmap(
        lambda name: st.tuples(st.just(name), mutations(yaml12.read(f"config/{name}.yaml")))
    )
)
def test_broken_descriptions_are_reported_by_file(project: Path, case: Any) -> None:
    name, (description, _) = case
    path = project / f"config/{name}.yaml"
    whole = path.read_text(encoding="utf-8")
    try:
        path.write_text(yaml.safe_dump(description, allow_unicode=True, sort_keys=False), "utf-8")
        problems = outcome(SUITES["config/mini.yaml"], project)
    except (ValueError, yaml.YAMLError) as error:
        assert "digits" in str(error), error  # an int of thousands of digits cannot be written
        return
    finally:
        path.write_text(whole, encoding="utf-8")
    # A wrong fact may also contradict the suite, whose own line then follows.
    sources = {problem.source for problem in problems}
    assert not problems or f"config/{name}.yaml" in sources or sources == {"config"}


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("kind", ["suite", "description"])
def test_broken_yaml_is_reported_by_file(project: Path, text: str, kind: str) -> None:
    name = "suite.yaml" if kind == "suite" else "config/datasets/digits.yaml"
    path, shipped = project / name, Path("config/datasets/digits.yaml")
    path.write_text(text)
    try:
        given = path if kind == "suite" else SUITES["config/mini.yaml"]
        problems = outcome(given, project)
    finally:
        if kind == "description":
            path.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    assert problems and {os.path.basename(name)} == {Path(p.source).name for p in problems}
    assert not (project / "pwned").exists() and not Path("pwned").exists()
