"""CLIP's text transformer for many contexts at once (paper, Section 3.2): prefix sharing.

Under the causal mask the prompts of all classes form a tree (token_tree.py) whose nodes run once
per context: start of text, context, then the names; nothing after end of text matters, and the last
block is needed at end of text only. The numbers are open_clip's own up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from craft.blackbox.parallel import cores, on_each_core
from craft.blackbox.residual_block import activated
from craft.blackbox.text.prompts import PromptError, PromptTokens
from craft.blackbox.text.token_tree import pack
from craft.blackbox.text.weights import TextWeights, UnsupportedTextTower

#: Types that matrix products and attention may run in, by the name that options give them.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

#: Sequences that an attention kernel takes: CUDA's limit on the third dimension of a grid.
MOST_SEQUENCES = 65_535

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
        dtype: torch.dtype = torch.float32,
        max_batch_bytes: int | None = None,
    ) -> TextTower:
        """Build from exported weights and token ids; open_clip is not needed.

        ``context`` (L, D) replaces the words of the prompt as initial context; L may differ.
        ``dtype`` (float32, bfloat16, float16) is that of matrix products and attention; residuals,
        layer norms, the projection and the features stay float32. ``max_batch_bytes`` bounds the
        activations of the contexts that run together, on a CPU by core; None fits its cache, or
        the free memory of a GPU. Raises ValueError for another dtype.
        """
        tower = cls.__new__(cls)
        tower._set(weights, prompt, context, device, dtype, max_batch_bytes)
        return tower

    def with_context(self, context: torch.Tensor) -> TextTower:
        """The same classes after another initial context, (L, D) vectors in place of words."""
        tower = copy.copy(self)
        tower._set_context(context)
        return tower

    def leading(self, words: int) -> TextTower:
        """Return the same classes after the first ``words`` tokens of the initial context alone."""
        ids = torch.tensor(self._prompt.context_ids[:words], dtype=torch.int64)
        return self.with_context(self._table[ids])

    def _set(
        self,
        weights: TextWeights,
        prompt: PromptTokens,
        context: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        max_batch_bytes: int | None = None,
    ) -> None:
        if dtype not in DTYPES.values():
            raise ValueError(f"dtype {dtype} is not one of {', '.join(DTYPES)}")
        _check_ends(weights, prompt)
        weights = weights.to(device)
        tensors = weights.tensors
        self._prompt, self._heads, self._eps = prompt, weights.heads, weights.eps
        self._activation, self._dtype = weights.activation, dtype
        self.embedding_std, self.logit_scale = weights.embedding_std, weights.logit_scale
        self.class_names = prompt.class_names
        self._table, self._positions = tensors["token_embedding"], tensors["positional_embedding"]
        self._blocks = [
            {
                name: value if name.startswith("ln_") else value.to(dtype)
                for name, value in weights.block(n).items()
            }
            for n in range(weights.layers)
        ]
        self._final = (tensors["ln_final.weight"], tensors["ln_final.bias"])
        self._projection = (tensors.get("projection.weight"), tensors.get("projection.bias"))
        self._max_batch_bytes = max_batch_bytes or _batch_bytes(self._table.device)
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
        packing = pack(prompt.suffix_ids, self.context_length, self.context_width)
        self._packing = packing = packing.to(device)
        # The three parts of a tree: only the middle one changes with the context's offset.
        self._start = table[prompt.start_id][None] + positions[:1]  # (1, D)
        self._context = context + positions[1:prefix]  # (L, D)
        self._suffixes = table[packing.token_ids] + positions[prefix + packing.depths]  # (S, D)
        # Before any attention, nothing but the context itself knows of its offset.
        self._first_start = self._project(self._start, self._blocks[0])  # (1, 3D)
        self._first_suffixes = self._project(self._suffixes, self._blocks[0])  # (S, 3D)
        self._mask = torch.zeros(packing.visible.shape, dtype=self._dtype, device=device)
        self._mask.masked_fill_(~packing.visible, float("-inf"))  # (bins, size, M)
        at_ends = (packing.ends_of_bins % packing.size)[..., None]  # (bins, E, 1)
        self._end_mask = self._mask.take_along_dim(at_ends, dim=1)  # (bins, E, M)

    @property
    def positions(self) -> int:
        """Positions that the transformer runs per context (plain: K times the context length)."""
        return self._packing.bins * self._packing.size

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """Unit text features (P, K, E), float32, of the contexts p0 + ``offsets`` (P, L, D).

        Differentiable in ``offsets`` where gradients are enabled. Raises ValueError on shape.
        """
        if offsets.ndim != 3 or offsets.shape[1:] != (self.context_length, self.context_width):
            raise ValueError(
                f"offsets of shape {tuple(offsets.shape)}, not "
                f"(P, {self.context_length}, {self.context_width})"
            )
        offsets = offsets.to(self._table.device, torch.float32, non_blocking=True)
        # Live at once for a position: input, normed, qkv, keys and values again, MLP twice.
        per_context = 4 * self.positions * self.context_width * 16
        at_once = min(self._max_batch_bytes // per_context, MOST_SEQUENCES // self._packing.bins)
        batches = -(-len(offsets) // max(1, at_once))
        side_by_side = cores(offsets.device)  # each core gets as many batches as the others
        batches = min(-(-batches // side_by_side) * side_by_side, max(1, len(offsets)))
        features = on_each_core(self._encode, offsets.tensor_split(batches))
        return features[0] if len(features) == 1 else torch.cat(features)

    def _encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """(P, L, D) -> (P, K, E), all P at once."""
        contexts = len(offsets)
        context = self._context + offsets
        x = _tree(self._start, context, self._suffixes)  # (P T, D), T = bins * size
        qkv = _tree(
            self._first_start, self._project(context, self._blocks[0]), self._first_suffixes
        )
        mask = self._mask[:, None].repeat(contexts, 1, 1, 1)  # (P bins, 1, size, M)
        for n, block in enumerate(self._blocks[:-1]):
            if n > 0:
                qkv = self._project(x, block)  # (P T, 3D)
            queries, keys_values = qkv.split([self.context_width, 2 * self.context_width], dim=1)
            attended = self._attend(queries, keys_values, mask, contexts)
            x = x + F.linear(attended, block["out.weight"], block["out.bias"])
            x = self._mlp(x, block)
        features = self._norm(self._last_block(x, self._blocks[-1], contexts), *self._final)
        weight, bias = self._projection
        if weight is not None:
            features = F.linear(features, weight, bias)
        return F.normalize(features, dim=-1)[:, self._packing.class_to_end]

    def _project(self, x: torch.Tensor, block: _Block) -> torch.Tensor:
        """Queries, keys and values (rows, 3D) of rows (rows, D)."""
        normed = self._norm(x, block["ln_1.weight"], block["ln_1.bias"]).to(self._dtype)
        return F.linear(normed, block["qkv.weight"], block["qkv.bias"])

    def _last_block(self, x: torch.Tensor, block: _Block, contexts: int) -> torch.Tensor:
        """The last residual block at the ends of the distinct suffixes, (P, U, D)."""
        width, packing = self.context_width, self._packing
        normed = self._norm(x, block["ln_1.weight"], block["ln_1.bias"]).to(self._dtype)
        keys_values = F.linear(normed, block["qkv.weight"][width:], block["qkv.bias"][width:])
        at_ends = normed.unflatten(0, (contexts, -1))[:, packing.ends_of_bins.flatten()]
        queries = F.linear(at_ends, block["qkv.weight"][:width], block["qkv.bias"][:width])
        mask = self._end_mask[:, None].repeat(contexts, 1, 1, 1)
        attended = self._attend(queries.flatten(0, 1), keys_values, mask, contexts)
        attended = attended.unflatten(0, (contexts, -1))[:, packing.real_ends]
        x = x.unflatten(0, (contexts, -1))[:, packing.ends]
        x = x + F.linear(attended, block["out.weight"], block["out.bias"])
        return self._mlp(x, block)

    def _attend(
        self, queries: torch.Tensor, keys_values: torch.Tensor, mask: torch.Tensor, contexts: int
    ) -> torch.Tensor:
        """Attention within bins: queries (P bins n, D), keys and values (P T, 2D) -> (P bins n, D).

        ``mask`` is (P bins, 1, n, M).
        """
        packing, heads = self._packing, self._heads
        if packing.bins > 1:
            rows = keys_values.unflatten(0, (contexts, -1))
            keys_values = rows.index_select(1, packing.keys.flatten())
        split = keys_values.reshape(contexts * packing.bins, -1, 2, heads, self._head_width)
        keys, values = split.permute(2, 0, 3, 1, 4)  # (P bins, heads, M, D / heads) each
        by_bin = queries.unflatten(0, (contexts * packing.bins, -1))
        by_head = by_bin.unflatten(2, (heads, -1)).transpose(1, 2)
        attended = F.scaled_dot_product_attention(by_head, keys, values, attn_mask=mask)
        return attended.transpose(1, 2).reshape(-1, self.context_width)

    @property
    def _head_width(self) -> int:
        return self.context_width // self._heads

    def _norm(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (self.context_width,), weight, bias, self._eps)

    def _mlp(self, x: torch.Tensor, block: _Block) -> torch.Tensor:
        normed = self._norm(x, block["ln_2.weight"], block["ln_2.bias"]).to(self._dtype)
        hidden = F.linear(normed, block["fc.weight"], block["fc.bias"])
        hidden = activated(hidden, self._activation)
        return x + F.linear(hidden, block["proj.weight"], block["proj.bias"])


def _tree(start: torch.Tensor, context: torch.Tensor, suffixes: torch.Tensor) -> torch.Tensor:
    """Rows of P trees: start (1, W) and suffixes (S, W) in each, contexts (P, L, W) -> (P T, W)."""
    contexts = len(context)
    parts = (start.expand(contexts, -1, -1), context, suffixes.expand(contexts, -1, -1))
    return torch.cat(parts, dim=1).flatten(0, 1)


def _batch_bytes(device: torch.device) -> int:
    """Bytes of activations that run together by default (docs/performance.md)."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free // 2
    return 32 << 20


def _check_ends(weights: TextWeights, prompt: PromptTokens) -> None:
    """The model must know each prompt's tokens and read it out at its last one, whatever rule it
    has for that."""
    vocabulary = len(weights.tensors["token_embedding"])
    for name, suffix in zip(prompt.class_names, prompt.suffix_ids, strict=True):
        ids = [prompt.start_id, *prompt.context_ids, *suffix]
        if foreign := [n for n in ids if n is not None and not 0 <= n < vocabulary]:
            raise PromptError(
                f"class {name!r}: token {foreign[0]}, of a model of {vocabulary} tokens; the "
                "prompts are another backbone's"
            )
        if (position := weights.read_out(ids)) != len(ids) - 1:
            raise UnsupportedTextTower(
                f"class {name!r}: the model reads its features out at token {position} of "
                f"{len(ids)}, not at the end of text (pooling {weights.pooling!r})"
            )
