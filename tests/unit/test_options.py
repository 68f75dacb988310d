"""Options: modes, resolution, and errors that name the value."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from craft.design.learner_options import check_options, learner_options
from craft.learner.options import RELEASED, Options, Range, option
from craft.whitebox.coop import CoOp, CoOpOptions


@dataclass(frozen=True)
class OwnOptions(Options):
    """What a learner of a user's own declares."""

    steps: int = option(3, "steps", least=1, most=9)
    views: int = option(2, "copies", most=4)


class Own(CoOp):
    """A learner of a user's own."""

    Options = OwnOptions


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


def test_a_given_lambda_is_not_the_papers() -> None:
    assert Options.resolve({"lambda2": 0}).weight("lambda2", 10) == 0.0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"context_rule": "meen"}, "option context_rule: 'meen' is not one of mean, fresh-mean"),
        ({"populaton": 3}, "unknown option 'populaton'; did you mean 'population'"),
        ({"budget": 30}, "budget: 30 queries are less than one population of 40"),
        ({"sigma": 0}, "option sigma: 0: accepted: at least 1e-06 and at most 1,000"),
        ({"lambda1": -1}, "option lambda1: -1: accepted: at least 0 and at most 1,000"),
        ({"search_view": -1}, "option search_view: -1: accepted: at least 0 and at most"),
        ({"projection": "flat"}, "option projection: 'flat' is not one of normal, uniform"),
        ({"bound": 0}, "option bound: 0: accepted: at least 1e-06 and at most 1,000,000"),
        ({"layers": 1}, "option layers: 1: accepted: at least 2 and at most 8"),
        ({"lambda2_share": 2}, "option lambda2_share: 2: accepted: at least 0 and at most 1"),
        ({"population": 3}, "option population: 3: accepted: at least 4 and at most 10,000"),
        ({"mode": "papper"}, "option mode: 'papper' is not one of paper, released"),
        ({"learning_rate": 0}, "option learning_rate: 0: accepted: above 0 and at most 100"),
        ({"views": 2_000_000_000}, "option views: 2000000000: accepted: at least 0 and at most"),
        ({"hidden": 2**40}, "option hidden: 1099511627776: accepted: at least 1 and at most 8,192"),
        ({"sigma": float("nan")}, "option sigma: nan: accepted: at least"),
        ({"passes": True}, "option passes: True is not a number"),
        ({"hidden": "wide"}, "option hidden: 'wide' is not a number"),
    ],
)
def test_errors_name_the_value(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options.resolve(given)


@pytest.mark.parametrize(
    ("learner", "options"),
    [
        ("craft.learner.options:Options", Options),
        ("craft.whitebox.coop:CoOp", CoOpOptions),
        ("tests.unit.test_options:Own", OwnOptions),
    ],
)
def test_what_a_source_declares_is_what_a_learner_accepts(
    learner: str, options: type[Options]
) -> None:
    declared = learner_options(learner)
    for known in fields(options):
        assert declared[known.name].range == known.metadata["range"], known.name
        if isinstance(known.default, int | float) and not isinstance(known.default, bool):
            assert known.metadata["range"], f"{known.name} accepts any number"
            assert known.metadata["range"].accepts(known.default)


def test_options_of_ones_own_are_checked_before_any_job() -> None:
    known = learner_options("tests.unit.test_options:Own")
    assert known["views"].range == Range(most=4)
    assert check_options({"steps": 9, "views": 0}, known, "options") == []
    assert check_options({"steps": 10, "views": 5}, known, "options") == [
        "options.steps = 10: accepted: at least 1 and at most 9",
        "options.views = 5: accepted: at most 4",
    ]


def test_ends_that_are_no_literals_are_named() -> None:
    with pytest.raises(LookupError, match="accepted: literals in option"):
        learner_options("tests.unit.unreadable_options:Computed")
