"""Whatever is killed, the next call finishes with the same bytes."""

from __future__ import annotations

import pytest

from tests.kills import Disturbed
from tests.pipeline.conftest import Checkout


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.exhaustive)])
def test_a_suite_killed_at_random_moments_makes_the_same_tables(
    kills: int, checkout: Checkout
) -> None:
    disturbed = Disturbed(checkout)
    ended = disturbed.kill(kills, seed=1)
    assert ended.total() == kills and len(ended) > (2 if kills == 20 else 1)
    assert disturbed.differences() == []
    assert disturbed.resumes() >= 1
