"""Learners as a user may write them, each with options of its own or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from craft.learner.collaborative import Collaborative
from craft.learner.declaration import option
from craft.learner.options import Options
from craft.learner.prompt_only import PromptOnly
from craft.learner.refining_learner import RefiningLearner
from craft.whitebox.coop import CoOp, default_epochs

MOST = 9


class Borrows(PromptOnly):
    """Has the options of what it derives from; of CoOp's module it uses a function alone."""

    def epochs(self, shots: int) -> int:
        """How many CoOp would take."""
        return default_epochs(shots)


@dataclass(frozen=True)
class OwnOptions(Options):
    """Ends and defaults that are computed, on top of the options of all learners."""

    steps: int = option(3, "steps", least=1, most=MOST)
    views: int = option(2, "copies", most=4)


class Own(CoOp):
    """Declares options of its own."""

    Options = OwnOptions


@dataclass(frozen=True)
class OtherOptions(Options):
    """What another method's authors released."""

    RELEASED: ClassVar[Mapping[str, Any]] = {"passes": 5}


class OfAnotherCode(Collaborative):
    """Follows the released code of others than CraFT's authors."""

    Options = OtherOptions


class Undecorated(Options):
    """Lacks @dataclass."""

    steps: int = option(3, "steps")


class Forgets(PromptOnly):
    """Its options would be ignored."""

    Options = Undecorated


@dataclass(frozen=True)
class ListOptions(Options):
    """An option of a type that no configuration can have."""

    steps: list[int] | None = option(None, "steps")  # noqa: RUF009


class Lists(PromptOnly):
    """Its option is a list."""

    Options = ListOptions


class Abstract(RefiningLearner):
    """Has no fit."""


class NoLearner:
    """Derives from nothing."""
