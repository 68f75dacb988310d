"""Every choice of the method as one named option; what the paper does not print is a choice too."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Real
from typing import Any, NamedTuple, Self


class Range(NamedTuple):
    """Numbers that an option accepts: from ``least``, or ``above`` that, up to ``most``."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf

    def accepts(self, value: float) -> bool:
        """Whether a number lies within."""
        return value >= self.least and value > self.above and value <= self.most

    def __str__(self) -> str:
        words = (("at least", self.least), ("above", self.above), ("at most", self.most))
        return " and ".join(f"{word} {end:,}" for word, end in words if math.isfinite(end))


def option(
    default: Any, doc: str, *, accepted: tuple[Any, ...] | None = None, **ends: float
) -> Any:
    """A field of an options class: its default, one line of documentation, what it accepts.

    That is one of the values ``accepted``, or numbers within the ``ends`` of a :class:`Range`; null
    too where the type says so. Write all of it as literals: before any job a configuration is held
    against them as they stand in the source, a learner of your own included.
    """
    numbers = Range(**ends) if ends else None
    return field(default=default, metadata={"doc": doc, "accepted": accepted, "range": numbers})


#: Where the authors' released code differs from the paper's text for every data set alike; what it
#: sets per data set is the ``released`` block of that data set's file (design/option_layers.py).
RELEASED: dict[str, Any] = {
    "context_rule": "fresh-mean",
    "search_view": 1,
    "views": 10,  # stands for fresh augmentation in each generation
    "feature_norm": "raw",
    "hidden": 256,
    "optimizer": "adam",
    "weight_decay": 0.0,
}


@dataclass(frozen=True)
class Options:
    """Options of every learner, with the defaults of mode ``paper``.

    Build it with :meth:`resolve`, which raises ValueError for an unknown option or a value that is
    not accepted. Upper ends are far beyond any use, and what a common machine's memory holds:
    several matrices of intrinsic_dim squared, four copies of a head's weights, files of each view.
    """

    mode: str = option(
        "paper", "paper follows the text, released the code", accepted=("paper", "released")
    )
    # --- prompt generation (Section 3.1) ---
    budget: int = option(
        8000, "search queries that CMA-ES may spend (CMA-ES candidates)", least=1, most=10_000_000
    )
    population: int = option(40, "candidates of one CMA-ES generation", least=4, most=10_000)
    intrinsic_dim: int = option(
        512, "d, dimension of the variable z that CMA-ES moves", least=2, most=4096
    )
    sigma: float = option(1.0, "initial step size of CMA-ES", least=1e-6, most=1000)
    bound: float | None = option(
        None, "z stays within +-bound; null is unbounded", least=1e-6, most=1_000_000
    )
    projection_std: float | None = option(
        None,
        "standard deviation of the entries of A; null sets embedding_std / (sigma * sqrt(d)), "
        "so that A z starts at the scale of a token embedding",
        least=1e-6,
        most=1000,
    )
    projection: str = option(
        "normal",
        "distribution of the entries of A, of mean 0",
        accepted=("normal", "uniform"),
    )
    search_view: int = option(
        0,
        "augmented copy that CMA-ES's candidates are scored on; 0 is the images as they are",
        least=0,
        most=1000,
    )
    context_rule: str = option(
        "mean",
        "context that trains and tests the refiner: A applied to the mean of the search "
        "distribution, to the mean of a fresh unevaluated population, or to the best candidate",
        accepted=("mean", "fresh-mean", "best"),
    )
    # --- prediction refinement (Section 3.2) ---
    head: str = option("mlp", "kind of refiner", accepted=("mlp", "linear"))
    layers: int = option(
        2, "linear layers of the mlp head; 2 is input-hidden-output", least=2, most=8
    )
    hidden: int = option(512, "hidden width of the mlp head", least=1, most=8192)
    residual: bool = option(True, "add the head's output to the black box's logits")
    optimizer: str = option("adamw", "optimiser of the refiner", accepted=("adamw", "adam"))
    learning_rate: float = option(1e-3, "learning rate of the refiner", above=0, most=100)
    weight_decay: float = option(0.01, "weight decay of the refiner", least=0, most=100)
    batch_size: int = option(256, "images in a refiner step", least=1, most=1_000_000)
    passes: int = option(
        1, "passes over the training images in one generation", least=1, most=10_000
    )
    views: int = option(
        0,
        "augmented copies uploaded beside the images; generations take turns with them",
        least=0,
        most=1000,
    )
    feature_norm: str = option(
        "unit",
        "raw: the refiner trains on logits of features that were not normalised",
        accepted=("unit", "raw"),
    )
    # --- collaboration (Section 3.3, Eqs. 5 and 6) ---
    lambda1: float | None = option(
        None, "weight of the KL term of Eq. 5; null is 0.1 / classes", least=0, most=1000
    )
    lambda2: float | None = option(
        None, "weight of the KL term of Eq. 6; null is 0.1 / classes", least=0, most=1000
    )
    lambda2_share: float = option(
        1.0, "share of the budget up to whose end lambda2 is not 0", least=0, most=1
    )
    kl_search: str = option(
        "refined||black-box",
        "direction of the KL term of Eq. 5",
        accepted=("refined||black-box", "black-box||refined"),
    )
    kl_refine: str = option(
        "black-box||refined",
        "direction of the KL term of Eq. 6",
        accepted=("refined||black-box", "black-box||refined"),
    )
    search_loss: str = option(
        "black-box",
        "logits whose cross-entropy CMA-ES minimises",
        accepted=("black-box", "refined"),
    )
    # --- recording ---
    curve_points: int = option(
        0, "points of the run at which the test images are predicted too", least=0, most=10_000
    )

    @classmethod
    def resolve(cls, given: Mapping[str, Any]) -> Self:
        """Defaults, then the mode's, then ``given``; raises ValueError naming the option."""
        known = {f.name: f for f in fields(cls)}
        for name, value in given.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"unknown option {name!r}{hint} Known: {', '.join(sorted(known))}")
            accepted = known[name].metadata["accepted"]
            if accepted and value not in accepted:
                raise ValueError(f"option {name}: {value!r} is not one of {', '.join(accepted)}")
        preset = RELEASED if given.get("mode") == "released" else {}
        options = cls(**{**preset, **given})
        options.check()
        return options

    def check(self) -> None:
        """Raise ValueError for the first number out of range, alone or beside another."""
        for known in fields(self):
            value, numbers = getattr(self, known.name), known.metadata["range"]
            if numbers is None or (value is None and known.default is None):
                continue
            if isinstance(value, bool) or not isinstance(value, Real):
                raise ValueError(f"option {known.name}: {value!r} is not a number")
            if not numbers.accepts(value):
                raise ValueError(f"option {known.name}: {value!r}: accepted: {numbers}")
        require_generation(self.budget, self.population)

    @property
    def copies(self) -> tuple[int, ...]:
        """Augmented copies that a run reads, its refinement's and its search's."""
        return tuple(sorted({*range(1, self.views + 1), self.search_view} - {0}))

    @property
    def generations(self) -> int:
        """Whole generations that the budget pays for."""
        return self.budget // self.population

    def weight(self, name: str, classes: int) -> float:
        """Resolved ``lambda1`` or ``lambda2`` for K ``classes`` (paper: 0.1 / K)."""
        value = getattr(self, name)
        return 0.1 / classes if value is None else float(value)


def require_generation(budget: int, population: int) -> None:
    """Raise ValueError where a budget does not pay for one generation."""
    if budget < population:
        raise ValueError(
            f"option budget: {budget} queries are less than one population of {population}"
        )
