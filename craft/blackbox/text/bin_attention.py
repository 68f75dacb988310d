"""Attention within bins of the token tree: a dense mask each, for any device and with gradients."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from craft.blackbox.text.token_tree import Packing

#: (P bins, 1, n, M), and which of the (bins n) rows count where not all do.
Mask = tuple[torch.Tensor, torch.Tensor | None]


class BinAttention:
    """Attention of the tree's nodes, bin by bin, to the keys that each bin needs."""

    def __init__(self, packing: Packing, heads: int, dtype: torch.dtype) -> None:
        self._packing, self._heads = packing, heads
        mask = torch.zeros(packing.visible.shape, dtype=dtype, device=packing.visible.device)
        self._mask = mask.masked_fill_(~packing.visible, float("-inf"))  # (bins, size, M)
        in_bin = (packing.ends_of_bins % packing.size)[..., None]  # (bins, E, 1)
        self._end_mask = self._mask.take_along_dim(in_bin, dim=1)  # (bins, E, M)
        #: Nodes whose queries stand for the suffixes' ends: those of each bin, padded.
        self.end_queries = packing.ends_of_bins.flatten()

    def mask(self, contexts: int) -> Mask:
        """Return what each node sees, in each of P ``contexts``."""
        return self._mask[:, None].repeat(contexts, 1, 1, 1), None

    def end_mask(self, contexts: int) -> Mask:
        """Return what each of ``end_queries`` sees; attention leaves their padding out."""
        return self._end_mask[:, None].repeat(contexts, 1, 1, 1), self._packing.real_ends

    def by_head(
        self, queries: torch.Tensor, keys_values: torch.Tensor, contexts: int
    ) -> tuple[torch.Tensor, ...]:
        """Return queries, keys and values, (P bins, heads, n or M, D / heads) each.

        They are cut from queries (P bins n, D), and keys and values (P T, 2D).
        """
        packing, heads, width = self._packing, self._heads, queries.shape[1]
        if packing.bins > 1:
            rows = keys_values.unflatten(0, (contexts, -1))
            keys_values = rows.index_select(1, packing.keys.flatten())
        split = keys_values.reshape(contexts * packing.bins, -1, 2, heads, width // heads)
        keys, values = split.permute(2, 0, 3, 1, 4)
        by_bin = queries.unflatten(0, (contexts * packing.bins, -1))
        return by_bin.unflatten(2, (heads, -1)).transpose(1, 2), keys, values

    def __call__(
        self, by_head: tuple[torch.Tensor, ...], mask: Mask, contexts: int
    ) -> torch.Tensor:
        """Attend, by :meth:`by_head`; return the rows that count, (P .., D)."""
        seen, chosen = mask
        attended = F.scaled_dot_product_attention(*by_head, attn_mask=seen)
        rows = attended.transpose(1, 2).flatten(2).flatten(0, 1)
        if chosen is not None:
            rows = rows.unflatten(0, (contexts, -1))[:, chosen].flatten(0, 1)
        return rows
