"""Load a backbone: a frozen model from a YAML description and a weights file."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError
from torch import nn

from craft.blackbox.backbones import mae
from craft.blackbox.backbones.description import (
    BackboneError,
    complete,
    hub_file,
    require_quick_gelu,
    tokenizer_of,
)
from craft.data.fetch.growth import watching
from craft.files.atomic import sha256
from craft.mini import backbone as mini

log = logging.getLogger(__name__)

#: Entries of OpenAI's own checkpoints that are no weights, and that no other checkpoint has.
OPENAI_ENTRIES = {"context_length", "input_resolution", "vocab_size"}
#: SHA-256 of files that hold OpenAI's weights: those that config/backbones pins.
OPENAI_FILES = {
    "4b8699299b1e8997753c64b052ba32031449d5d853f55a039148560ee02b820f",
    "da0baa37fb2211eee5729ab69ed587eb10d48f5b7076ceeed01552fc3d4cb4ee",
    "e6d1bd7789aa45192b3bf90570a789b478bae1b74ebcce7eddd908e83a2b7c31",
}
_DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Backbone:
    """A frozen dual encoder: eval mode, no gradients, image tower in its ``precision``.

    A model of kind ``mae`` encodes images alone.
    Its ``encode_image`` takes float32 images at any precision and does not normalise.
    """

    config: Mapping[str, Any]
    model: nn.Module
    tokenizer: Any  # None where there is no text side
    weights_sha256: str


def load(
    config: Mapping[str, Any],
    weights: str | os.PathLike[str] | None = None,
    device: torch.device | str | None = None,
) -> Backbone:
    """Load a backbone from ``weights``, else from the file that its YAML names, else from the hub.

    With a ``device``, the model is moved there and tried in its precision. Raises BackboneError if
    the device lacks an operation in that precision, for a missing file, a SHA-256 that differs from
    the pinned one, and weights of another model or activation.
    """
    config = complete(config)
    path = _locate(config, weights)
    digest = sha256(path)
    if config.get("sha256") and digest != config["sha256"]:
        raise BackboneError(
            f"{path}: SHA-256 is {digest}, but {config['name']} pins {config['sha256']}"
        )
    model: nn.Module
    if config["kind"] == "mini":
        model = mini.load(dict(config), path)
    elif config["kind"] == "mae":
        model = mae.load(config, path)
    else:
        if digest in OPENAI_FILES:
            require_quick_gelu(config, True, f"{path}: OpenAI's weights")
        model = _load_open_clip(config, path)
    model = model.eval().requires_grad_(False)
    if device is not None:
        _place(model, config, torch.device(device))
    tokenizer = None if config["kind"] == "mae" else tokenizer_of(config)
    return Backbone(config, model, tokenizer, digest)


def _locate(config: Mapping[str, Any], weights: str | os.PathLike[str] | None) -> Path:
    given = weights or config.get("weights")
    if given:
        path = Path(given)
        if not path.is_file():
            raise BackboneError(f"{config['name']}: no weights file {path}")
    elif config["kind"] == "mini":
        raise BackboneError(f"{config['name']}: no weights file given")
    else:
        path = _fetch(config["name"], *hub_file(config))
    if path.suffix != ".safetensors":
        raise BackboneError(f"{path}: weights are read from .safetensors files only")
    return path


def _fetch(name: str, repo: str, file: str, revision: str | None) -> Path:
    # Progress is logged; the library's bar would write control characters to the log.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import repo_folder_name

    log.info("fetching %s from %s at %s", file, repo, revision or "its newest revision")
    cache = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type="model"))
    try:
        with watching(cache, None, f"{file} of {repo}"):
            return Path(hf_hub_download(repo, file, revision=revision))
    except (HfHubHTTPError, OSError, ValueError, RuntimeError) as error:
        raise BackboneError(
            f"{name}: {file} of {repo} cannot be fetched ({error}); bring it by other means and "
            "name it in the backbone's file, weights: PATH"
        ) from error


def _load_open_clip(config: Mapping[str, Any], path: Path) -> nn.Module:
    model = open_clip.create_model(
        config["model"], precision=config["precision"], pretrained=None, pretrained_text=False
    )
    # A model in half precision would round the logit scale, and so every score.
    model.logit_scale.data = model.logit_scale.data.float()
    try:
        missing, foreign = open_clip.load_checkpoint(model, str(path), strict=False)
    except (AttributeError, RuntimeError, SafetensorError) as error:
        raise BackboneError(f"{path}: does not fit {config['model']} ({error})") from error
    if OPENAI_ENTRIES.issubset(foreign):
        require_quick_gelu(config, True, f"{path}: OpenAI's weights")
        foreign = set(foreign) - OPENAI_ENTRIES
    if missing or foreign:
        lacks, has = (", ".join(sorted(names)[:3]) or "nothing" for names in (missing, foreign))
        raise BackboneError(
            f"{path}: does not fit {config['model']} (lacks {lacks}; has {has} beside it)"
        )
    # CoCa's own default is to normalise, which would lose the raw norms.
    model.encode_image = functools.partial(model.encode_image, normalize=False)
    if dtype := _DTYPES.get(config["precision"]):
        model.visual.register_forward_pre_hook(lambda _, inputs: (inputs[0].to(dtype),))
    return model


def _place(model: nn.Module, config: Mapping[str, Any], device: torch.device) -> None:
    model.to(device)
    if config["precision"] == "fp32":
        return
    if device.type == "cpu" and config["precision"] == "fp16":
        log.warning("precision fp16: several times slower than fp32 on CPUs")
    size = config["image"]["size"]
    try:
        with torch.no_grad():
            model.encode_image(torch.zeros(1, 3, size, size, device=device))
    except RuntimeError as error:
        raise BackboneError(
            f"{config['name']}: precision {config['precision']} does not work on {device} "
            f"({error}); accepted there: fp32"
        ) from error
