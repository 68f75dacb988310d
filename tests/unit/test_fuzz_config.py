"""A thousand broken configurations: each is refused in lines that say what to do, or is right."""

from __future__ import annotations

import copy
import random
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from craft.config import ConfigError, load
from craft.design import Design

COUNT = 1000
#: Each suite is the base of half of the configurations; the paper's reads 20 files, the mini's 10.
MINI = "config/mini.yaml"

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


def mutate(value: dict[str, Any], chance: random.Random) -> str:
    """Break one thing in a configuration or a description; returns what was done."""
    *path, key = chance.choice(list(places(value)))
    holder: Any = value
    for step in path:
        holder = holder[step]
    where = ".".join(map(str, [*path, key]))
    kind = chance.choice(["drop", "rename", "replace", "replace", "replace", "repeat", "add"])
    if kind == "drop":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        letter = chance.choice(string.ascii_letters + " .\n{")
        at = chance.randrange(len(str(key)) + 1)
        holder[f"{str(key)[:at]}{letter}{str(key)[at:]}"] = holder.pop(key)
    elif kind == "repeat" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif kind == "add" and isinstance(holder[key], dict):
        holder[key][chance.choice([*string.ascii_lowercase, "extra", 7, None])] = 1
    elif kind == "add" and isinstance(holder[key], list):
        holder[key].append(copy.deepcopy(chance.choice(ODD)))
    else:
        kind, holder[key] = "replace", copy.deepcopy(chance.choice(ODD))
    return f"{kind} {where}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of config/ whose descriptions may be broken."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree("config", folder / "config")
    return folder


def outcome(config: Any, project: Path) -> tuple[str, ...]:
    """The problems that are reported, one line each; none of a configuration that is right."""
    try:
        suite = load(config, project)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert len(problem) < 3000, problem
            assert problem.isprintable(), ascii(problem)
        return error.problems
    # What is called right can be planned: names, paths, options and values all hold.
    design = Design(suite)
    for run in design.all_runs:
        assert design.options(run.method, run.dataset, run.shots) is not None
        assert run.folder.isprintable()
    for name in design.artefacts():
        design.restrict(name)
    return ()


def test_a_thousand_broken_configurations_are_told(project: Path) -> None:
    base = yaml.safe_load(Path(MINI).read_text())
    refused = 0
    for seed in range(COUNT):
        chance = random.Random(seed)
        config = copy.deepcopy(base)
        done = [mutate(config, chance) for _ in range(chance.choice([1, 1, 1, 2, 5]))]
        try:
            refused += bool(outcome(config, project))
        except Exception as error:
            raise AssertionError(f"seed {seed}, {done}: {error!r}") from error
    # The others are right: a label more, a method less.
    assert refused > 0.6 * COUNT


def test_broken_descriptions_are_told_by_file(project: Path) -> None:
    base = yaml.safe_load(Path(MINI).read_text())
    names = ["datasets/digits", "datasets/objects-v2", "backbones/mini-rn"]
    for seed in range(300):
        chance = random.Random(seed)
        path = project / f"config/{chance.choice(names)}.yaml"
        whole = path.read_text()
        facts = yaml.safe_load(whole)
        done = [mutate(facts, chance) for _ in range(chance.choice([1, 1, 3]))]
        path.write_text(yaml.safe_dump(facts, allow_unicode=True, sort_keys=False))
        try:
            problems = outcome(base, project)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {path.name}, {done}: {error!r}") from error
        finally:
            path.write_text(whole)
        # A wrong fact may also contradict the suite, whose own line then follows.
        assert (
            not problems
            or any(path.name in problem for problem in problems)
            or all(problem.startswith("config: ") for problem in problems)
        )


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("kind", ["suite", "description"])
def test_broken_yaml_is_told_by_file(project: Path, text: str, kind: str) -> None:
    path = project / "config" / ("suite.yaml" if kind == "suite" else "datasets/digits.yaml")
    whole = Path(MINI).read_text() if kind == "suite" else path.read_text()
    path.write_text(text)
    try:
        problems = outcome(
            path if kind == "suite" else yaml.safe_load(Path(MINI).read_text()), project
        )
    finally:
        path.write_text(whole)
    assert problems and path.name in problems[0]
    assert not (project / "pwned").exists() and not Path("pwned").exists()
