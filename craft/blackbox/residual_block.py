"""One residual block of a CLIP transformer as plain tensors; both towers are made of these."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

#: Tensors of one block; linear weights are (out, in).
BLOCK = (
    "ln_1.weight",
    "ln_1.bias",
    "qkv.weight",
    "qkv.bias",
    "out.weight",
    "out.bias",
    "ln_2.weight",
    "ln_2.bias",
    "fc.weight",
    "fc.bias",
    "proj.weight",
    "proj.bias",
)
ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
#: QuickGELU(x) = x sigmoid(1.702 x) = silu(1.702 x) / 1.702.
_QUICK_GELU = 1.702


class UnsupportedBlock(ValueError):
    """A block is not open_clip's residual attention block."""


def block_tensors(block: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of one block by the names of BLOCK, a layer scale folded in.

    Raises UnsupportedBlock.
    """
    attention = getattr(block, "attn", None)
    if (
        not isinstance(attention, nn.MultiheadAttention)
        or attention.in_proj_weight is None
        or attention.in_proj_bias is None
        or hasattr(block, "ln_1_kv")
    ):
        raise UnsupportedBlock(
            f"blocks of type {type(block).__name__} with {type(attention).__name__}"
        )
    values = (
        block.ln_1.weight,
        block.ln_1.bias,
        attention.in_proj_weight,
        attention.in_proj_bias,
        *_scaled(attention.out_proj, block.ls_1),
        block.ln_2.weight,
        block.ln_2.bias,
        block.mlp.c_fc.weight,
        block.mlp.c_fc.bias,
        *_scaled(block.mlp.c_proj, block.ls_2),
    )
    return dict(zip(BLOCK, values, strict=True))


def activation(module: nn.Module) -> str:
    """Return a block's activation, one of ACTIVATIONS; raises UnsupportedBlock."""
    if isinstance(module, nn.GELU):
        return "gelu" if module.approximate == "none" else "gelu_tanh"
    # By name: the class lives in open_clip, which need not be imported to read a model.
    if type(module).__name__ != "QuickGELU":
        raise UnsupportedBlock(f"activation {type(module).__name__}")
    return "quick_gelu"


def folded(block: Mapping[str, torch.Tensor], kind: str) -> dict[str, torch.Tensor]:
    """Return a block whose QuickGELU constants lie in the layers around it, silu between them."""
    named = dict(block)
    if kind == "quick_gelu":
        for name in ("fc.weight", "fc.bias"):
            named[name] = named[name] * _QUICK_GELU
        named["proj.weight"] = named["proj.weight"] / _QUICK_GELU
    return named


def activated(hidden: torch.Tensor, kind: str) -> torch.Tensor:
    """Return hidden units of a :func:`folded` block behind its activation; may overwrite them."""
    match kind:
        case "quick_gelu":
            return F.silu(hidden, inplace=True)
        case "gelu_tanh":
            return F.gelu(hidden, approximate="tanh")
        case _:
            return F.gelu(hidden)


def _scaled(linear: nn.Linear, scale: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias of a linear layer followed by a layer scale (or by nothing)."""
    if isinstance(scale, nn.Identity):
        return linear.weight, linear.bias
    return linear.weight * scale.gamma[:, None], linear.bias * scale.gamma
