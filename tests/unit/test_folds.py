"""Which runs share a job."""

from __future__ import annotations

import re

import pytest

from craft.design.jobs import Fold, folds
from craft.design.option_layers import Variant
from craft.design.runs import ZERO_SHOT, Run
from craft.learner.options import Options


def run(method: str, backbone: str, dataset: str, shots: int, seed: int) -> Run:
    return Run(method, backbone, dataset, shots, seed, Variant(method), "m:L", Options())


RUNS = [
    *(run("a", "rn", "digits", shots, seed) for shots in (16, 1) for seed in (2, 1)),
    *(run("a", "vit", "digits", 16, seed) for seed in (1, 2)),
    *(run("a@x=0.1", "rn", "digits", 16, seed) for seed in (1, 2)),
    run(ZERO_SHOT, "rn", "digits", 0, 0),
]
PATTERN = "{method}/{backbone}/{dataset}/shots-{shots}/seed-{seed}"


def matches(fold: Fold, run: Run) -> bool:
    """Whether a fold's rule makes a run's folder, matched as Snakemake does."""
    pattern = "|".join(
        re.escape(path)
        .replace(r"\{method\}", f"(?:{fold.method})")
        .replace(r"\{backbone\}", "(?:rn|vit)")
        .replace(r"\{dataset\}", "digits")
        .replace(r"\{shots\}", "(?:1|16)")
        .replace(r"\{seed\}", "(?:1|2)")
        for path in fold.each(PATTERN)
    )
    return re.fullmatch(pattern, run.folder) is not None


@pytest.mark.parametrize("per_job", ["one", "seeds", "shots"])
def test_every_run_has_one_rule_that_makes_it(per_job: str) -> None:
    found = folds(RUNS, per_job)
    for run in RUNS:
        assert sum(matches(fold, run) for fold in found) == 1, run


def test_a_job_of_all_shots_makes_no_run_that_nobody_asked_for() -> None:
    assert not any(matches(fold, run("a", "vit", "digits", 1, 1)) for fold in folds(RUNS, "shots"))


@pytest.mark.parametrize(
    ("per_job", "rules", "runs"),
    [
        ("one", ["fit", "fit_zero_shot"], 1),
        ("seeds", ["fit", "fit_zero_shot"], 2),
        ("shots", ["fit_1_16", "fit_16", "fit_zero_shot"], 4),
    ],
)
def test_a_job_holds_what_it_is_asked_to(per_job: str, rules: list[str], runs: int) -> None:
    found = folds(RUNS, per_job)
    assert [fold.rule("fit") for fold in found] == rules
    assert len(found[0].each(PATTERN)) == runs
    assert (found[0].trains, found[-1].trains) == (True, False)


def test_a_job_is_named_by_what_it_does_not_hold() -> None:
    names = {per_job: folds(RUNS, per_job)[0].job for per_job in ("one", "seeds", "shots")}
    assert names["one"] == PATTERN
    assert names["seeds"] == "{method}/{backbone}/{dataset}/shots-{shots}"
    assert names["shots"] == "{method}/{backbone}/{dataset}"


def test_a_suite_without_trained_methods_has_no_rule_for_them() -> None:
    assert [fold.rule("score") for fold in folds(RUNS[-1:], "shots")] == ["score_zero_shot"]
    assert folds([], "one") == []
