"""A vision transformer that starts out looking at neighbours, as a convolution does.

A few tens of thousands of small images do not teach a plain ViT that nearby patches belong
together. Here each attention head starts out attending one fixed step away from its own patch:
with sine-cosine positions, a step is a rotation, which queries can apply and keys not. Only the
start changes; the architecture stays open_clip's, and every weight is trained.
"""

from __future__ import annotations

import math

import torch
from open_clip.model import CLIP

_PAIRS = 2  # the highest frequencies per axis, the ones that tell neighbouring patches apart
_SHARPNESS = 2.5  # logit per cosine; puts about half of the attention on the patch meant
_STEPS = (  # (rows, columns) of the heads, for even and for odd layers
    ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0), (1, 1)),
    ((0, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 2)),
)


@torch.no_grad()
def look_near(model: CLIP) -> None:
    """Set the first queries, keys and patch weights of a ViT; leaves a ResNet as it is.

    Needs `pos_embed_type: sin_cos_2d` and heads of width 8 or more; raises ValueError otherwise.
    """
    transformer = getattr(model.visual, "transformer", None)
    if transformer is None:
        return
    position = model.visual.positional_embedding
    width = position.shape[1]
    heads = transformer.resblocks[0].attn.num_heads
    size = width // heads
    if position.requires_grad or size < 4 * _PAIRS:
        raise ValueError("locality needs fixed sine-cosine positions and heads of width 8 or more")
    quarter = width // 4
    # open_clip lays a position out as sin and cos of the column, then sin and cos of the row.
    places = [
        (axis, k, [axis * 2 * quarter + part * quarter + k for part in (0, 1)])
        for axis in (0, 1)
        for k in range(_PAIRS)
    ]
    model.visual.conv1.weight[[i for *_, place in places for i in place]] = 0
    gain = (_SHARPNESS * size**0.5) ** 0.5
    for layer, block in enumerate(transformer.resblocks):
        query, key, _ = block.attn.in_proj_weight.chunk(3)
        query *= 0.1
        key *= 0.1
        for head in range(heads):
            step = _STEPS[layer % 2][head % len(_STEPS[0])]
            far = 1 if layer < 2 else 2
            for pair, (axis, k, place) in enumerate(places):
                a = far * step[1 - axis] * 10000.0 ** (-k / quarter)
                c, s = math.cos(a), math.sin(a)
                rows = slice(size * head + 2 * pair, size * head + 2 * pair + 2)
                key[rows, place] = gain * torch.eye(2)
                query[rows, place] = gain * torch.tensor([[c, s], [-s, c]])
