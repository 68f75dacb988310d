"""Options: modes, resolution, and errors that name the value."""

from __future__ import annotations

import pytest

from craft.learner.options import RELEASED, Options


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
        ({"sigma": 0}, "option sigma: 0 is not above 0"),
        ({"lambda1": -1}, "option lambda1: -1 is below 0"),
        ({"search_view": -1}, "option search_view: -1 is below 0"),
        ({"projection": "flat"}, "option projection: 'flat' is not one of normal, uniform"),
        ({"bound": 0}, "option bound: 0 is neither null nor above 0"),
        ({"layers": 1}, "option layers: 1 is below 2"),
        ({"lambda2_share": 2}, "option lambda2_share: 2 is not within 0 and 1"),
        ({"population": 3}, "option population: 3 is below 4"),
        ({"mode": "papper"}, "option mode: 'papper' is not one of paper, released"),
        ({"hidden": "wide"}, "option hidden: 'wide' is not a number"),
    ],
)
def test_errors_name_the_value(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options.resolve(given)
