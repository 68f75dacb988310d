"""The weights of a CLIP vision transformer as plain tensors, and the file that carries them from
the stage that has open_clip to the boxes that encode images during a fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from craft.blackbox.residual_block import (
    ACTIVATIONS,
    BLOCK,
    UnsupportedBlock,
    activation,
    block_tensors,
    folded,
)
from craft.files.atomic import RecordError, read_tensors, write_tensors
from craft.files.typed import build

#: Tensors beside the blocks'. A patch embedding of CLIP has no bias.
SHARED = (
    "patch_embedding",  # (W, 3, p, p)
    "class_embedding",  # (W,)
    "positional_embedding",  # (T, W)
    "ln_pre.weight",
    "ln_pre.bias",
    "ln_post.weight",
    "ln_post.bias",
    "projection",  # (W, E)
)
POOLING = ("tok", "avg")


class UnsupportedImageTower(ValueError):
    """The image side of a model is not a CLIP-style vision transformer with ``ln_pre``."""


@dataclass(frozen=True)
class VisionWeights:
    """Vision transformer of a CLIP model, float32, without gradients.

    ``tensors`` holds SHARED and "blocks.{n}." + BLOCK for each block.
    """

    tensors: dict[str, torch.Tensor]
    layers: int
    heads: int
    eps: float  # of the blocks' layer norms
    pre_eps: float
    post_eps: float
    activation: str  # one of ACTIVATIONS
    pooling: str  # "tok": the class token; "avg": the mean over patches
    norm_after_pooling: bool
    size: int  # S, side of an image in pixels
    mean: tuple[float, ...]  # by channel, of pixels in 0..1
    std: tuple[float, ...]

    @classmethod
    def from_model(cls, model: nn.Module, image: Mapping[str, Any]) -> VisionWeights:
        """Copy the image side of an open_clip model; ``image`` holds its mean and std.

        Raises UnsupportedImageTower naming what is not supported: a ResNet or another trunk, a
        tower without ``ln_pre``, attention pooling, blocks with norms of their own.
        """
        visual = getattr(model, "visual", None)
        kind = type(visual).__name__
        for name in ("conv1", "class_embedding", "positional_embedding", "transformer", "ln_pre"):
            _require(hasattr(visual, name), f"a {kind} without {name}")
        _require(isinstance(visual.ln_pre, nn.LayerNorm), f"a {kind} without ln_pre")
        _require(getattr(visual, "attn_pool", None) is None, "attention pooling")
        _require(visual.conv1.bias is None, "a patch embedding with a bias")
        _require(visual.pool_type in POOLING, f"pooling {visual.pool_type!r}")
        _require(visual.proj is not None, "a tower without a projection")
        height, width = visual.image_size
        _require(height == width, f"images of {height} x {width} pixels")
        blocks = list(visual.transformer.resblocks)
        tensors = {
            "patch_embedding": visual.conv1.weight,
            "class_embedding": visual.class_embedding,
            "positional_embedding": visual.positional_embedding,
            "ln_pre.weight": visual.ln_pre.weight,
            "ln_pre.bias": visual.ln_pre.bias,
            "ln_post.weight": visual.ln_post.weight,
            "ln_post.bias": visual.ln_post.bias,
            "projection": visual.proj,
        }
        try:
            named = [block_tensors(block) for block in blocks]
            activations = {activation(block.mlp.gelu) for block in blocks}
        except UnsupportedBlock as error:
            raise _unsupported(str(error)) from error
        for n, block in enumerate(named):
            tensors |= {f"blocks.{n}.{name}": value for name, value in block.items()}
        eps = {norm.eps for block in blocks for norm in (block.ln_1, block.ln_2)}
        heads = {block.attn.num_heads for block in blocks}
        for name, values in (("eps", eps), ("activations", activations), ("heads", heads)):
            _require(len(values) == 1, f"{name} that differ between blocks: {sorted(values)}")
        return cls(
            tensors={
                name: value.detach().to("cpu", torch.float32, copy=True).contiguous()
                for name, value in tensors.items()
            },
            layers=len(blocks),
            heads=heads.pop(),
            eps=eps.pop(),
            pre_eps=visual.ln_pre.eps,
            post_eps=visual.ln_post.eps,
            activation=activations.pop(),
            pooling=visual.pool_type,
            norm_after_pooling=bool(visual.final_ln_after_pool),
            size=int(height),
            mean=tuple(map(float, image["mean"])),
            std=tuple(map(float, image["std"])),
        )

    def to(self, device: torch.device | str) -> VisionWeights:
        """Return the same with its tensors on ``device``."""
        return replace(self, tensors={name: t.to(device) for name, t in self.tensors.items()})

    def block(self, n: int) -> dict[str, torch.Tensor]:
        """Return tensors of block n by the names of BLOCK, QuickGELU's constants folded in."""
        named = {name: self.tensors[f"blocks.{n}.{name}"] for name in BLOCK}
        return folded(named, self.activation)

    def write(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        """Write as safetensors, with ``provenance`` (JSON-able) beside the numbers."""
        tensors = {name: value.numpy() for name, value in self.tensors.items()}
        metadata = {name: value for name, value in vars(self).items() if name != "tensors"}
        write_tensors(path, tensors, metadata | {"provenance": dict(provenance)})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> VisionWeights:
        """Read what :meth:`write` wrote; raises RecordError."""
        arrays, metadata = read_tensors(path)
        metadata.pop("provenance", None)
        value = metadata | {"tensors": {n: torch.from_numpy(array) for n, array in arrays.items()}}
        value |= {name: tuple(value[name]) for name in ("mean", "std") if name in value}
        weights = build(cls, value, path, "image-tower file")
        for name, accepted in (("activation", ACTIVATIONS), ("pooling", POOLING)):
            if getattr(weights, name) not in accepted:
                raise RecordError(
                    f"{path}: {name}: expected one of {', '.join(accepted)}, "
                    f"got {getattr(weights, name)!r}"
                )
        blocks = [f"blocks.{n}.{name}" for n in range(weights.layers) for name in BLOCK]
        if missing := [name for name in (*SHARED, *blocks) if name not in weights.tensors]:
            raise RecordError(f"{path}: not an image-tower file (lacks {missing[0]})")
        return weights


def _unsupported(what: str) -> UnsupportedImageTower:
    return UnsupportedImageTower(
        "image tower: expected open_clip's vision transformer with a class token and ln_pre, "
        f"got {what}; fits can prompt or encode images only with such a tower"
    )


def _require(supported: bool, what: str) -> None:
    if not supported:
        raise _unsupported(what)
