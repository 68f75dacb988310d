"""The embedded suite's backbones: build them, read and write their small weight files.

A file keeps half-precision weights and, of the token embedding, only the rows that pretraining
used. `load` puts those rows back at their places in CLIP's vocabulary; every other token gets
their mean, so that a foreign word says nothing in particular instead of something random.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from craft.data.normalisation import normalise
from craft.files.atomic import replacing

VOCABULARY = "vocabulary"  # int32 (n,): token ids whose embeddings are stored, ascending
_EMBEDDING = "token_embedding.weight"
_FORMAT = "craft-mini-backbone-1"


def tokenizer(config: dict) -> open_clip.SimpleTokenizer:
    """Return CLIP's byte-pair tokenizer at the backbone's context length."""
    return open_clip.SimpleTokenizer(
        context_length=config["open_clip"]["text_cfg"]["context_length"]
    )


def build(config: dict, vocab_size: int | None = None) -> open_clip.CLIP:
    """Return an untrained fp32 model from a backbone's config, or one with a smaller vocabulary."""
    architecture = config["open_clip"]
    text = dict(architecture["text_cfg"])
    if vocab_size is not None:
        text["vocab_size"] = vocab_size
    return open_clip.CLIP(
        embed_dim=architecture["embed_dim"],
        vision_cfg=dict(architecture["vision_cfg"]),
        text_cfg=text,
        quick_gelu=architecture["quick_gelu"],
    )


def pixels(images: np.ndarray, config: dict) -> torch.Tensor:
    """Return uint8 images (n, 32, 32, 3) as the model's normalised fp32 input (n, 3, 32, 32)."""
    return normalise(images, config["image"]["mean"], config["image"]["std"])


def save(
    path: Path, model: open_clip.CLIP, vocabulary: np.ndarray, metadata: dict[str, str]
) -> None:
    """Write a model built over a compact vocabulary (n,), whole or not at all."""
    state = {}
    for name, tensor in model.state_dict().items():
        # Running statistics span many orders of magnitude and are few: they stay in fp32.
        keep = tensor.ndim == 0 or "running_" in name
        state[name] = tensor.detach().contiguous().to(tensor.dtype if keep else torch.float16)
    state[VOCABULARY] = torch.from_numpy(vocabulary.astype(np.int32))
    with replacing(path) as temporary:
        save_file(state, temporary, metadata={"format": _FORMAT, **metadata})


def read_metadata(path: Path) -> dict[str, str]:
    """Return a weight file's provenance; ValueError if it is not one of ours."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read as safetensors: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise ValueError(f"{path} is not a backbone of the embedded suite")
    return metadata


def read_vocabulary(path: Path) -> np.ndarray:
    """Return the token ids (n,) that a weight file holds embeddings for, ascending."""
    read_metadata(path)
    with safe_open(path, framework="np") as file:
        return file.get_tensor(VOCABULARY)


def load(config: dict, path: str | Path) -> open_clip.CLIP:
    """Return the pretrained model in eval mode and fp32; ValueError for a file that does not fit.

    config is a backbone's config (key `open_clip`), path a file written by `save`.
    """
    path = Path(path)
    vocabulary = torch.from_numpy(read_vocabulary(path)).long()
    with safe_open(path, framework="pt") as file:
        names = file.keys()  # a safetensors file is no dict: it cannot be iterated
        state = {name: file.get_tensor(name) for name in names if name != VOCABULARY}
    state = {n: t.float() if t.is_floating_point() else t for n, t in state.items()}
    try:
        return expanded(config, state, vocabulary)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{path} does not fit {config.get('name')}: {error}") from error


def expanded(
    config: dict, state: Mapping[str, torch.Tensor], vocabulary: torch.Tensor
) -> open_clip.CLIP:
    """Return a model over CLIP's whole vocabulary from the state of one over token ids (n,) alone.

    Its ``pretrained_tokens`` are those ids: only their embeddings say how large one is.
    Raises ValueError unless there is one embedding per token, RuntimeError for another model.
    """
    model = build(config)
    rows = state.get(_EMBEDDING)
    if rows is None or len(rows) != len(vocabulary):
        raise ValueError(f"expected one embedding for each of {len(vocabulary)} tokens")
    table = rows.mean(0).repeat(model.vocab_size, 1)
    table[vocabulary] = rows
    model.load_state_dict({**state, _EMBEDDING: table}, strict=True)
    model.pretrained_tokens = vocabulary
    return model.eval()
