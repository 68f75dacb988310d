"""A thousand broken configurations: each is refused in lines that say what to do, or is right."""

from __future__ import annotations

import copy
import functools
import random
import shutil
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from craft.config import load as config
from craft.config.load import ConfigError, load
from craft.design.jobs import job_shapes
from craft.design.runs import Design
from craft.runtime.provenance import code_hash

COUNT = 1000
#: Each suite is the base of half of the configurations.
MINI, PAPER = "config/mini.yaml", "config/config.yaml"
READ = config.described
KEPT = functools.cache(READ)

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

#: Those of them that no YAML file may hold, and those that no key of a suite accepts besides.
NEVER = ("'\"\\\n\t", "\x00", "x" * 5000, 2**53 + 2, 10**400, float("nan"), float("inf"))
NOWHERE = (-1, 1e308, 2**31, [[]], [None], {"a": 1}, {"x": {"y": {"z": []}}})

#: Without any of these no suite is right that has a table of robustness and sweeps of CraFT.
NEEDED = {
    *((key,) for key in ("suite", "seeds", "backbones", "datasets", "methods", "artefacts")),
    *(("shift",), ("shift", "source"), ("shift", "targets"), ("methods", "craft")),
}

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


class Mutation(NamedTuple):
    """What was done to one place of a configuration or a description."""

    kind: str
    path: tuple[Any, ...]
    value: Any = None

    def spoils_suite(self) -> bool:
        """Whether no suite is right after this alone."""
        if self.kind == "drop":
            return self.path in NEEDED or (self.path[0], *self.path[2:]) == ("artefacts", "shots")
        if self.kind == "rename":
            return self.path[:-1] != ("methods",)  # any name will do for a method
        spoilt = NEVER + NOWHERE
        return self.kind in ("repeat", "add a key") or any(same(self.value, v) for v in spoilt)

    def spoils_description(self) -> bool:
        """Whether no description is right after this alone."""
        if self.kind == "drop":
            return self.path in {("name",), ("kind",)}
        return any(same(self.value, value) for value in NEVER)


def same(value: Any, other: Any) -> bool:
    """Whether two values are one, NaN and itself, but not 1 and True."""
    return type(value) is type(other) and repr(value) == repr(other)


def mutate(value: dict[str, Any], chance: random.Random) -> Mutation:
    """Break one thing in a configuration or a description."""
    path = chance.choice(list(places(value)))
    *steps, key = path
    holder: Any = value
    for step in steps:
        holder = holder[step]
    kind = chance.choice(["drop", "rename", "replace", "replace", "replace", "repeat", "add"])
    if kind == "drop":
        del holder[key]
        return Mutation("drop", path)
    if kind == "rename" and isinstance(holder, dict):
        letter = chance.choice(string.ascii_letters + " .\n{")
        at = chance.randrange(len(str(key)) + 1)
        holder[f"{str(key)[:at]}{letter}{str(key)[at:]}"] = holder.pop(key)
        return Mutation("rename", path)
    if kind == "repeat" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
        return Mutation("repeat", path)
    if kind == "add" and isinstance(holder[key], dict):
        holder[key][chance.choice([*string.ascii_lowercase, "extra", 7, None])] = 1
        return Mutation("add a key", path)
    odd = copy.deepcopy(chance.choice(ODD))
    if kind == "add" and isinstance(holder[key], list):
        holder[key].append(odd)
        return Mutation("add an entry", path, odd)
    holder[key] = odd
    return Mutation("replace", path, odd)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of config/ whose descriptions may be broken."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree("config", folder / "config")
    return folder


def outcome(given: Any, project: Path) -> tuple[str, ...]:
    """The problems that are reported, one line each; none of a configuration that is right."""
    try:
        suite = load(given, project)
    except ConfigError as error:
        assert error.problems
        for problem in error.problems:
            assert len(problem) < 3000, problem
            assert problem.isprintable(), ascii(problem)
        return error.problems
    # What is called right can be planned, as the workflow does: names, paths, options, values hold.
    design = Design(suite)
    for run in design.all_runs:
        assert run.folder.isprintable()
        assert len(run.options.copies) <= 1001
        assert not type(run.options).problems(run.options.as_dict())
        assert code_hash("craft.fit.__main__", run.learner.partition(":")[0])
    job_shapes(design.all_runs, suite["runs_per_job"])
    for name in design.artefacts():
        design.restrict(name)
    return ()


@pytest.fixture
def changing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the descriptions that a test changes; all others are read once, for time."""
    names: list[str] = []

    def described(path: Path, root: Path, schema: str) -> Any:
        return (READ if path.stem in names else KEPT)(path, root, schema)

    monkeypatch.setattr(config, "described", described)
    return names


@pytest.mark.usefixtures("changing")
def test_a_thousand_broken_configurations_are_told(project: Path) -> None:
    bases = [yaml.safe_load(Path(path).read_text()) for path in (MINI, PAPER)]
    refused = spoilt = 0
    for seed in range(COUNT):
        chance = random.Random(seed)
        suite = copy.deepcopy(bases[seed % 2])
        done = [mutate(suite, chance) for _ in range(chance.choice([1, 1, 1, 2, 5]))]
        try:
            problems = outcome(suite, project)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {done}: {error!r}") from error
        refused += bool(problems)
        if len(done) == 1 and done[0].spoils_suite():
            spoilt += 1
            assert problems, f"seed {seed}: nothing is said of {done}"
    # The others are right: a label more, a method less.
    assert refused > 0.6 * COUNT and spoilt > 0.2 * COUNT


def test_broken_descriptions_are_told_by_file(project: Path, changing: list[str]) -> None:
    base = yaml.safe_load(Path(MINI).read_text())
    names = ["datasets/digits", "datasets/objects-v2", "backbones/mini-rn"]
    changing += [name.rpartition("/")[2] for name in names]
    spoilt = 0
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
        if len(done) == 1 and done[0].spoils_description():
            spoilt += 1
            assert problems, f"seed {seed}, {path.name}: nothing is said of {done}"
    assert spoilt > 10


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("kind", ["suite", "description"])
def test_broken_yaml_is_told_by_file(
    project: Path, changing: list[str], text: str, kind: str
) -> None:
    changing.append("digits")
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
