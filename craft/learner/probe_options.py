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


@dataclass(frozen=True)
class TextProbeOptions(ProbeOptions):
    """Options of ``TextProbe``; the templates are those that LFA averages on ImageNet."""

    access = "texts"

    queries: int = option(
        8, "P, templates whose scores are read, the first ones", least=1, most=256
    )
    templates: str = option(
        "a photo of a {}. | itap of a {}. | a bad photo of the {}. | a origami {}. | a photo of "
        "the large {}. | a {} in a video game. | art of the {}. | a photo of the small {}.",
        "templates with {} for the class name, parted by |; the first is the anchor",
    )

    @property
    def pool(self) -> tuple[str, ...]:
        """Return the templates, one by one."""
        return tuple(template.strip() for template in self.templates.split("|"))

    def conflicts(self) -> list[Problem]:
        """Return a template without its place for a name, or fewer templates than queries."""
        if any(template.count("{}") != 1 for template in self.pool):
            return [Problem("templates", self.templates, "{} exactly once in each template")]
        if self.queries > len(self.pool):
            return [Problem("queries", self.queries, f"at most {len(self.pool)}, one a template")]
        return []
