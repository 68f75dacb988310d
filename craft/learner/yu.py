"""Yu et al. (IJCAI 2023), shallow: CMA-ES on blank text tokens and visual tokens at once."""

from __future__ import annotations

from typing import ClassVar

from craft.learner.options import Options
from craft.learner.prompt_only import PromptOnly
from craft.learner.yu_options import YuOptions


class Yu(PromptOnly):
    """``PromptOnly`` with these authors' prompts, dimensions and choice of the candidate."""

    Options: ClassVar[type[Options]] = YuOptions
