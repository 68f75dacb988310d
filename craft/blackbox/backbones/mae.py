"""The encoder of a masked autoencoder (He et al., 2022), for images only.

Its code of an image is the class token behind the last block, before the final norm, with all
patches in place. Weights are in the layout of the package transformers, as the hub has them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from craft.blackbox.backbones.description import BackboneError

#: Epsilon of its layer norms.
_EPS = 1e-12
#: Tensors of the file that are not read: the decoder, and the final norm.
_UNREAD = ("decoder.", "vit.layernorm.")
#: Layers beside the blocks: name in timm -> in the file.
_EMBEDDINGS = {
    "cls_token": "cls_token",
    "pos_embed": "position_embeddings",
    "patch_embed.proj.weight": "patch_embeddings.projection.weight",
    "patch_embed.proj.bias": "patch_embeddings.projection.bias",
}
#: Layers of a block.
_BLOCK = {
    "norm1": "layernorm_before",
    "attn.proj": "attention.output.dense",
    "norm2": "layernorm_after",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}


class MaskedAutoencoder(nn.Module):
    """The frozen encoder, behind the name that image towers have here."""

    def __init__(self, vision: Mapping[str, int]) -> None:
        super().__init__()
        self.vit = VisionTransformer(
            img_size=vision["image_size"],
            patch_size=vision["patch_size"],
            embed_dim=vision["width"],
            depth=vision["layers"],
            num_heads=vision["heads"],
            mlp_ratio=4.0,
            num_classes=0,
            global_pool="token",
            qkv_bias=True,
            class_token=True,
            pos_embed="learn",  # fixed sines and cosines, which the file holds
            pre_norm=False,
            final_norm=False,
            fc_norm=False,
            weight_init="skip",
            embed_layer=PatchEmbed,
            norm_layer=functools.partial(nn.LayerNorm, eps=_EPS),
            act_layer=functools.partial(nn.GELU, approximate="none"),
        )

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Return codes (n, W) of normalised images (n, 3, S, S)."""
        return self.vit.forward_features(images)[:, 0]


def load(config: Mapping[str, Any], path: Path) -> MaskedAutoencoder:
    """Build the encoder of a description and read its weights; raises BackboneError."""
    vision = config["vision"]
    model = MaskedAutoencoder(vision)
    try:
        found = load_file(path)
    except SafetensorError as error:
        raise BackboneError(f"{path}: expected a safetensors file, got {error}") from error
    encoder = {name: value for name, value in found.items() if not name.startswith(_UNREAD)}
    try:
        weights = dict(_renamed(encoder, vision["layers"]))
        model.vit.load_state_dict(weights)
    except (KeyError, RuntimeError) as error:
        raise BackboneError(
            f"{path}: expected the encoder of {config['name']} ({vision}), got weights that lack "
            f"or change {error}"
        ) from error
    if encoder:
        raise BackboneError(
            f"{path}: expected the encoder of {config['name']} ({vision}), got {min(encoder)} too"
        )
    return model


def _renamed(found: dict[str, torch.Tensor], layers: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield timm's names and the weights, taken out of ``found``; raises KeyError."""
    for name, theirs in _EMBEDDINGS.items():
        yield name, found.pop(f"vit.embeddings.{theirs}")
    for n in range(layers):
        theirs = f"vit.encoder.layer.{n}."
        for kind in ("weight", "bias"):
            parts = ("query", "key", "value")
            qkv = [found.pop(f"{theirs}attention.attention.{part}.{kind}") for part in parts]
            yield f"blocks.{n}.attn.qkv.{kind}", torch.cat(qkv)
            for ours, layer in _BLOCK.items():
                yield f"blocks.{n}.{ours}.{kind}", found.pop(f"{theirs}{layer}.{kind}")
