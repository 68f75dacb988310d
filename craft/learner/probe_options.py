"""Options of the convex head; no torch is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass

from craft.learner.declaration import Problem, option
from craft.learner.options import Options


@dataclass(frozen=True)
class ProbeOptions(Options):
    """Options of ``Probe``, which searches nothing: those of a search have no effect."""

    mode: str = option("paper", "this learner is not of the paper", accepted=("paper",))
    queries: int = option(
        1, "P, contexts whose scores are read: the box's own and P - 1 around it", least=1, most=256
    )
    context_scale: float = option(
        0.3,
        "standard deviation of a further context's offset, in units of embedding_std",
        above=0,
        most=100,
    )
    shrinkage: float = option(
        0.5, "weight of the mean variance in the whitening of scores", least=0, most=1
    )
    bias: float = option(
        2.0,
        "constant feature, whose weights are biases of classes: the larger, the less a bias is "
        "penalised; 1 at one shot, where nothing can be held out",
        above=0,
        most=100,
    )
    folds: int = option(4, "most folds that choose among penalties", least=2, most=64)
    gate: bool = option(
        True, "give an image that is far from all shots the box's own answer instead"
    )

    def conflicts(self) -> list[Problem]:
        """Return no problem: nothing is searched."""
        return []
