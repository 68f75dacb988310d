"""Options: modes, resolution, the one check of values, and options of learners by name."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

import craft.learner
import craft.whitebox
from craft.config.option_checks import check_block
from craft.design.learner_options import SHIPPED, options_of
from craft.learner.base import Learner
from craft.learner.declaration import OptionError, Problem
from craft.learner.lookup import LearnerError, load_learner
from craft.learner.options import RELEASED, Options
from craft.whitebox.coop_options import CoOpOptions
from tests.unit.own_learners import Borrows, OwnOptions

OWN = "tests.unit.own_learners"


def shipped_learners() -> dict[str, type[Learner]]:
    """``module:Class`` -> class of every learner below craft."""
    found = {}
    for package in (craft.learner, craft.whitebox):
        for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for name, value in vars(importlib.import_module(entry.name)).items():
                own = getattr(value, "__module__", "") == entry.name and isinstance(value, type)
                if own and issubclass(value, Learner) and not value.__abstractmethods__:
                    found[f"{entry.name}:{name}"] = value
    return found


def test_paper_defaults() -> None:
    options = Options.resolve({})
    assert (options.budget, options.population, options.generations) == (8000, 40, 200)
    assert (options.intrinsic_dim, options.hidden, options.learning_rate) == (512, 512, 1e-3)
    assert options.optimizer == "adamw"
    assert options.weight("lambda1", 10) == pytest.approx(0.01)


def test_released_mode_sets_its_differences_and_given_options_win() -> None:
    options = Options.resolve({"mode": "released", "hidden": 300})
    assert options.hidden == 300
    assert all(
        getattr(options, name) == value for name, value in RELEASED.items() if name != "hidden"
    )


def test_null_weights_are_the_papers_once_the_classes_are_known() -> None:
    options = Options.resolve({"lambda2": 0}, classes=47)
    assert (options.lambda1, options.lambda2) == (0.1 / 47, 0.0)
    assert Options.resolve({}).lambda1 is None
    assert Options.resolve({"lambda2": 0}).weight("lambda2", 10) == 0.0


def test_resolved_options_resolve_to_themselves() -> None:
    for given in ({}, {"mode": "released"}, {"sigma": 2, "bound": None, "lambda1": 1}):
        options = Options.resolve(given, classes=10)
        assert Options.resolve(options.as_dict()) == options
        assert Options.resolve(options.as_dict()).as_dict() == options.as_dict()


def test_options_that_differ_in_mode_alone_are_equal() -> None:
    same = Options.resolve({**Options.resolve({"mode": "released"}).as_dict(), "mode": "paper"})
    assert same == Options.resolve({"mode": "released"})
    assert same != Options.resolve({})


@pytest.mark.parametrize(
    ("given", "option", "expected"),
    [
        ({"context_rule": "meen"}, "context_rule", "one of mean, fresh-mean, best"),
        ({"populaton": 3}, "populaton", "an option of the learner (did you mean 'population'?)"),
        ({"budget": 30}, "budget", "at least one population of 40 queries"),
        ({"sigma": 0}, "sigma", "at least 1e-06 and at most 1,000"),
        ({"lambda1": -1}, "lambda1", "at least 0 and at most 1,000, or null"),
        ({"search_view": -1}, "search_view", "at least 0 and at most 1,000"),
        ({"projection": "flat"}, "projection", "one of normal, uniform"),
        ({"bound": 0}, "bound", "at least 1e-06 and at most 1,000,000, or null"),
        ({"layers": 1}, "layers", "at least 2 and at most 8"),
        ({"lambda2_share": 2}, "lambda2_share", "at least 0 and at most 1"),
        ({"population": 3}, "population", "at least 4 and at most 10,000"),
        ({"mode": "papper"}, "mode", "one of paper, released"),
        ({"learning_rate": 0}, "learning_rate", "above 0 and at most 100"),
        ({"hidden": 2**40}, "hidden", "at least 1 and at most 8,192"),
        ({"passes": True}, "passes", "int"),
        ({"passes": 1.0}, "passes", "int"),
        ({"residual": 1}, "residual", "bool"),
        ({"hidden": "wide"}, "hidden", "int"),
        ({"head": None}, "head", "str"),
        ({"sigma": None}, "sigma", "float"),
        ({"lambda1": "1"}, "lambda1", "float or null"),
    ],
)
def test_a_refused_value_is_named_with_what_is_expected(
    given: dict[str, Any], option: str, expected: str
) -> None:
    (value,) = given.values()
    assert Options.problems(given) == [Problem(option, value, expected)]
    with pytest.raises(OptionError) as caught:
        Options.resolve(given)
    assert caught.value.problems == (Problem(option, value, expected),)


def test_a_number_that_is_none_is_refused() -> None:
    assert [problem.option for problem in Options.problems({"sigma": float("nan")})] == ["sigma"]


def test_all_problems_come_at_once() -> None:
    found = Options.problems({"budget": "many", "head": 3, "hidden": 4})
    assert [problem.option for problem in found] == ["budget", "head"]


def test_a_part_of_the_options_may_be_right_beside_the_rest() -> None:
    assert Options.problems({"budget": 20}, whole=False) == []
    assert Options.problems({"budget": 20, "population": 4}) == []


def test_every_number_has_ends_that_hold_its_default() -> None:
    for options in (Options, CoOpOptions, OwnOptions):
        for known in fields(options):
            if isinstance(known.default, int | float) and not isinstance(known.default, bool):
                assert known.metadata["range"], f"{known.name} accepts any number"
                assert known.metadata["range"].accepts(known.default)
        assert options.problems({known.name: known.default for known in fields(options)}) == []


def test_every_learner_that_ships_is_looked_up_without_itself() -> None:
    learners = shipped_learners()
    assert set(SHIPPED) <= set(learners)
    for name, learner in learners.items():
        assert options_of(name) is learner.Options
        assert load_learner(name) is learner


def test_options_of_shipped_learners_need_no_torch() -> None:
    code = (
        "import sys; from craft.design.learner_options import SHIPPED, options_of;"
        "[options_of(name).resolve({}) for name in SHIPPED]; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_learner_has_the_options_of_its_bases_and_not_of_modules_it_imports() -> None:
    options = options_of(f"{OWN}:Borrows")
    taken, refused = {"optimizer": "adam"}, {"init_std": 0.1, "optimizer": "sgd"}
    assert list(check_block(taken, options, "options")) == []
    assert Borrows(**taken).options.optimizer == "adam"
    found = list(check_block(refused, options, "options"))
    assert [problem.path for problem in found] == [
        "options.init_std",
        "options.optimizer",
    ]
    with pytest.raises(OptionError):
        Borrows(**refused)


def test_options_of_ones_own_are_checked_before_any_job() -> None:
    options = options_of(f"{OWN}:Own")
    assert options is OwnOptions
    assert options.problems({"steps": 9, "views": 0}) == []
    found = [(problem.option, problem.expected) for problem in options.problems({"steps": 10})]
    assert found == [("steps", "at least 1 and at most 9")]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"{OWN}:Forgets", "@dataclass"),
        (f"{OWN}:Lists", "annotation of int, float, str, bool or None"),
        (f"{OWN}:NoLearner", "does not derive from craft.learner.base.Learner"),
        (f"{OWN}:Abstract", "it has no method fit"),
        (f"{OWN}:Own_", "did you mean 'Own'?"),
        ("tests.unit.nowhere:Own", "there is no module tests.unit.nowhere"),
        ("nothing", "there is no module nothing"),
    ],
)
def test_a_name_that_is_no_learners_says_why(name: str, why: str) -> None:
    with pytest.raises(LearnerError) as caught:
        options_of(name)
    assert why in str(caught.value)
