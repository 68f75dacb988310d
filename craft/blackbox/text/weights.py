"""The weights of a causal text transformer as plain tensors, and the file that carries them from
the stage that has open_clip to the box that does not need it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
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

SHARED = ("token_embedding", "positional_embedding", "ln_final.weight", "ln_final.bias")
POOLING = ("argmax", "eos")


class UnsupportedTextTower(ValueError):
    """The text side of a model is not a CLIP-style causal transformer read out at EOT."""


@dataclass(frozen=True)
class TextWeights:
    """Text transformer of a CLIP model, float32, without gradients.

    ``tensors`` holds SHARED, "blocks.{n}." + BLOCK for each block and, unless the features are
    the transformer's own, "projection.weight" (E, D) with an optional "projection.bias" (E,).
    """

    tensors: dict[str, torch.Tensor]
    layers: int
    heads: int
    eps: float  # of every layer norm
    activation: str  # one of ACTIVATIONS
    pooling: str  # "argmax": at the largest token id; "eos": at the first ``eos_id``
    eos_id: int
    logit_scale: float  # already exponentiated; a logit bias, the same for all classes, is left out
    embedding_std: float  # of one entry of the token-embedding table

    _META = (
        "layers",
        "heads",
        "eps",
        "activation",
        "pooling",
        "eos_id",
        "logit_scale",
        "embedding_std",
    )

    @classmethod
    def from_model(cls, model: nn.Module) -> TextWeights:
        """Copy the text side of an open_clip CLIP or CustomTextCLIP model.

        Raises UnsupportedTextTower naming what is not supported.
        """
        text = getattr(model, "text", model)
        transformer = getattr(text, "transformer", None)
        blocks = getattr(transformer, "resblocks", None)
        _require(blocks is not None and len(blocks) > 0, f"a {type(text).__name__} text model")
        _require(getattr(text, "cls_emb", None) is None, "a class-token embedding (embed_cls)")
        _require_causal(getattr(text, "attn_mask", None))
        pooling = getattr(text, "pool_type", getattr(model, "text_pool_type", "argmax"))
        _require(pooling in POOLING, f"pooling {pooling!r} (supported: {', '.join(POOLING)})")
        norms = [text.ln_final]
        tensors = {
            "token_embedding": text.token_embedding.weight,
            "positional_embedding": text.positional_embedding,
            "ln_final.weight": text.ln_final.weight,
            "ln_final.bias": text.ln_final.bias,
        }
        try:
            named = [block_tensors(block) for block in blocks]
            activations = {activation(block.mlp.gelu) for block in blocks}
        except UnsupportedBlock as error:
            raise _unsupported(str(error)) from error
        for n, block in enumerate(blocks):
            tensors |= {f"blocks.{n}.{name}": value for name, value in named[n].items()}
            norms += [block.ln_1, block.ln_2]
        tensors |= _projection(text.text_projection)
        eps = {norm.eps for norm in norms}
        heads = {block.attn.num_heads for block in blocks}
        for name, values in (("eps", eps), ("activations", activations), ("heads", heads)):
            _require(len(values) == 1, f"{name} that differ between blocks: {sorted(values)}")
        return cls(
            # Copies, so that the weights neither change with the model nor keep it alive.
            tensors={
                name: value.detach().to("cpu", torch.float32, copy=True).contiguous()
                for name, value in tensors.items()
            },
            layers=len(blocks),
            heads=heads.pop(),
            eps=eps.pop(),
            activation=activations.pop(),
            pooling=pooling,
            eos_id=int(getattr(text, "eos_id", getattr(model, "text_eos_id", -1))),
            logit_scale=float(model.logit_scale.detach().float().exp()),
            embedding_std=embedding_std(model, text.token_embedding.weight),
        )

    def to(self, device: torch.device | str) -> TextWeights:
        """Return the same with its tensors on ``device``."""
        tensors = {name: value.to(device) for name, value in self.tensors.items()}
        return replace(self, tensors=tensors)

    def block(self, n: int) -> dict[str, torch.Tensor]:
        """Return tensors of block n by the names of BLOCK, QuickGELU's constants folded in."""
        named = {name: self.tensors[f"blocks.{n}.{name}"] for name in BLOCK}
        return folded(named, self.activation)

    def read_out(self, ids: Sequence[int]) -> int:
        """Position in a prompt's token ids at which the model reads its features out.

        Raises UnsupportedTextTower for a prompt without start of text, which prefixes begin with.
        """
        _require(None not in ids, "prompts without a start of text")
        if self.pooling == "argmax":
            return ids.index(max(ids))
        return ids.index(self.eos_id) if self.eos_id in ids else 0

    def write(self, path: str | os.PathLike[str], provenance: Mapping[str, Any]) -> None:
        """Write as safetensors, with ``provenance`` (JSON-able) beside the numbers."""
        tensors = {name: value.numpy() for name, value in self.tensors.items()}
        metadata = {key: getattr(self, key) for key in self._META}
        write_tensors(path, tensors, metadata | {"text": "fast", "provenance": dict(provenance)})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> TextWeights:
        """Read what :meth:`write` wrote; raises RecordError."""
        return cls.from_arrays(*read_tensors(path), path)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        metadata: Mapping[str, Any],
        path: str | os.PathLike[str],
    ) -> TextWeights:
        """From what a file holds; raises RecordError naming it."""
        value = {key: metadata[key] for key in cls._META if key in metadata}
        value["tensors"] = {name: torch.from_numpy(array) for name, array in arrays.items()}
        weights = build(cls, value, path, "text-weights file")
        for name in ("activation", "pooling"):
            accepted = ACTIVATIONS if name == "activation" else POOLING
            if getattr(weights, name) not in accepted:
                raise RecordError(
                    f"{path}: {name}: expected one of {', '.join(accepted)}, "
                    f"got {getattr(weights, name)!r}"
                )
        names = [f"blocks.{n}.{name}" for n in range(weights.layers) for name in BLOCK]
        missing = [name for name in (*SHARED, *names) if name not in weights.tensors]
        if missing or not names:
            what = f"lacks {missing[0]}" if missing else f"{weights.layers} layers"
            raise RecordError(f"{path}: not a text-weights file ({what})")
        for name, shape in _shapes(weights.tensors).items():
            found = weights.tensors[name]
            if tuple(found.shape) != shape or found.dtype != torch.float32:
                raise RecordError(
                    f"{path}: {name}: expected shape {shape}, float32, "
                    f"got {tuple(found.shape)}, {found.dtype}"
                )
        width = weights.tensors["token_embedding"].shape[1]
        if weights.heads < 1 or width % weights.heads:
            raise RecordError(f"{path}: {weights.heads} heads do not divide a width of {width}")
        return weights


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    """Return each tensor's shape, by the widths of embedding, hidden layers and features."""

    def first(name: str) -> int:
        return tensors[name].shape[0] if name in tensors and tensors[name].ndim else 0

    d = tensors["token_embedding"].shape[-1] if tensors["token_embedding"].ndim else 0
    shapes: dict[str, tuple[int, ...]] = {}
    for name in tensors:
        block, _, layer = name.rpartition(".")[0].rpartition(".")
        hidden = first(f"{block}.fc.weight") if layer in ("fc", "proj") else 0
        out, wide = {"qkv": (3 * d, d), "fc": (hidden, d), "proj": (d, hidden)}.get(layer, (d, d))
        if name.endswith("embedding"):
            shapes[name] = (first(name), d)
        elif layer == "projection":
            out = first("projection.weight")
            shapes[name] = (out, d) if name.endswith("weight") else (out,)
        else:
            is_matrix = name.endswith("weight") and not layer.startswith("ln")
            shapes[name] = (out, wide) if is_matrix else (out,)
    return shapes


