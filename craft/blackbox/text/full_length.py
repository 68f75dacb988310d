"""The plain text tower, for models that prefix sharing does not support.

Every prompt runs at full length through open_clip's text transformer, with the context in place of
its words. It is slower than the prefix-sharing tower but correct for any such transformer: without
a causal mask, with a class token, read out anywhere.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch
from torch import nn
from torch.nn import functional as F

from craft.blackbox.text.tokenise import PromptError, PromptTokens
from craft.blackbox.text.weights import embedding_std
from craft.files.atomic import RecordError, write_tensors
from craft.files.typed import build

# Private, and the only way to a text tower without its image tower; tests notice if it changes.
_build_text_tower = open_clip.model._build_text_tower

_META = ("architecture", "logit_scale", "embedding_std")
_ARCHITECTURE = ("embed_dim", "text_cfg", "quick_gelu")


@dataclass(frozen=True)
class PlainText:
    """The text side of an open_clip model, float32: its state and architecture."""

    tensors: dict[str, torch.Tensor]
    architecture: dict[str, Any]  # embed_dim, text_cfg, quick_gelu, by open_clip's keys
    logit_scale: float  # already exponentiated; a logit bias is the same for every class: left out
    embedding_std: float  # of one entry of the token-embedding table

    @classmethod
    def from_model(cls, model: nn.Module, architecture: Mapping[str, Any]) -> PlainText:
        """Copy the text side of an open_clip model that was built from ``architecture``."""
        built = {key: architecture[key] for key in _ARCHITECTURE if key in architecture}
        # Not the tokens beside the features, which a captioning model has for its decoder.
        built["text_cfg"] = {**built["text_cfg"], "output_tokens": False}
        state = getattr(model, "text", model).state_dict()
        with torch.device("meta"):  # for the names of its entries alone
            entries = _build_text_tower(**built).state_dict()
        tensors = {
            name: state[name].detach().to("cpu", torch.float32, copy=True).contiguous()
            for name in entries
        }
        return cls(
            tensors=tensors,
            architecture=built,
            logit_scale=float(model.logit_scale.detach().float().exp()),
            embedding_std=embedding_std(model, tensors["token_embedding.weight"]),
        )

    def build(self) -> nn.Module:
        """Run the text tower: token ids (B, T) -> features (B, E); eval mode, no gradients."""
        tower = _build_text_tower(**self.architecture)
        tower.load_state_dict(self.tensors, strict=True)
        return tower.eval().requires_grad_(False)

    def write(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        """Write as safetensors, with ``provenance`` (JSON-able) beside the numbers."""
        tensors = {name: value.numpy() for name, value in self.tensors.items()}
        metadata = {key: getattr(self, key) for key in _META}
        write_tensors(path, tensors, metadata | {"text": "plain", "provenance": dict(provenance)})

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        metadata: Mapping[str, Any],
        path: str | os.PathLike[str],
    ) -> PlainText:
        """From what a file holds; raises RecordError naming it."""
        value = {key: metadata[key] for key in _META if key in metadata}
        value["tensors"] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        text = build(cls, value, path, "text-tower file")
        try:
            with torch.device("meta"):  # for the shapes of its entries alone
                entries = _build_text_tower(**text.architecture).state_dict()
        except Exception as error:  # open_clip looks at no key before it uses it
            raise RecordError(
                f"{path}: no text tower of open_clip's by its architecture "
                f"({type(error).__name__}: {error})"
            ) from error
        shapes = {name: tuple(entry.shape) for name, entry in entries.items()}
        found = {name: tuple(tensor.shape) for name, tensor in text.tensors.items()}
        for name in {**shapes, **found}:
            if found.get(name) != shapes.get(name):
                raise RecordError(
                    f"{path}: {name}: expected shape {shapes.get(name, 'of no such tensor')}, "
                    f"got {found.get(name, 'no tensor')}"
                )
        return text


class PlainTower:
    """Text features of K classes for P contexts, as craft.blackbox.text.TextTower has them."""

    def __init__(
        self,
        weights: PlainText,
        prompt: PromptTokens,
        *,
        context: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        max_batch_bytes: int = 64 << 20,
    ) -> None:
        """``context`` (L, D) replaces the words of the prompt as initial context; L may differ.

        ``max_batch_bytes`` bounds the activations of the prompts that run together.
        """
        self._text = weights.build().to(device)
        self._prompt, self._max_batch_bytes = prompt, max_batch_bytes
        self.embedding_std, self.logit_scale = weights.embedding_std, weights.logit_scale
        self.class_names = prompt.class_names
        if context is None:
            table = self._text.token_embedding.weight
            context = table[torch.tensor(prompt.context_ids, dtype=torch.int64)]
        self._set_context(context)

    def with_context(self, context: torch.Tensor) -> PlainTower:
        """Return the same classes after another initial context, (L, D) vectors, no words."""
        tower = copy.copy(self)
        tower._set_context(context)
        return tower

    def leading(self, words: int) -> PlainTower:
        """Return the same classes after only the first ``words`` tokens of the initial context."""
        ids = torch.tensor(self._prompt.context_ids[:words], dtype=torch.int64)
        return self.with_context(self._text.token_embedding.weight[ids])

    def _set_context(self, context: torch.Tensor) -> None:
        table, length = self._text.token_embedding.weight, self._text.context_length
        if context.ndim != 2 or context.shape[1] != table.shape[1]:
            raise ValueError(f"context of shape {tuple(context.shape)}, not (L, {table.shape[1]})")
        self._context = context.detach().to(table.device, torch.float32)
        self.context_length, self.context_width = context.shape
        prompt = self._prompt
        # What is embedded there is replaced; the id itself must be a word's, as the model may look
        # at ids for padding and for the end of text.
        words = prompt.context_ids or prompt.suffix_ids[0][:1]
        filler = (words * self.context_length)[: self.context_length]
        rows = []
        for name, suffix in zip(prompt.class_names, prompt.suffix_ids, strict=True):
            row = (*prompt.start_ids, *filler, *suffix)
            if len(row) > length:
                raise PromptError(
                    f"class {name!r}: the prompt has {len(row)} tokens, the model takes {length}"
                )
            rows.append(row + (prompt.pad_id,) * (length - len(row)))
        self._ids = torch.tensor(rows, device=table.device)  # (K, T)

    @property
    def positions(self) -> int:
        """Positions that the transformer runs per context."""
        return self._ids.numel()

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """Return unit text features (P, K, E), float32, of the contexts p0 + ``offsets`` (P, L, D).

        Differentiable in ``offsets`` where gradients are enabled. Raises ValueError on shape.
        """
        if offsets.ndim != 3 or offsets.shape[1:] != self._context.shape:
            raise ValueError(
                f"offsets of shape {tuple(offsets.shape)}, not "
                f"(P, {self.context_length}, {self.context_width})"
            )
        contexts = self._context + offsets.to(self._context.device, torch.float32)
        classes, length = self._ids.shape
        # Live at once for a position: input, normed, qkv, attention, MLP twice, its scores.
        per_prompt = 4 * length * (self.context_width * 16 + length * self._text.heads)
        batch = max(1, self._max_batch_bytes // per_prompt)
        prompts = torch.arange(len(offsets) * classes, device=self._ids.device).split(batch)
        features = [self._encode(contexts[n // classes], self._ids[n % classes]) for n in prompts]
        return torch.cat(features).unflatten(0, (len(offsets), classes))

    def _encode(self, contexts: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """(B, L, D) in place of the context of the prompts (B, T) -> (B, E)."""
        first = len(self._prompt.start_ids)

        def place(_: nn.Module, inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
            behind = embedded[:, first + self.context_length :]
            return torch.cat([embedded[:, :first], contexts, behind], dim=1)

        hook = self._text.token_embedding.register_forward_hook(place)
        try:
            return F.normalize(self._text(ids), dim=-1)
        finally:
            hook.remove()
