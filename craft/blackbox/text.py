"""CLIP's text transformer for many contexts at once (paper, Section 3.2): prefix sharing.

Under the causal mask, start of text and context are the same for every class, so they run once per
context; each class adds its own tokens (name, end of text); nothing after end of text matters, and
the last block is needed at end of text only. The numbers are open_clip's own up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from craft.blackbox.packing import pack
from craft.blackbox.prompts import PromptError, PromptTokens
from craft.blackbox.text_weights import TextWeights, UnsupportedTextTower

_Block = dict[str, torch.Tensor]


class TextTower:
    """Text features of K classes for P contexts, each the initial context plus an offset.

    ``context_length`` L, ``context_width`` D, ``embedding_std`` (of one entry of the token
    embeddings), ``class_names`` (K) and ``logit_scale`` are what a box may declare of it.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        class_names: Sequence[str],
        context: str = "a photo of a",
        suffix: str = ".",
    ) -> None:
        """Read an open_clip CLIP or CustomTextCLIP model and tokenise "context NAME suffix".

        Raises UnsupportedTextTower (a model whose text side is something else) and PromptError.
        """
        weights = TextWeights.from_model(model)
        positions = len(weights.tensors["positional_embedding"])
        template = f"{context} {{}}{suffix}" if context else f"{{}}{suffix}"
        self._set(weights, PromptTokens.tokenise(tokenizer, class_names, template, positions))

    @classmethod
    def from_tokens(
        cls,
        weights: TextWeights,
        prompt: PromptTokens,
        *,
        context: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        max_batch_bytes: int = 64 << 20,
    ) -> TextTower:
        """Build from exported weights and token ids; open_clip is not needed.

        ``context`` (L, D) replaces the words of the prompt as initial context; L may differ.
        ``max_batch_bytes`` bounds the activations of the contexts that run together.
        """
        tower = cls.__new__(cls)
        tower._set(weights, prompt, context, device, max_batch_bytes)
        return tower

    def with_context(self, context: torch.Tensor) -> TextTower:
        """The same classes after another initial context, (L, D) vectors in place of words."""
        tower = copy.copy(self)
        tower._set_context(context)
        return tower

    def _set(
        self,
        weights: TextWeights,
        prompt: PromptTokens,
        context: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        max_batch_bytes: int = 64 << 20,
    ) -> None:
        _check_ends(weights, prompt)
        weights = weights.to(device)
        tensors = weights.tensors
        self._prompt, self._heads, self._eps = prompt, weights.heads, weights.eps
        self._activation, self._max_batch_bytes = weights.activation, max_batch_bytes
        self.embedding_std, self.logit_scale = weights.embedding_std, weights.logit_scale
        self.class_names = prompt.class_names
        self._table, self._positions = tensors["token_embedding"], tensors["positional_embedding"]
        self._blocks = [weights.block(n) for n in range(weights.layers)]
        self._final = (tensors["ln_final.weight"], tensors["ln_final.bias"])
        self._projection = (tensors.get("projection.weight"), tensors.get("projection.bias"))
        if context is None:
            context = self._table[torch.tensor(prompt.context_ids, dtype=torch.int64)]
        self._set_context(context)

    def _set_context(self, context: torch.Tensor) -> None:
        """Everything that depends on the initial context (L, D) and its length."""
        table, positions, prompt = self._table, self._positions, self._prompt
        if context.ndim != 2 or context.shape[1] != table.shape[1]:
            raise ValueError(f"context of shape {tuple(context.shape)}, not (L, {table.shape[1]})")
        device = table.device
        context = context.detach().to(device, torch.float32)
        self.context_length, self.context_width = context.shape
        prefix = 1 + self.context_length
        for name, suffix in zip(prompt.class_names, prompt.suffix_ids, strict=True):
            if prefix + len(suffix) > len(positions):
                raise PromptError(
                    f"class {name!r}: the prompt has {prefix + len(suffix)} tokens, "
                    f"the model takes {len(positions)}"
                )
        self._prefix = torch.cat([table[prompt.start_id][None], context]) + positions[:prefix]
        self._packing = packing = pack(prompt.suffix_ids, prefix, self.context_width).to(device)
        self._suffixes = table[packing.token_ids] + positions[prefix + packing.depths]  # (S, D)
        self._first = self._project(self._suffixes, self._blocks[0])  # (S, 3D)
        # Every slot sees the prefix, and of its bin what precedes it in some prompt.
        sees_prefix = packing.visible.new_ones(packing.bins, packing.size, prefix)
        visible = torch.cat([sees_prefix, packing.visible], dim=2)
        mask = torch.zeros(visible.shape, device=device).masked_fill(~visible, float("-inf"))
        ends = packing.ends_of_bins % packing.size  # (bins, M)
        self._mask = mask[:, None]  # (bins, 1, size, 1+L+size)
        self._end_mask = torch.stack([m[e] for m, e in zip(mask, ends, strict=True)])[:, None]

    @property
    def positions(self) -> int:
        """Positions that the transformer runs per context (plain: K times the context length)."""
        return 1 + self.context_length + len(self._suffixes)

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """Unit text features (P, K, E), float32, of the contexts p0 + ``offsets`` (P, L, D).

        Differentiable in ``offsets`` where gradients are enabled. Raises ValueError on shape.
        """
        if offsets.ndim != 3 or offsets.shape[1:] != (self.context_length, self.context_width):
            raise ValueError(
                f"offsets of shape {tuple(offsets.shape)}, not "
                f"(P, {self.context_length}, {self.context_width})"
            )
        offsets = offsets.to(self._table.device, torch.float32)
        # Live at once for a position: input, normed, qkv, keys and values again, MLP twice.
        per_context = 4 * self.positions * self.context_width * 16
        batch = max(1, self._max_batch_bytes // per_context)
        features = [self._encode(part) for part in offsets.split(batch)]
        return features[0] if len(features) == 1 else torch.cat(features)

    def _encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """(P, L, D) -> (P, K, E), all P at once."""
        contexts = len(offsets)
        prefix = (F.pad(offsets, (0, 0, 1, 0)) + self._prefix).flatten(0, 1)  # (P(1+L), D)
        # Rows of all prefixes, then rows of all suffixes: both parts stay contiguous views.
        x = torch.cat([prefix, self._suffixes.repeat(contexts, 1)])  # (P(1+L) + P S, D)
        mask = self._for_each(self._mask, contexts)
        for n, block in enumerate(self._blocks[:-1]):
            if n == 0:  # before any attention, suffixes know nothing of the context
                qkv = torch.cat([self._project(prefix, block), self._first.repeat(contexts, 1)])
            else:
                qkv = self._project(x, block)
            x = self._inner_block(x, qkv, block, contexts, mask)
        ends = self._last_block(x, self._blocks[-1], contexts)  # (P, U, D)
        features = self._norm(ends, *self._final)
        weight, bias = self._projection
        if weight is not None:
            features = F.linear(features, weight, bias)
        return F.normalize(features, dim=-1)[:, self._packing.class_to_end]

    def _project(self, x: torch.Tensor, block: _Block) -> torch.Tensor:
        """Queries, keys and values (rows, 3D) of rows (rows, D)."""
        normed = self._norm(x, block["ln_1.weight"], block["ln_1.bias"])
        return F.linear(normed, block["qkv.weight"], block["qkv.bias"])

    def _for_each(self, mask: torch.Tensor, contexts: int) -> torch.Tensor:
        """A mask (bins, 1, n, m) for the bins of every context; one bin broadcasts by itself."""
        return mask if self._packing.bins == 1 else mask.repeat(contexts, 1, 1, 1)

    def _inner_block(
        self,
        x: torch.Tensor,
        qkv: torch.Tensor,
        block: _Block,
        contexts: int,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """One residual block on every position."""
        width = self.context_width
        prefix_rows = contexts * (1 + self.context_length)
        queries, keys_values = qkv[:, :width], qkv[:, width:]
        prefix = self._attend(
            self._split_heads(queries[:prefix_rows], contexts),
            keys_values[:prefix_rows].unflatten(0, (contexts, -1)),
            causal=True,
        )
        suffixes = self._attend(
            self._split_heads(queries[prefix_rows:], contexts * self._packing.bins),
            self._keys_values_of_bins(keys_values, contexts),
            mask=mask,
        )
        attended = torch.cat([prefix, suffixes])
        x = x + F.linear(attended, block["out.weight"], block["out.bias"])
        return self._mlp(x, block)

    def _last_block(self, x: torch.Tensor, block: _Block, contexts: int) -> torch.Tensor:
        """The last residual block at the ends of the distinct suffixes, (P, U, D)."""
        width = self.context_width
        prefix_rows = contexts * (1 + self.context_length)
        normed = self._norm(x, block["ln_1.weight"], block["ln_1.bias"])
        keys_values = F.linear(normed, block["qkv.weight"][width:], block["qkv.bias"][width:])
        at_ends = normed[prefix_rows:].unflatten(0, (contexts, -1))[
            :, self._packing.ends_of_bins.flatten()
        ]
        queries = F.linear(at_ends, block["qkv.weight"][:width], block["qkv.bias"][:width])
        attended = self._attend(
            self._split_heads(queries.flatten(0, 1), contexts * self._packing.bins),
            self._keys_values_of_bins(keys_values, contexts),
            mask=self._for_each(self._end_mask, contexts),
        )
        attended = attended.unflatten(0, (contexts, -1))[:, self._packing.real_ends]
        x = x[prefix_rows:].unflatten(0, (contexts, -1))[:, self._packing.ends]
        x = x + F.linear(attended, block["out.weight"], block["out.bias"])
        return self._mlp(x, block)

    def _keys_values_of_bins(self, keys_values: torch.Tensor, contexts: int) -> torch.Tensor:
        """Each bin's keys and values behind those of its prefix: (P bins, 1+L+size, 2D)."""
        rows, bins = contexts * (1 + self.context_length), self._packing.bins
        prefix = keys_values[:rows].view(contexts, 1, 1 + self.context_length, -1)
        suffixes = keys_values[rows:].view(contexts, bins, self._packing.size, -1)
        return torch.cat([prefix.expand(-1, bins, -1, -1), suffixes], dim=2).flatten(0, 1)

    def _split_heads(self, queries: torch.Tensor, sequences: int) -> torch.Tensor:
        """Rows (sequences n, D) -> (sequences, heads, n, D / heads)."""
        return queries.view(sequences, -1, self._heads, self._head_width).transpose(1, 2)

    @property
    def _head_width(self) -> int:
        return self.context_width // self._heads

    def _attend(
        self,
        queries: torch.Tensor,
        keys_values: torch.Tensor,
        mask: torch.Tensor | None = None,
        causal: bool = False,
    ) -> torch.Tensor:
        """(B, heads, n, d) queries on (B, m, 2D) keys and values -> rows (B n, D)."""
        split = keys_values.unflatten(2, (2, self._heads, self._head_width))
        keys, values = split.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal
        )
        return attended.transpose(1, 2).reshape(-1, self.context_width)

    def _norm(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (self.context_width,), weight, bias, self._eps)

    def _mlp(self, x: torch.Tensor, block: _Block) -> torch.Tensor:
        normed = self._norm(x, block["ln_2.weight"], block["ln_2.bias"])
        hidden = F.linear(normed, block["fc.weight"], block["fc.bias"])
        match self._activation:
            case "quick_gelu":
                hidden = F.silu(hidden, inplace=True)
            case "gelu_tanh":
                hidden = F.gelu(hidden, approximate="tanh")
            case _:
                hidden = F.gelu(hidden)
        return x + F.linear(hidden, block["proj.weight"], block["proj.bias"])


def _check_ends(weights: TextWeights, prompt: PromptTokens) -> None:
    """The model must read each prompt out at its last token, whatever rule it has for that."""
    for name, suffix in zip(prompt.class_names, prompt.suffix_ids, strict=True):
        ids = [prompt.start_id, *prompt.context_ids, *suffix]
        if (position := weights.read_out(ids)) != len(ids) - 1:
            raise UnsupportedTextTower(
                f"class {name!r}: the model reads its features out at token {position} of "
                f"{len(ids)}, not at the end of text (pooling {weights.pooling!r})"
            )
