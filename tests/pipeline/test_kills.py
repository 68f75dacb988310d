"""Whatever is killed, the next call finishes with the same bytes."""

from __future__ import annotations

from tests.kills import Disturbed
from tests.pipeline.conftest import Checkout


def test_a_suite_ended_at_20_random_moments_makes_the_same_tables(checkout: Checkout) -> None:
    disturbed = Disturbed(checkout)
    ended = disturbed.kill(20, seed=1)
    assert ended.total() == 20 and len(ended) > 2
    assert disturbed.differences() == []
    assert disturbed.resumes() >= 1
