"""Backbones: from a YAML description and a weights file to a frozen model.

``python -m craft.blackbox.weights --backbone B.yaml [--weights FILE] --out text.safetensors``
exports the text side, all that a learner's box needs besides image features.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
import yaml
from safetensors import SafetensorError
from torch import nn

from craft.blackbox import mini
from craft.blackbox.text_weights import TextWeights
from craft.storage import sha256

log = logging.getLogger(__name__)

KINDS = ("mini", "open_clip")


class BackboneError(ValueError):
    """A backbone's description and its weights do not fit each other."""


@dataclass(frozen=True)
class Backbone:
    """A frozen dual encoder: fp32, eval mode, no gradients."""

    config: Mapping[str, Any]
    model: nn.Module
    tokenizer: Any
    weights_sha256: str
    vocabulary: torch.Tensor | None  # token ids that pretraining used; None: all of them

    def text_weights(self) -> TextWeights:
        """The text side as plain tensors; raises UnsupportedTextTower."""
        return TextWeights.from_model(self.model, self.vocabulary)


def read_backbone(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a backbone's YAML; raises BackboneError naming a missing key or an unknown kind."""
    try:
        config = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise BackboneError(f"{path}: not a readable YAML file ({error})") from error
    if not isinstance(config, dict) or config.get("kind") not in KINDS:
        kind = config.get("kind") if isinstance(config, dict) else None
        raise BackboneError(f"{path}: kind is {kind!r}; accepted: {', '.join(KINDS)}")
    required = ("name", "image", "open_clip" if config["kind"] == "mini" else "model")
    missing = [key for key in required if key not in config]
    if missing:
        raise BackboneError(f"{path}: lacks {', '.join(missing)}")
    return config


def tokenizer_of(config: Mapping[str, Any]) -> Any:
    """The backbone's tokenizer, at its context length; needs no weights."""
    if config["kind"] == "mini":
        return mini.tokenizer(dict(config))
    return open_clip.get_tokenizer(config["model"])


def load(config: Mapping[str, Any], weights: str | os.PathLike[str] | None = None) -> Backbone:
    """Load a backbone from ``weights``, else from the file that its YAML names, else from the hub.

    Raises BackboneError: no such file, another checksum than pinned, weights that do not fit the
    model, OpenAI weights in a model without QuickGELU.
    """
    if config.get("precision", "fp32") != "fp32":
        raise BackboneError(f"precision {config['precision']!r}; accepted: fp32")
    if config["kind"] == "open_clip":
        check_quick_gelu(config)
    path = _locate(config, weights)
    digest = sha256(path)
    if config.get("sha256") and digest != config["sha256"]:
        raise BackboneError(
            f"{path}: SHA-256 is {digest}, but {config['name']} pins {config['sha256']}"
        )
    if config["kind"] == "mini":
        model = mini.load(dict(config), path)
        vocabulary = torch.from_numpy(mini.read_vocabulary(path)).long()
    else:
        model, vocabulary = _load_open_clip(config, path), None
    model = model.float().eval().requires_grad_(False)
    return Backbone(config, model, tokenizer_of(config), digest, vocabulary)


def check_quick_gelu(config: Mapping[str, Any]) -> None:
    """Refuse weights trained with QuickGELU in a model without it, and the reverse.

    open_clip only warns, and from a local file does not even do that; the features are then
    silently wrong (OpenAI's weights need the models named "-quickgelu").
    """
    name, tag = config["model"], config.get("pretrained")
    model = open_clip.get_model_config(name)
    if model is None:
        raise BackboneError(f"{config['name']}: open_clip has no model {name!r}")
    if tag is None:
        return
    # "openai" always means QuickGELU, also for a model that open_clip lists no such weights for.
    facts = {"quick_gelu": True} if tag == "openai" else open_clip.get_pretrained_cfg(name, tag)
    trained, built = bool(facts.get("quick_gelu")), bool(model.get("quick_gelu"))
    if trained != built:
        raise BackboneError(
            f"{config['name']}: {tag!r} weights were trained {'with' if trained else 'without'} "
            f"QuickGELU, model {name!r} is built {'with' if built else 'without'} it"
            + (f"; use {name}-quickgelu" if trained else "")
        )


def _locate(config: Mapping[str, Any], weights: str | os.PathLike[str] | None) -> Path:
    given = weights or config.get("weights")
    if given:
        path = Path(given)
        if not path.is_file():
            raise BackboneError(f"{config['name']}: no weights file {path}")
    elif "hub" in config:
        from huggingface_hub import hf_hub_download

        hub = config["hub"]
        log.info("fetching %s from %s at %s", hub["file"], hub["repo"], hub["revision"])
        path = Path(hf_hub_download(hub["repo"], hub["file"], revision=hub["revision"]))
    else:
        raise BackboneError(f"{config['name']}: no weights file given and no hub named")
    if path.suffix != ".safetensors":
        raise BackboneError(f"{path}: weights are read from .safetensors files only")
    return path


def _load_open_clip(config: Mapping[str, Any], path: Path) -> nn.Module:
    model = open_clip.create_model(config["model"], pretrained=None, pretrained_text=False)
    try:
        open_clip.load_checkpoint(model, str(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise BackboneError(f"{path}: does not fit {config['model']} ({error})") from error
    return model


def main(arguments: Sequence[str] | None = None) -> None:
    """Export the text side of a backbone."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--backbone", type=Path, required=True, help="backbone YAML")
    parser.add_argument("--weights", type=Path, help="safetensors (default: the YAML's, else hub)")
    parser.add_argument("--out", type=Path, required=True, help="safetensors to write")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    backbone = load(read_backbone(options.backbone), options.weights)
    provenance = {
        "backbone": backbone.config["name"],
        "weights_sha256": backbone.weights_sha256,
        "open_clip": open_clip.__version__,
    }
    backbone.text_weights().write(options.out, provenance)
    log.info("text side of %s written to %s", backbone.config["name"], options.out)


if __name__ == "__main__":
    main()
