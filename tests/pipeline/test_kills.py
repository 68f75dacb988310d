"""Whatever is killed, the next call finishes with the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kills import CHANGES, Disturbed
from tests.pipeline.conftest import Checkout


def seeds_for(kills: int) -> tuple[int, ...]:
    """Seeds of the suite: the tests of every call make do with the smallest."""
    return (1, 2, 3) if kills > 3 else (1,)


@pytest.mark.parametrize(
    ("fits", "kills"),
    [
        ("scores", 3),
        pytest.param("scores", 20, marks=pytest.mark.exhaustive),
        pytest.param("images", 5, marks=pytest.mark.exhaustive),
    ],
)
def test_a_suite_killed_at_random_moments_makes_the_same_tables(
    fits: str, kills: int, tmp_path: Path
) -> None:
    disturbed = Disturbed(Checkout(tmp_path), seeds=seeds_for(kills), fits=fits)
    ended = disturbed.kill(kills, seed=1)
    assert ended.total() == kills and len(ended) > (2 if kills == 20 else 1)
    assert disturbed.differences() == []
    assert disturbed.resumes() >= 1


@pytest.mark.parametrize(
    ("change", "kills"),
    [
        ("options", 3),
        *(pytest.param(change, 10, marks=pytest.mark.exhaustive) for change in CHANGES),
    ],
)
def test_a_second_run_killed_after_a_change_makes_the_tables_of_a_first(
    change: str, kills: int, tmp_path: Path
) -> None:
    disturbed = Disturbed(Checkout(tmp_path), "mine", seeds=seeds_for(kills))
    disturbed.change(change)
    assert disturbed.differences() or change == "manifest"
    assert disturbed.kill(kills, seed=1).total() == kills
    assert disturbed.differences() == []
    assert disturbed.resumes() >= 1