def embedding_std(model: nn.Module, table: torch.Tensor) -> float:
    """Return the standard deviation of one entry of a model's token embeddings (tokens, D).

    A model that was pretrained on few tokens lists their ids in ``pretrained_tokens``
    (craft.mini.backbone). All other rows, most of the table, are ignored. Raises ValueError for a
    table filled with one row whose model does not list its tokens.
    """
    table = table.detach().float()
    tokens = getattr(model, "pretrained_tokens", None)
    if tokens is not None:
        return float(table[tokens].std(correction=1))
    filled = (table[1:] == table[:-1]).all(dim=1).float().mean()
    if len(table) > 1 and filled > 0.5:
        raise ValueError(
            f"token embeddings: expected pretrained_tokens, the ids of those in use, of a table of "
            f"which {filled:.0%} repeat the row before; got none"
        )
    return float(table.std(correction=1))


def _unsupported(what: str) -> UnsupportedTextTower:
    return UnsupportedTextTower(
        f"unsupported text tower: {what}; supported is open_clip's own causal text "
        "transformer read out at the end-of-text token"
    )


def _require(supported: bool, what: str) -> None:
    if not supported:
        raise _unsupported(what)


def _require_causal(mask: torch.Tensor | None) -> None:
    _require(mask is not None, "no causal mask")
    expected = torch.full_like(mask, float("-inf")).triu(1)
    _require(torch.equal(mask, expected), "an attention mask that is not causal")


def _projection(projection: nn.Linear | torch.Tensor | None) -> dict[str, torch.Tensor]:
    """Return the projection to the joint space as a linear layer's (out, in) weight and bias."""
    if projection is None:
        return {}
    if not isinstance(projection, nn.Linear):
        return {"projection.weight": projection.T}
    bias = {} if projection.bias is None else {"projection.bias": projection.bias}
    return {"projection.weight": projection.weight} | bias
