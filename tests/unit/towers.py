"""Text towers of open_clip's models, made as the pipeline makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import PromptTokens
from craft.blackbox.text.weights import TextWeights


def text_tower(
    model: nn.Module,
    tokenizer: Any,
    names: Sequence[str],
    context: str = "a photo of a",
    suffix: str = ".",
) -> TextTower:
    """Return the fast tower of a model over prompts "context NAME suffix"."""
    weights = TextWeights.from_model(model)
    template = f"{context} {{}}{suffix}" if context else f"{{}}{suffix}"
    positions = len(weights.tensors["positional_embedding"])
    return TextTower(weights, PromptTokens.tokenise(tokenizer, names, template, positions))
