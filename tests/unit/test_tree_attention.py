"""Attention over the whole tree by intervals, which a GPU runs, by FlexAttention's own rules."""

from __future__ import annotations

import pytest
import torch

from benchmarks.measure import class_names, text_weights, tokens
from craft.blackbox.text import prefix_sharing
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.token_tree import pack
from craft.blackbox.text.tree_attention import BLOCK, block_mask


def tree(dataset: str):
    """Packing of real class names after four words, and each node's ancestors and itself."""
    prompt = tokens(class_names()[dataset])
    above, paths = [set(range(n + 1)) for n in range(5)], {}
    for suffix in sorted(set(prompt.suffix_ids)):
        parent = above[4]
        for end in range(1, len(suffix) + 1):
            if suffix[:end] not in paths:
                paths[suffix[:end]] = len(above)
                above.append(parent | {len(above)})
            parent = above[paths[suffix[:end]]]
    return pack(prompt.suffix_ids, 4, 512), above


def dense(mask, queries: int, keys: int) -> torch.Tensor:
    """What the mask's function says of every query and key."""
    q, k = torch.arange(queries)[:, None], torch.arange(keys)[None]
    return mask.mask_mod(torch.tensor(0), torch.tensor(0), q, k)


@pytest.mark.parametrize("dataset", ["EuroSAT", "DTD", "StanfordCars"])
def test_a_node_sees_its_ancestors_and_itself(dataset):
    packing, above = tree(dataset)
    seen = dense(
        block_mask(range(len(packing.past)), packing.past), len(packing.past), len(packing.past)
    )
    for node, expected in enumerate(above):
        assert set(seen[node].nonzero().flatten().tolist()) == expected, node
    assert seen[len(above) :, 0].all(), "padding sees something, so that its softmax is finite"
    ends = packing.ends.tolist()
    assert torch.equal(
        dense(block_mask(ends, packing.past), len(ends), len(packing.past)), seen[ends]
    )


@pytest.mark.parametrize("dataset", ["DTD", "StanfordCars"])
def test_the_blocks_that_are_read_hold_all_that_is_seen(dataset):
    packing, _ = tree(dataset)
    for nodes in (range(len(packing.past)), packing.ends.tolist()):
        mask = block_mask(nodes, packing.past)
        counts, indices = mask.kv_num_blocks[0, 0], mask.kv_indices[0, 0]
        needed = set()
        for q, k in dense(mask, len(nodes), len(packing.past)).nonzero().tolist():
            needed.add((q // BLOCK, k // BLOCK))
        read = {
            (row, block)
            for row, count in enumerate(counts.tolist())
            for block in indices[row, :count].tolist()
        }
        assert read == needed
    assert len(read) < counts.numel() * indices.shape[1] or dataset == "DTD", "some are left out"


@pytest.mark.filterwarnings("ignore:flex_attention called without")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_tower_gives_the_features_that_bins_give(dtype, monkeypatch):
    monkeypatch.setattr(prefix_sharing, "compiled", lambda function: function)
    weights, prompt = text_weights(None), tokens(class_names()["DTD"])
    towers = [
        TextTower(weights, prompt, dtype=dtype, kernels=kernels) for kernels in ("plain", "fused")
    ]
    offsets = 0.02 * torch.randn(3, 4, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        bins, whole = (tower.encode(offsets) for tower in towers)
        moved = (towers[1].encode(2 * offsets) - whole).abs().max()
    bound = 1e-6 if dtype == torch.float32 else 1e-2
    assert (bins - whole).abs().max() < bound < moved


@pytest.mark.exhaustive
def test_compiled_kernels_give_the_features_that_bins_give():
    weights, prompt = text_weights(None), tokens(class_names()["EuroSAT"])
    offsets = 0.02 * torch.randn(2, 4, 64, generator=torch.Generator().manual_seed(1))
    towers = [TextTower(weights, prompt, kernels=kernels) for kernels in ("plain", "fused")]
    with torch.no_grad():
        bins, whole = (tower.encode(offsets) for tower in towers)
    assert (bins - whole).abs().max() < 1e-6
