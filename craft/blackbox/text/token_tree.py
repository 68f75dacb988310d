"""The tree of tokens that the prompts of all classes share, cut into bins for attention.

Under a causal mask a token's hidden state depends on what precedes it only, so start of text,
context and the suffixes of all classes form one tree whose every node is computed once. Linear
layers see its nodes as rows; attention sees bins of consecutive nodes, each with the keys that it
needs: its own nodes and their ancestors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch

#: Nodes to a bin that are tried; docs/performance.md has what they cost.
BIN_SIZES = range(16, 97, 8)
#: What a query pays for a key, and a bin for fetching one, where a node's linear layers cost
#: 12 x width (measured with PyTorch's CPU kernels).
KEY_COST, FETCH_COST = 3, 41


@dataclass(frozen=True)
class Packing:
    """Nodes 0 (start of text), 1..L (context), then suffix tokens, in ``bins`` bins of ``size``."""

    bins: int
    size: int
    tokens: int  # nodes that stand for tokens; what is left of bins * size is padding
    token_ids: torch.Tensor  # (S,) int64 of the suffix nodes; padding holds some valid id
    depths: torch.Tensor  # (S,) int64, position within the suffix; 0 for padding
    keys: torch.Tensor  # (bins, M) int64 nodes whose keys a bin needs, padded by repetition
    visible: torch.Tensor  # (bins, size, M) bool: a bin's node attends to its m-th key
    past: torch.Tensor  # (bins * size,) int32, one past the last node of each node's subtree
    ends: torch.Tensor  # (U,) int64 nodes of the distinct suffixes' last tokens
    ends_of_bins: torch.Tensor  # (bins, E) int64 the same by bin, padded by some node of the bin
    real_ends: torch.Tensor  # (U,) int64 positions of ``ends`` in ends_of_bins flattened
    class_to_end: torch.Tensor  # (K,) int64 index into ``ends``

    def to(self, device: torch.device) -> Packing:
        """Return the same with its tensors on ``device``."""
        tensors = [f.name for f in fields(self) if isinstance(getattr(self, f.name), torch.Tensor)]
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})


def pack(suffixes: Sequence[tuple[int, ...]], context_length: int, width: int) -> Packing:
    """Lay out L ``context_length`` tokens and K suffixes (token ids, end of text included).

    ``width`` is the transformer's; it weighs linear layers against attention in the choice of the
    bin size.
    """
    tree = _Tree(suffixes, context_length)
    nodes = len(tree.ancestors)
    counts = {-(-nodes // size) for size in BIN_SIZES}

    def cost(keys: list[list[int]]) -> int:
        bins, most = len(keys), max(map(len, keys))
        rows = bins * -(-nodes // bins)
        return rows * (12 * width + KEY_COST * most) + FETCH_COST * bins * most

    keys = min((tree.keys_of_bins(count) for count in sorted(counts)), key=cost)
    return tree.lay_out(keys)


class _Tree:
    """Each node by what it attends to: its ancestors and itself, in order."""

    def __init__(self, suffixes: Sequence[tuple[int, ...]], context_length: int) -> None:
        self.suffixes = suffixes
        self.ancestors = [tuple(range(n + 1)) for n in range(1 + context_length)]
        self.paths: dict[tuple[int, ...], int] = {}  # suffix up to a node -> node
        # Sorted, so that a subtree is consecutive and its bins need few ancestors from outside.
        for suffix in sorted(set(suffixes)):
            above = self.ancestors[context_length]
            for n in range(len(suffix)):
                path = suffix[: n + 1]
                if path not in self.paths:
                    self.paths[path] = len(self.ancestors)
                    self.ancestors.append((*above, len(self.ancestors)))
                above = self.ancestors[self.paths[path]]

    def keys_of_bins(self, count: int) -> list[list[int]]:
        """Nodes that each of about ``count`` equal bins attends to."""
        size = -(-len(self.ancestors) // count)
        starts = range(0, len(self.ancestors), size)
        return [sorted(set().union(*self.ancestors[s : s + size])) for s in starts]

    def lay_out(self, keys: list[list[int]]) -> Packing:
        """Return the packing with these keys, one list per bin."""
        bins, size = len(keys), -(-len(self.ancestors) // len(keys))
        paths = [*self.paths] + [self.suffixes[0][:1]] * (bins * size - len(self.ancestors))
        columns = [{node: m for m, node in enumerate(of_bin)} for of_bin in keys]
        visible = torch.zeros(bins, size, max(map(len, keys)), dtype=torch.bool)
        visible[..., 0] = True  # start of text: every node sees it, padding nothing else
        for node, above in enumerate(self.ancestors):
            here, slot = divmod(node, size)
            visible[here, slot, [columns[here][key] for key in above]] = True
        past = list(range(1, bins * size + 1))  # padding hangs below start of text
        for node, above in enumerate(self.ancestors):
            for ancestor in above:
                past[ancestor] = node + 1
        past[0] = bins * size
        order = {suffix: n for n, suffix in enumerate(sorted(set(self.suffixes)))}
        ends = [self.paths[suffix] for suffix in order]
        by_bin = [[end for end in ends if end // size == here] for here in range(bins)]
        most = max(map(len, by_bin))
        return Packing(
            bins=bins,
            size=size,
            tokens=len(self.ancestors),
            token_ids=torch.tensor([path[-1] for path in paths]),
            depths=torch.tensor([len(path) - 1 for path in paths]),
            keys=torch.tensor([_padded(of_bin, 0, visible.shape[2]) for of_bin in keys]),
            visible=visible,
            past=torch.tensor(past, dtype=torch.int32),
            ends=torch.tensor(ends),
            ends_of_bins=torch.tensor(
                [_padded(of_bin, here * size, most) for here, of_bin in enumerate(by_bin)]
            ),
            real_ends=torch.tensor(
                [here * most + n for here, of_bin in enumerate(by_bin) for n in range(len(of_bin))]
            ),
            class_to_end=torch.tensor([order[suffix] for suffix in self.suffixes]),
        )


def _padded(nodes: list[int], filler: int, length: int) -> list[int]:
    return nodes + [filler] * (length - len(nodes))
