"""Attention over the whole token tree at once, for a GPU: FlexAttention with ancestry as its mask.

Nodes are numbered depth first, so that a subtree is an interval and "k is an ancestor of q, or q
itself" is two comparisons. Blocks of keys that no query of a block sees are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from craft.blackbox.text.token_tree import Packing

#: Queries and keys to a block.
BLOCK = 64
OPTIONS: dict[str, int | bool] = {
    "BLOCK_M": BLOCK,
    "BLOCK_N": BLOCK,
    "FORCE_USE_FLEX_ATTENTION": True,  # not the kernel for few queries: one rule of blocks for all
}


class TreeAttention:
    """Attention of the tree's nodes, each to its ancestors and itself; compile what calls it."""

    def __init__(self, packing: Packing, heads: int) -> None:
        self._heads = heads
        self.end_queries = packing.ends  # nodes whose queries stand for the suffixes' ends
        self._mask = block_mask(range(len(packing.past)), packing.past)
        self._end_mask = block_mask(packing.ends.tolist(), packing.past)

    def mask(self, contexts: int) -> BlockMask:
        """Return what each node sees, in whatever number of contexts."""
        del contexts
        return self._mask

    def end_mask(self, contexts: int) -> BlockMask:
        """Return what each of ``end_queries`` sees."""
        del contexts
        return self._end_mask

    def by_head(
        self, queries: torch.Tensor, keys_values: torch.Tensor, contexts: int
    ) -> tuple[torch.Tensor, ...]:
        """Return queries, keys and values, (P, heads, n or T, D / heads) each.

        They are views of queries (P n, D), and keys and values (P T, 2D).
        """
        width = queries.shape[1]
        shape = (contexts, -1, self._heads, width // self._heads)
        parts = (queries, *keys_values.split(width, dim=1))
        return tuple(part.view(shape).transpose(1, 2) for part in parts)

    def __call__(
        self, by_head: tuple[torch.Tensor, ...], mask: BlockMask, contexts: int
    ) -> torch.Tensor:
        """Attend, by :meth:`by_head`; return rows (P n, D)."""
        del contexts
        # (P, heads, n, D / heads)
        attended = flex_attention(*by_head, block_mask=mask, kernel_options=OPTIONS)
        return attended.transpose(1, 2).flatten(2).flatten(0, 1)


def block_mask(nodes: Sequence[int], past: torch.Tensor) -> BlockMask:
    """Return which keys each of the ``nodes`` sees; ``past`` (T,) int32 as in Packing.

    It names, for each block of queries, the blocks of keys that hold an ancestor.
    """
    ends, device = past.tolist(), past.device
    path: list[int] = []
    above: list[set[int]] = []  # of each node, the blocks of its ancestors
    for node in range(len(ends)):
        while path and ends[path[-1]] <= node:
            path.pop()
        path.append(node)
        above.append({each // BLOCK for each in path})
    seen = [
        sorted(set().union(*(above[node] for node in nodes[first : first + BLOCK])))
        for first in range(0, len(nodes), BLOCK)
    ]
    most = -(-len(ends) // BLOCK)
    indices = [blocks + [0] * (most - len(blocks)) for blocks in seen]
    return BlockMask.from_kv_blocks(
        torch.tensor([[[*map(len, seen)]]], dtype=torch.int32, device=device),
        torch.tensor([[indices]], dtype=torch.int32, device=device),
        BLOCK_SIZE=BLOCK,
        mask_mod=_visible(torch.tensor(nodes, dtype=torch.int32, device=device), past),
        seq_lengths=(len(nodes), len(ends)),
    )


def _visible(nodes: torch.Tensor, past: torch.Tensor) -> Callable[..., torch.Tensor]:
    """Return FlexAttention's mask: whether query q, which is ``nodes[q]``, sees key k."""

    def is_ancestor(
        batch: torch.Tensor, head: torch.Tensor, q: torch.Tensor, k: torch.Tensor
    ) -> torch.Tensor:
        del batch, head
        return (nodes[q] >= k) & (nodes[q] < past[k])

    return is_ancestor
