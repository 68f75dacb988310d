"""Progress of long jobs: what is logged when, and what is read back of it."""

from __future__ import annotations

import logging

import pytest

from craft.runtime.progress import Progress, State, duration, read_line


class Time:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def states(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)

    def read() -> list[State]:
        return [state for r in caplog.records if (state := read_line(r.getMessage()))]

    return read


def test_a_line_is_logged_every_30_seconds_and_at_both_ends(states) -> None:
    clock = Time()
    with Progress("a fit", 400, "generations", clock=clock) as progress:
        for generation in range(1, 101):
            clock.now += 1.0
            progress.reach(generation)
    assert [state.done for state in states()] == [0, 30, 60, 90, 100]
    assert {(state.what, state.total, state.unit) for state in states()} == {
        ("a fit", 400, "generations")
    }
    assert [state.running for state in states()] == [True] * 4 + [False]


def test_a_unit_longer_than_30_seconds_is_followed_by_a_line(states) -> None:
    clock = Time()
    with Progress("a fit", 3, "epochs", clock=clock) as progress:
        for epoch in (1, 2, 3):
            clock.now += 100
            progress.reach(epoch)
    assert [state.done for state in states()] == [0, 1, 2, 3, 3]


def test_rate_and_time_left_leave_out_what_was_done_before(states) -> None:
    clock = Time()
    with Progress("images", 1000, "images", done=400, clock=clock) as progress:
        clock.now = 50
        progress.reach(500)
    assert states()[1].note == "2 images/s, 4.2 min left"


@pytest.mark.parametrize(
    ("seconds", "rate"), [(0.5, "2 steps/s"), (30, "2 steps/min"), (1800, "2 steps/h")]
)
def test_slow_units_are_rated_by_minute_or_hour(states, seconds: float, rate: str) -> None:
    clock = Time()
    with Progress("a task", None, "steps", clock=clock, every=0) as progress:
        clock.now = seconds
        progress.reach(1)
    assert states()[1].note == rate


def test_facts_are_computed_for_logged_lines_only(states) -> None:
    clock, asked = Time(), []

    def facts() -> dict[str, float | str]:
        asked.append(clock.now)
        return {"best loss": 0.12345678, "queries": 12000, "phase": "search"}

    with Progress("a fit", 3, "generations", clock=clock) as progress:
        for clock.now in (10.0, 20.0, 40.0):
            progress.reach(int(clock.now) // 20 + 1, facts)
    assert asked == [40.0]
    assert states()[1].note.endswith("best loss 0.1235, queries 12,000, phase search")


def test_a_failed_task_is_no_longer_running(states) -> None:
    with pytest.raises(OSError), Progress("a task", 3, "steps"):
        raise OSError
    assert not states()[-1].running


@pytest.mark.parametrize("what", ["craft: 3 of 4 fits", "a\nb", "progress of x: 1 of 2 y, 3"])
def test_what_is_read_back_is_what_was_written(states, what: str) -> None:
    with Progress(what, 12345.5, "MB") as progress:
        progress.reach(1234.5)
    state = states()[-1]
    assert (state.what, state.done, state.total) == (" ".join(what.split()), 1234.5, 12345.5)


@pytest.mark.parametrize("line", ["", "progress", "12 of 40 images", "progress of x: y of z"])
def test_other_lines_are_not_progress(line: str) -> None:
    assert read_line(line) is None


def test_durations_are_in_a_readers_units() -> None:
    seconds = (0.0, 0.4, 30, 600, 7200, 864000)
    assert [*map(duration, seconds)] == ["0 s", "0.4 s", "30 s", "10.0 min", "2.0 h", "10.0 days"]
