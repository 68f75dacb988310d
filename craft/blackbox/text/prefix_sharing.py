"""CLIP's text transformer for many contexts at once (paper, Section 3.2): prefix sharing.

Under the causal mask the prompts of all classes form a tree (token_tree.py) whose nodes run once
per context: start of text, context, then the names; nothing after end of text matters, and the last
block is needed at end of text only. The numbers are open_clip's own up to rounding.
"""

from __future__ import annotations

import copy
import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from craft.blackbox.parallel import batch_bytes, cores, on_each_core
from craft.blackbox.residual_block import activated
from craft.blackbox.text.bin_attention import BinAttention
from craft.blackbox.text.token_tree import pack
from craft.blackbox.text.tokenise import PromptError, PromptTokens
from craft.blackbox.text.weights import TextWeights, UnsupportedTextTower
from craft.runtime.cuda_graph import Recording
from craft.runtime.gpu_kernels import compiled

if TYPE_CHECKING:
    from craft.blackbox.text.tree_attention import TreeAttention

#: Types that matrix products and attention may run in, by the name that options give them.
DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

#: Positions from which on a GPU's kernels are compiled by default: it takes ten seconds once.
FUSE_FROM = 1_000

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
        weights: TextWeights,
        prompt: PromptTokens,
        *,
        context: torch.Tensor | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        max_batch_bytes: int | None = None,
        kernels: str | None = None,
        search_dtype: torch.dtype | None = None,
    ) -> None:
        """Build from exported weights and token ids; open_clip is not needed.

        ``context`` (L, D) replaces the words of the prompt as initial context; L may differ.
        ``dtype`` (float32, bfloat16, float16) is that of matrix products and attention; residuals,
        layer norms, the projection and the features stay float32. ``max_batch_bytes`` bounds the
        activations of the contexts that run together, on a CPU by core; None fits its cache, or
        the free memory of a GPU. ``kernels`` is plain, PyTorch's own, or fused, those of its
        compiler (without gradients); None is fused for large trees on a GPU. Raises ValueError for
        another dtype.

        ``search_dtype``, where it differs, is that of :attr:`searching`.
        """
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
        self._kernels = kernels
        self._searching: TextTower | None = None
        if search_dtype not in (None, dtype):
            self._searching = TextTower(
                weights,
                prompt,
                context=context,
                device=device,
                dtype=search_dtype,
                max_batch_bytes=max_batch_bytes,
                kernels=kernels,
            )
        self._max_batch_bytes = max_batch_bytes or batch_bytes(self._table.device)
        if context is None:
            context = self._table[torch.tensor(prompt.context_ids, dtype=torch.int64)]
        self._set_context(context)

    def with_context(self, context: torch.Tensor) -> TextTower:
        """Return the same classes after another initial context, (L, D) vectors, no words."""
        tower = copy.copy(self)
        tower._set_context(context)
        if self._searching:
            tower._searching = self._searching.with_context(context)
        return tower

    @property
    def searching(self) -> TextTower:
        """The same prompts for a search, in arithmetic that may be faster."""
        return self._searching or self

    def leading(self, words: int) -> TextTower:
        """Return the same classes after only the first ``words`` tokens of the initial context."""
        ids = torch.tensor(self._prompt.context_ids[:words], dtype=torch.int64)
        return self.with_context(self._table[ids])

    def _set_context(self, context: torch.Tensor) -> None:
        """Set everything that depends on the initial context (L, D) and its length."""
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
        start = table[prompt.start_id][None] + positions[:1]  # (1, D)
        self._context = context + positions[1:prefix]  # (L, D)
        suffixes = table[packing.token_ids] + positions[prefix + packing.depths]  # (S, D)
        self._tree = torch.cat([start, self._context, suffixes])  # (T, D), T = bins * size
        # Before any attention, nothing but the context itself knows of its offset.
        parts = [self._project(part, self._blocks[0]) for part in (start, self._context, suffixes)]
        self._first_qkv = torch.cat(parts)  # (T, 3D)
        self._recordings: dict[int, Recording] = {}  # of a GPU's forward, by contexts
        self._bins = BinAttention(packing, self._heads, self._dtype)
        large = device.type == "cuda" and self.positions >= FUSE_FROM
        self._fused = large if self._kernels is None else self._kernels == "fused"
        if self._fused:
            # Not above: importing FlexAttention takes 0.7 s.
            from craft.blackbox.text.tree_attention import TreeAttention

            self._whole = TreeAttention(packing, self._heads)

    @property
    def positions(self) -> int:
        """Positions that the transformer runs per context (plain: K times the context length)."""
        return self._packing.bins * self._packing.size

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """Return unit text features (P, K, E), float32, of the contexts p0 + ``offsets`` (P, L, D).

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
        plain = self._table.device.type != "cuda" or _needs_gradients(offsets)
        encode = self._encode if plain else self._replay
        features = on_each_core(encode, offsets.tensor_split(batches))
        return features[0] if len(features) == 1 else torch.cat(features)

    def _replay(self, offsets: torch.Tensor) -> torch.Tensor:
        """:meth:`_encode` as a CUDA graph, one for each P."""
        if len(offsets) not in self._recordings:
            self._recordings[len(offsets)] = Recording(self._encode, offsets)
        return self._recordings[len(offsets)](offsets).clone()

    def _encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """(P, L, D) -> (P, K, E), all P at once."""
        contexts = len(offsets)
        context = self._context + offsets
        x = _tree(self._tree, context)  # (P T, D)
        qkv = _tree(self._first_qkv, self._project(context, self._blocks[0]))  # (P T, 3D)
        fused = self._fused and not _needs_gradients(offsets)
        attention = self._whole if fused else self._bins
        finish = compiled(TextTower._finish_block) if fused else TextTower._finish_block
        width, last, mask = self.context_width, self._blocks[-1], attention.mask(contexts)
        for block, following in itertools.pairwise(self._blocks):
            queries, keys_values = qkv.split([width, 2 * width], dim=1)
            norm = (following["ln_1.weight"], following["ln_1.bias"])
            heads = attention.by_head(queries, keys_values, contexts)
            x, normed = finish(self, attention, heads, mask, x, block, norm, self._dtype, contexts)
            if following is not last:
                qkv = F.linear(normed, following["qkv.weight"], following["qkv.bias"])  # (P T, 3D)
        if len(self._blocks) == 1:
            normed = self._norm(x, last["ln_1.weight"], last["ln_1.bias"]).to(self._dtype)
        # The last block at the ends of the distinct suffixes.
        keys_values = F.linear(normed, last["qkv.weight"][width:], last["qkv.bias"][width:])
        at_ends = normed.unflatten(0, (contexts, -1))[:, attention.end_queries].flatten(0, 1)
        queries = F.linear(at_ends, last["qkv.weight"][:width], last["qkv.bias"][:width])
        x = x.unflatten(0, (contexts, -1))[:, self._packing.ends].flatten(0, 1)  # (P U, D)
        heads, mask = (
            attention.by_head(queries, keys_values, contexts),
            attention.end_mask(contexts),
        )
        _, features = finish(
            self, attention, heads, mask, x, last, self._final, torch.float32, contexts
        )
        weight, bias = self._projection
        if weight is not None:
            features = F.linear(features, weight, bias)
        by_context = F.normalize(features, dim=-1).unflatten(0, (contexts, -1))
        return by_context[:, self._packing.class_to_end]

    def _project(self, x: torch.Tensor, block: _Block) -> torch.Tensor:
        """Return queries, keys and values (rows, 3D) of rows (rows, D)."""
        normed = self._norm(x, block["ln_1.weight"], block["ln_1.bias"]).to(self._dtype)
        return F.linear(normed, block["qkv.weight"], block["qkv.bias"])

    def _norm(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (self.context_width,), weight, bias, self._eps)

    def _finish_block(
        self,
        attention: BinAttention | TreeAttention,
        heads: tuple[torch.Tensor, ...],
        mask: Any,
        x: torch.Tensor,
        block: _Block,
        norm: tuple[torch.Tensor, torch.Tensor],
        dtype: torch.dtype,
        contexts: int,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what follows a block's projections: its rows (rows, D), also normed for the next.

        All in one function, so that a GPU runs what is between matrix products as one kernel each.
        """
        attended = attention(heads, mask, contexts)
        x = x + F.linear(attended, block["out.weight"], block["out.bias"])
        x = self._mlp(x, block)
        return x, self._norm(x, *norm).to(dtype)

    def _mlp(self, x: torch.Tensor, block: _Block) -> torch.Tensor:
        normed = self._norm(x, block["ln_2.weight"], block["ln_2.bias"]).to(self._dtype)
        hidden = F.linear(normed, block["fc.weight"], block["fc.bias"])
        hidden = activated(hidden, self._activation)
        return x + F.linear(hidden, block["proj.weight"], block["proj.bias"])


def _needs_gradients(offsets: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and offsets.requires_grad


def _tree(shared: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """Rows of P trees: ``shared`` (T, W) in each, but for its context (P, L, W) -> (P T, W)."""
    rows = shared.repeat(len(context), 1, 1)
    rows[:, 1 : 1 + context.shape[1]] = context
    return rows.flatten(0, 1)


def _check_ends(weights: TextWeights, prompt: PromptTokens) -> None:
    """Require a model that knows each prompt's tokens and reads it out at the last one."""
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
