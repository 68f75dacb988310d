"""Options of the search that reads score matrices; no torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from craft.learner.declaration import Problem, option
from craft.learner.options import Options
from craft.learner.probe_options import ProbeOptions

#: Dampings of a round, in units of the prior's curvature scale; each gives a point to ask for.
DAMPINGS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.0)
#: Directions of the first rounds; the last number stays.
DIRECTIONS = (8, 16, 32)
#: Contexts that measure, before the first round, how exact a box's answers are.
NOISE_QUERIES = 5


@dataclass(frozen=True)
class GaussNewtonOptions(Options):
    """Options of ``GaussNewton``; those of CMA-ES but ``budget`` have no effect."""

    mode: str = option("paper", "this learner is not of the paper", accepted=("paper",))
    budget: int = option(500, "search queries that may be spent", least=20, most=10_000_000)
    step: float = option(
        0.1,
        "length of the steps whose differences are taken, in units of embedding_std",
        above=0,
        most=10,
    )
    prior: float = option(
        0.01, "weight of the squared offset beside the summed cross-entropy", least=0, most=1000
    )
    most_noise: float = option(
        0.01,
        "largest noise of an answer that is accepted, as a share of a step's change",
        above=0,
        most=1,
    )
    head: str = option(
        "none",
        "probe: a convex head is fitted at the context found; joint: and the search minimises the "
        "loss of the best head",
        accepted=("none", "probe", "joint"),
    )

    def conflicts(self) -> list[Problem]:
        """Return a curve of answers that lack the head; there is no population."""
        if self.head == "none" or not self.curve_points:
            return []
        expected = f"0 where head is {self.head}: before the end there is no head"
        return [Problem("curve_points", self.curve_points, expected)]

    def directions(self, number: int) -> int:
        """Return the directions of round ``number``, from 0."""
        return DIRECTIONS[min(number, len(DIRECTIONS) - 1)]

    @property
    def most_directions(self) -> int:
        """Return the directions of the largest round."""
        return max(map(self.directions, range(max(1, self.rounds))))

    @property
    def rounds(self) -> int:
        """Return the whole rounds that the budget pays for."""
        number, spent = 0, NOISE_QUERIES
        while (spent := spent + self.directions(number) + len(DAMPINGS)) <= self.budget:
            number += 1
        return number

    @property
    def searched(self) -> int:
        """Return the queries of all rounds."""
        return NOISE_QUERIES + sum(
            self.directions(number) + len(DAMPINGS) for number in range(self.rounds)
        )

    @property
    def probe(self) -> ProbeOptions:
        """Return the options of the head."""
        return ProbeOptions()
