"""Options of Yu et al.'s search; no torch is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from craft.learner.declaration import option
from craft.learner.options import Options


@dataclass(frozen=True)
class YuOptions(Options):
    """Options of ``Yu``; the defaults are those of its authors' shallow variant.

    Budget and population are CraFT's in mode paper. The authors' budgets differ ten-fold between
    data sets, whose files hold them; for two of CraFT's data sets they state none, and the budget
    of mode released is then a proposal.
    """

    RELEASED: ClassVar[Mapping[str, Any]] = MappingProxyType({"population": 30, "budget": 25_200})

    context_tokens: int | None = option(
        8, "blank tokens that the context starts from; null keeps the box's words", least=1, most=70
    )
    visual_tokens: int = option(5, "visual prompt tokens of an image", least=0, most=256)
    intrinsic_dim: int = option(
        500, "dimension of the variable that moves the context", least=2, most=4096
    )
    visual_dim: int = option(
        500, "dimension of the variable that moves the visual tokens", least=2, most=4096
    )
    context_rule: str = option(
        "best",
        "prompts that are tested: of the candidate of the lowest loss, as the authors do, of the "
        "mean of the search, or of a fresh population's",
        accepted=("best", "mean", "fresh-mean"),
    )
