"""Options of ZIP; no torch is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from craft.learner.declaration import Problem, option
from craft.learner.options import Options


@dataclass(frozen=True)
class ZIPOptions(Options):
    """Options of ZIP; the defaults are its authors'. Those of CMA-ES have no effect."""

    RELEASED: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    budget: int = option(
        5000, "search queries that may be spent, 2 R a step", least=2, most=10_000_000
    )
    context_tokens: int = option(
        8, "m, blank context tokens shared by all classes", least=1, most=73
    )
    init_std: float = option(
        0.02, "standard deviation of the first context's entries, of CLIP", least=0, most=100
    )
    clip_std: float = option(
        0.015,
        "embedding_std of CLIP ViT-B/16 (assumed): first context and maps are scaled by the box's "
        "embedding_std over it",
        above=0,
        most=100,
    )
    dimension: int = option(
        500, "intrinsic dimension d; a token has floor(d / m) numbers", least=2, most=100_000
    )
    rank: int = option(5, "r, rank of the tokens' numbers", least=1, most=1000)
    repeats: int = option(5, "R, random directions of a step, two losses each", least=1, most=1000)
    gain: float = option(0.01, "a of the learning rate a / (t + 1)^alpha", above=0, most=100)
    gain_decay: float = option(0.4, "alpha of the learning rate", least=0, most=10)
    step: float = option(0.01, "c of the distance c / t^gamma of two losses", above=0, most=100)
    step_decay: float = option(0.1, "gamma of the distance", least=0, most=10)
    clip: bool = option(
        True, "shorten a gradient to the square root of the number of trained weights"
    )
    batch_size: int = option(
        128,
        "images whose losses a step takes; the last incomplete batch is dropped",
        least=1,
        most=1_000_000,
    )

    def conflicts(self) -> list[Problem]:
        """Return no room for a step, too few numbers for a token, and a gate that has no anchor."""
        found = []
        if self.budget < 2 * self.repeats:
            expected = f"at least {2 * self.repeats} queries, one step"
            found.append(Problem("budget", self.budget, expected))
        if self.dimension < self.context_tokens:
            expected = f"at least context_tokens, {self.context_tokens}"
            found.append(Problem("dimension", self.dimension, expected))
        if self.gate:
            expected = "false: a blank context has no answer of the box's own"
            found.append(Problem("gate", self.gate, expected))
        return found

    @property
    def steps(self) -> int:
        """Return the whole steps that the budget pays for."""
        return self.budget // (2 * self.repeats)
