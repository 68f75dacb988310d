"""Every choice of the method as one named option; what the paper does not print is a choice too.

An options class declares the options of a learner and is their only check (option_set.py). It needs
no torch, so that a configuration is validated before any job.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, Self

from craft.learner.declaration import Problem, option
from craft.learner.option_set import OptionSet

#: Where the authors' released code differs from the paper's text for every data set alike; what it
#: sets per data set is the ``released`` block of that data set's file.
RELEASED: Mapping[str, Any] = MappingProxyType(
    {
        "context_rule": "fresh-mean",
        "search_view": 1,
        "views": 10,  # stands for fresh augmentation in each generation
        "feature_norm": "raw",
        "hidden": 256,
        "optimizer": "adam",
        "weight_decay": 0.0,
    }
)

#: Access levels at which the service encodes images during a fit.
ENCODING = frozenset({"visual-prompts", "uploads"})


@dataclass(frozen=True)
class Options(OptionSet):
    """Options of every learner, with the defaults of mode ``paper``.

    :meth:`resolve` builds it and :meth:`problems` says what it refuses. Upper ends are far beyond
    any use, and what a common machine's memory holds: several matrices of intrinsic_dim squared,
    four copies of a head's weights, files of each view. Options that are equal but for the mode,
    which is no more than a preset, make the same run.
    """

    #: What mode released sets below all that is given. A learner whose authors released another
    #: code than CraFT's has its own, and the data sets' blocks ``released`` are not for it.
    RELEASED: ClassVar[Mapping[str, Any]] = RELEASED

    mode: str = option(
        "paper",
        "paper follows the text, released the code",
        accepted=("paper", "released"),
        compare=False,
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
    covariance: str = option(
        "full",
        "covariance matrix of CMA-ES: full, or its diagonal alone (separable CMA-ES)",
        accepted=("full", "diagonal"),
    )
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
    context_tokens: int | None = option(
        None,
        "blank tokens that the context starts from; null keeps the box's own words",
        least=1,
        most=70,
    )
    visual_tokens: int = option(
        0,
        "visual prompt tokens that CMA-ES moves too, appended to those of each image",
        least=0,
        most=256,
    )
    visual_dim: int = option(
        512, "dimension of the variable that moves the visual prompt tokens", least=2, most=4096
    )
    search_folds: int = option(
        1,
        "folds of the shots (each with as many of every class) that generations of the search "
        "take in turn; 1 scores every candidate on all shots",
        least=1,
        most=1000,
    )
    # --- prediction refinement (Section 3.2) ---
    head: str = option("mlp", "kind of refiner", accepted=("mlp", "linear"))
    layers: int = option(
        2, "linear layers of the mlp head; 2 is input-hidden-output", least=2, most=8
    )
    hidden: int = option(512, "hidden width of the mlp head", least=1, most=8192)
    solver: str = option(
        "adam",
        "convex: Probe's head, fitted once at the context that the search ended with, answers in "
        "the refiner's place",
        accepted=("adam", "convex"),
    )
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
    # --- prediction ---
    gate: bool = option(
        False,
        "give an image that is far from all shots the box's own answer; one more query per image "
        "set where the context has moved",
    )
    # --- recording ---
    curve_points: int = option(
        0, "points of the run at which the test images are predicted too", least=0, most=10_000
    )

    @classmethod
    def resolve(cls, values: Mapping[str, Any], classes: int | None = None) -> Self:
        """Return the defaults, below what the mode sets, below ``values``.

        With the number K of ``classes``, weights of the KL terms that are null become the paper's
        0.1 / K. Raises OptionError with all problems.
        """
        options = super().resolve(values)
        if classes is None:
            return options
        return replace(
            options,
            lambda1=options.weight("lambda1", classes),
            lambda2=options.weight("lambda2", classes),
        )

    def conflicts(self) -> list[Problem]:
        """Return the problems of values that are right one by one and not beside each other."""
        found = []
        if self.budget < self.population:
            expected = f"at least one population of {self.population} queries"
            found.append(Problem("budget", self.budget, expected))
        if self.search_folds > 1 and self.context_rule == "best":
            expected = "1 where context_rule is best: losses of different folds do not compare"
            found.append(Problem("search_folds", self.search_folds, expected))
        if self.visual_tokens and self.feature_norm == "raw":
            expected = "unit where visual_tokens are prompted"
            found.append(Problem("feature_norm", self.feature_norm, expected))
        return found

    @property
    def access(self) -> str:
        """Return what a learner with these options is given, one of ``craft.protocol.ACCESS``."""
        return "visual-prompts" if self.visual_tokens else "predictions"

    @property
    def encodes_images(self) -> bool:
        """Return whether a fit has images encoded: its box needs pixels and an image tower."""
        return self.access in ENCODING

    @property
    def context_words(self) -> int:
        """Return how many leading words of the box's context a learner keeps; 0 is all."""
        return 0

    @property
    def own_codes(self) -> str:
        """Return the backbone whose codes the user's own images come with; empty: none come."""
        return ""

    @property
    def refine_copies(self) -> tuple[str, ...]:
        """Copies that generations of refinement take in turn, "" the images; none: these alone."""
        return tuple(f"view-{view}" for view in range(1, self.views + 1))

    @property
    def search_copy(self) -> str:
        """Augmented copy that scores candidates; empty for the images themselves."""
        return f"view-{self.search_view}" if self.search_view else ""

    @property
    def copies(self) -> tuple[str, ...]:
        """Every augmented copy that a run reads."""
        searched = (self.search_copy,) if self.search_copy else ()
        return tuple(dict.fromkeys(copy for copy in (*self.refine_copies, *searched) if copy))

    @property
    def generations(self) -> int:
        """Whole generations that the budget pays for."""
        return self.budget // self.population

    def weight(self, name: str, classes: int) -> float:
        """Return ``lambda1`` or ``lambda2`` for K ``classes``; null is the paper's 0.1 / K."""
        value = getattr(self, name)
        return 0.1 / classes if value is None else float(value)
