"""Packing class suffixes into token trees: classes that begin alike share those positions.

Under a causal mask a token's hidden state depends on what precedes it only, so the suffixes of all
classes form a trie whose every node is computed once. Nodes are laid out in bins of equal size;
attention stays inside a bin (plus the shared prefix), everything else sees one long sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

#: Bin sizes tried: below, a matrix product is too thin; above, attention within a bin dominates.
BIN_SIZES = range(16, 97, 8)


@dataclass(frozen=True)
class Packing:
    """Where each suffix token of K classes sits: ``bins`` bins of ``size`` slots each."""

    bins: int
    size: int
    token_ids: torch.Tensor  # (bins * size,) int64; padding slots hold some valid id
    depths: torch.Tensor  # (bins * size,) int64, position within the suffix; 0 for padding
    visible: torch.Tensor  # (bins, size, size) bool: slot i attends to slot j of its bin
    ends: torch.Tensor  # (U,) int64 slots of the distinct suffixes' last tokens
    ends_of_bins: torch.Tensor  # (bins, M) int64 the same by bin, padded by repetition
    real_ends: torch.Tensor  # (U,) int64 positions of ``ends`` in ends_of_bins flattened
    class_to_end: torch.Tensor  # (K,) int64 index into ``ends``

    def to(self, device: torch.device) -> Packing:
        """The same with its tensors on ``device``."""
        tensors = [f.name for f in fields(self) if isinstance(getattr(self, f.name), torch.Tensor)]
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})


def pack(suffixes: Sequence[tuple[int, ...]], prefix_length: int, width: int) -> Packing:
    """Pack suffixes (token ids, end of text included) in the bins that cost the least.

    ``prefix_length`` shared positions are attended to by every slot; ``width`` is the
    transformer's. Both only weigh attention against the rest in the choice of the bin size.
    """
    distinct = sorted(set(suffixes))
    longest = max(len(suffix) for suffix in distinct)
    sizes = sorted({max(size, longest) for size in BIN_SIZES})

    def cost(tries: list[_Trie]) -> int:
        size = max(len(trie.parents) for trie in tries)
        return len(tries) * size * (12 * width + 2 * (prefix_length + size))

    tries = min((_fill(distinct, size) for size in sizes), key=cost)
    return _lay_out(tries, suffixes)


class _Trie:
    """Nodes in order of creation, each with its parent; a bin under construction."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, ...], int] = {}  # path from the root -> node
        self.parents: list[int] = []  # -1 at the first token of a suffix
        self.ends: dict[tuple[int, ...], int] = {}  # suffix -> node of its last token

    def missing(self, suffix: tuple[int, ...]) -> int:
        """How many nodes adding ``suffix`` would create."""
        return sum(suffix[: n + 1] not in self.nodes for n in range(len(suffix)))

    def add(self, suffix: tuple[int, ...]) -> None:
        parent = -1
        for n in range(len(suffix)):
            path = suffix[: n + 1]
            if path not in self.nodes:
                self.nodes[path] = len(self.parents)
                self.parents.append(parent)
            parent = self.nodes[path]
        self.ends[suffix] = parent


def _fill(distinct: Sequence[tuple[int, ...]], size: int) -> list[_Trie]:
    """Sweep over sorted suffixes, so that those which share a beginning meet in one bin."""
    tries = [_Trie()]
    for suffix in distinct:
        if len(tries[-1].parents) + tries[-1].missing(suffix) > size:
            tries.append(_Trie())
        tries[-1].add(suffix)
    return tries


def _lay_out(tries: list[_Trie], suffixes: Sequence[tuple[int, ...]]) -> Packing:
    bins, size = len(tries), max(len(trie.parents) for trie in tries)
    most = max(len(trie.ends) for trie in tries)
    token_ids = torch.full((bins, size), suffixes[0][-1])
    depths = torch.zeros((bins, size), dtype=torch.int64)
    visible = torch.eye(size, dtype=torch.bool).repeat(bins, 1, 1)
    ends_of_bins = torch.zeros((bins, most), dtype=torch.int64)
    ends: dict[tuple[int, ...], int] = {}
    real_ends = []
    for b, trie in enumerate(tries):
        for path, node in trie.nodes.items():
            token_ids[b, node] = path[-1]
            depths[b, node] = len(path) - 1
            parent = trie.parents[node]
            if parent >= 0:
                visible[b, node] |= visible[b, parent]
        slots = [b * size + node for node in trie.ends.values()]
        ends |= dict(zip(trie.ends, slots, strict=True))
        real_ends += range(b * most, b * most + len(slots))
        ends_of_bins[b] = torch.tensor((slots + slots[-1:] * most)[:most])
    order = {suffix: n for n, suffix in enumerate(ends)}
    return Packing(
        bins=bins,
        size=size,
        token_ids=token_ids.flatten(),
        depths=depths.flatten(),
        visible=visible,
        ends=torch.tensor(list(ends.values())),
        ends_of_bins=ends_of_bins,
        real_ends=torch.tensor(real_ends),
        class_to_end=torch.tensor([order[suffix] for suffix in suffixes]),
    )
