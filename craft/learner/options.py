"""Every choice of the method as one named option; what the paper does not print is a choice too."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self


def option(default: Any, doc: str, *, accepted: tuple[Any, ...] | None = None) -> Any:
    """A field of an options class: its default, one line of documentation, accepted values."""
    return field(default=default, metadata={"doc": doc, "accepted": accepted})


#: Where the authors' released code differs from the paper's text for every data set alike; what it
#: sets per data set is the ``released`` block of that data set's file (craft/modes.py).
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
    not accepted.
    """

    mode: str = option(
        "paper", "paper follows the text, released the code", accepted=("paper", "released")
    )
    # --- prompt generation (Section 3.1) ---
    budget: int = option(8000, "search queries that CMA-ES may spend (CMA-ES candidates)")
    population: int = option(40, "candidates of one CMA-ES generation")
    intrinsic_dim: int = option(512, "d, dimension of the variable z that CMA-ES moves")
    sigma: float = option(1.0, "initial step size of CMA-ES")
    bound: float | None = option(None, "z stays within +-bound; null is unbounded")
    projection_std: float | None = option(
        None,
        "standard deviation of the entries of A; null sets embedding_std / (sigma * sqrt(d)), "
        "so that A z starts at the scale of a token embedding",
    )
    projection: str = option(
        "normal",
        "distribution of the entries of A, of mean 0",
        accepted=("normal", "uniform"),
    )
    search_view: int = option(
        0, "augmented copy that CMA-ES's candidates are scored on; 0 is the images as they are"
    )
    context_rule: str = option(
        "mean",
        "context that trains and tests the refiner: A applied to the mean of the search "
        "distribution, to the mean of a fresh unevaluated population, or to the best candidate",
        accepted=("mean", "fresh-mean", "best"),
    )
    # --- prediction refinement (Section 3.2) ---
    head: str = option("mlp", "kind of refiner", accepted=("mlp", "linear"))
    layers: int = option(2, "linear layers of the mlp head; 2 is input-hidden-output")
    hidden: int = option(512, "hidden width of the mlp head")
    residual: bool = option(True, "add the head's output to the black box's logits")
    optimizer: str = option("adamw", "optimiser of the refiner", accepted=("adamw", "adam"))
    learning_rate: float = option(1e-3, "learning rate of the refiner")
    weight_decay: float = option(0.01, "weight decay of the refiner")
    batch_size: int = option(256, "images in a refiner step")
    passes: int = option(1, "passes over the training images in one generation")
    views: int = option(
        0, "augmented copies uploaded beside the images; generations take turns with them"
    )
    feature_norm: str = option(
        "unit",
        "raw: the refiner trains on logits of features that were not normalised",
        accepted=("unit", "raw"),
    )
    # --- collaboration (Section 3.3, Eqs. 5 and 6) ---
    lambda1: float | None = option(None, "weight of the KL term of Eq. 5; null is 0.1 / classes")
    lambda2: float | None = option(None, "weight of the KL term of Eq. 6; null is 0.1 / classes")
    lambda2_share: float = option(1.0, "share of the generations in which lambda2 is not 0")
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
    curve_points: int = option(0, "points of the run at which the test images are predicted too")

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
        """Raise ValueError for the first number out of range."""
        positive = ("population", "intrinsic_dim", "sigma", "hidden", "learning_rate")
        positive += ("batch_size", "passes", "budget")
        numbers = (f.name for f in fields(self) if isinstance(f.default, int | float))
        for name in (*numbers, *positive, "lambda1", "lambda2", "bound", "projection_std"):
            value = getattr(self, name)
            if isinstance(value, str | list | dict):
                raise ValueError(f"option {name}: {value!r} is not a number")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ValueError(f"option {name}: {getattr(self, name)!r} is not above 0")
        for name in ("lambda1", "lambda2", "weight_decay", "views", "search_view", "curve_points"):
            if getattr(self, name) is not None and getattr(self, name) < 0:
                raise ValueError(f"option {name}: {getattr(self, name)!r} is below 0")
        for name in ("bound", "projection_std"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(
                    f"option {name}: {getattr(self, name)!r} is neither null nor above 0"
                )
        if self.layers < 2:
            raise ValueError(f"option layers: {self.layers} is below 2; one layer is head: linear")
        if not 0 <= self.lambda2_share <= 1:
            raise ValueError(f"option lambda2_share: {self.lambda2_share} is not within 0 and 1")
        if self.population < 4:
            raise ValueError(f"option population: {self.population} is below 4")
        if self.budget < self.population:
            raise ValueError(
                f"option budget: {self.budget} queries are less than one population of "
                f"{self.population}"
            )

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
