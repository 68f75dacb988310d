"""Read an exported text tower: fast or plain, as the export decided."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch

from craft.blackbox.text.prefix_sharing import DTYPES, TextTower
from craft.blackbox.text.tokenise import PromptTokens
from craft.blackbox.text.weights import TextWeights
from craft.files.atomic import RecordError, read_tensors

if TYPE_CHECKING:
    from craft.blackbox.text.full_length import PlainText


class Tower(Protocol):
    """Interface of both text towers: features of K classes for contexts p0 + offset."""

    context_length: int  # L
    context_width: int  # D
    embedding_std: float  # of one entry of the token embeddings
    class_names: Sequence[str]  # K
    logit_scale: float

    @property
    def positions(self) -> int:
        """Positions that the transformer runs per context."""
        ...

    def with_context(self, context: torch.Tensor) -> Tower:
        """Return the same classes after another initial context (L, D)."""
        ...

    def leading(self, words: int) -> Tower:
        """Return the same classes after only the first words of the initial context."""
        ...

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """Return unit text features (P, K, E), float32, for offsets (P, L, D)."""
        ...


def read_tower(
    path: str | os.PathLike[str],
    prompt: PromptTokens,
    dtype: str = "float32",
    search_dtype: str | None = None,
    **placement: Any,
) -> Tower:
    """Return the tower of an exported file (backbones/export_side.py), over ``prompt``'s classes.

    ``placement`` holds the tower's device and max_batch_bytes. ``search_dtype`` is the type of a
    fast tower's searches, if it differs from ``dtype``. Raises RecordError for a foreign file, and
    for a plain tower without open_clip or with another ``dtype`` than float32.
    """
    arrays, metadata = read_tensors(path)
    if metadata.get("text") != "plain":
        placement["search_dtype"] = DTYPES[search_dtype or dtype]
        return tower_of(TextWeights.from_arrays(arrays, metadata, path), prompt, dtype, **placement)
    if dtype != "float32":
        raise RecordError(f"{path}: dtype of a plain text tower: expected float32, got {dtype}")
    try:
        from craft.blackbox.text.full_length import PlainText
    except ImportError as error:
        raise RecordError(
            f"{path}: a plain text tower, which needs open_clip ({error}); its backbone's file "
            "does not say text: fast, so that envs/plain.yaml is the environment of its fits"
        ) from error
    return tower_of(PlainText.from_arrays(arrays, metadata, path), prompt, **placement)


def tower_of(
    side: TextWeights | PlainText, prompt: PromptTokens, dtype: str = "float32", **placement: Any
) -> Tower:
    """Return the tower of a text side in memory, over the classes of ``prompt``.

    ``placement`` goes to the tower: device, max_batch_bytes. A plain tower runs in float32 alone.
    """
    if isinstance(side, TextWeights):
        return TextTower(side, prompt, dtype=DTYPES[dtype], **placement)
    from craft.blackbox.text.full_length import PlainTower

    return PlainTower(side, prompt, **placement)
