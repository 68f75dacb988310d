"""Gathering and tabulating grow as the number of runs does (benchmarks/load.py: 10,000 runs)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest

from benchmarks.load import ROOT, suite, write_scores
from craft.config.load import load
from craft.design.request import request_of_all
from craft.design.runs import Design
from craft.evaluation.gather import suite_runs
from craft.evaluation.read_scores import Scores
from craft.evaluation.trace import Trace
from craft.files import paths
from tests.unit.synthetic_scores import table as made

pytestmark = pytest.mark.exhaustive

#: Times are noisy: quadratic would be 2, linear is 1.
MOST = 1.3


@pytest.fixture(scope="module")
def designs(tmp_path_factory: pytest.TempPathFactory) -> list[Design]:
    """Designs of about 500 and 3,000 runs, with made-up scores."""
    found = []
    for runs in (500, 3000):
        folder = tmp_path_factory.mktemp(f"runs{runs}")
        design = Design(load(suite(runs, str(folder)), ROOT))
        write_scores(design, folder)
        found.append(design)
    return found


def gather(design: Design) -> None:
    """Every run of the suite, and where it comes from."""
    asked = request_of_all(design)
    scores = Scores(asked, design.config["results"])
    suite_runs(asked, scores)
    found = Trace(asked, design.config["results"])
    found.follow([paths.SCORE.format(**run) for run in asked["runs"].values()])
    assert len(found.content()["runs"]) == len(asked["runs"])


def table(design: Design) -> None:
    """The table of the most runs, gathered for it."""
    made(design, "ablation_components")


@pytest.mark.parametrize("step", [gather, table, lambda d: Design(d.config).all_runs])
def test_steps_stay_linear(designs: list[Design], step: Callable[[Design], object]) -> None:
    def seconds(design: Design) -> float:
        best = math.inf
        for _ in range(2):
            start = time.process_time()
            step(design)
            best = min(best, time.process_time() - start)
        return best

    small, large = designs
    growth = seconds(large) / seconds(small)
    assert growth < (len(large.all_runs) / len(small.all_runs)) ** MOST


def test_a_suite_has_the_runs_that_are_asked_for(designs: list[Design]) -> None:
    for design, runs in zip(designs, (500, 3000), strict=True):
        assert runs <= len(design.all_runs) < runs + 600  # a seed more is 523 runs or so
