"""A backbone's description: its YAML, completed from open_clip's registry."""

from __future__ import annotations

import difflib
import importlib.util
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import open_clip

from craft.files import yaml12
from craft.mini import backbone as mini

KINDS = ("mini", "open_clip", "mae")
#: Keys that a kind must have.
_REQUIRED = {"mini": ("image", "open_clip"), "open_clip": ("model",), "mae": ("image", "vision")}
PRECISIONS = ("fp32", "fp16", "bf16")
TEXTS = ("auto", "fast", "plain")
#: File of a hub repository that open_clip's registry names without one.
_HUB_FILE = "open_clip_model.safetensors"


class BackboneError(ValueError):
    """A backbone's description is invalid, or does not match its weights."""


def read_backbone(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a backbone's YAML and complete it; raises YamlError and BackboneError."""
    config = yaml12.read(path, "name", "kind")
    _require(str(path), "kind", config["kind"], KINDS)
    if missing := [key for key in _REQUIRED[config["kind"]] if key not in config]:
        raise BackboneError(f"{path}: lacks {', '.join(missing)}")
    return complete(config)


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a description with ``precision``, ``text`` and ``image`` filled in; needs no weights.

    Raises BackboneError for an unknown model, one that needs the package transformers, an
    activation that differs from that of the weights, or unknown preprocessing.
    """
    config = {"precision": "fp32", "text": "auto", **config}
    for key, accepted in (("precision", PRECISIONS), ("text", TEXTS)):
        _require(config["name"], key, config[key], accepted)
    if config["kind"] != "open_clip":
        what = f"precision of kind {config['kind']}"
        _require(config["name"], what, config["precision"], ("fp32",))
        return config
    check_architecture(config)
    check_quick_gelu(config)
    return config | {"image": _preprocessing(config)}


def _require(what: str, key: str, value: Any, accepted: tuple[str, ...]) -> None:
    if value not in accepted:
        expected = accepted[0] if len(accepted) == 1 else f"one of {', '.join(accepted)}"
        raise BackboneError(f"{what}: {key}: expected {expected}, got {value!r}")


def tokenizer_of(config: Mapping[str, Any]) -> Any:
    """Return the backbone's tokenizer, at its context length; needs no weights."""
    if config["kind"] == "mini":
        return mini.tokenizer(dict(config))
    return open_clip.get_tokenizer(config["model"])


def architecture(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's configuration in open_clip's keys; an encoder has no ``text_cfg``."""
    if config["kind"] == "mini":
        return dict(config["open_clip"])
    if config["kind"] == "mae":
        return {"embed_dim": config["vision"]["width"], "vision_cfg": dict(config["vision"])}
    return open_clip.get_model_config(config["model"])


def check_architecture(config: Mapping[str, Any]) -> None:
    """Raise BackboneError for a model that open_clip lacks, or that needs transformers."""
    name, model = config["name"], config["model"]
    known = open_clip.list_models()
    if model not in known:
        raise BackboneError(f"{name}: open_clip has no model {model!r}{_near(model, known)}")
    text = architecture(config)["text_cfg"]
    if text.get("hf_model_name"):
        raise BackboneError(
            f"{name}: the text tower of {model} is {text['hf_model_name']} of the package "
            "transformers; supported are models with open_clip's own text transformer"
        )
    tokenizer = text.get("hf_tokenizer_name")
    if tokenizer and importlib.util.find_spec("transformers") is None:
        raise BackboneError(
            f"{name}: {model} tokenises with {tokenizer}, for which open_clip needs the package "
            "transformers (pip install transformers)"
        )


def check_quick_gelu(config: Mapping[str, Any]) -> None:
    """Raise BackboneError if the weights' activation is unknown or differs from the model's.

    The tag or the key ``quick_gelu`` states whether the weights were trained with QuickGELU. With
    another activation, features are silently wrong: open_clip only warns, and not at all for a
    local file. Raises too if tag and key differ.
    """
    name, tag = config["name"], config.get("pretrained")
    declared, known = config.get("quick_gelu"), registered(config)
    # "openai" always means QuickGELU, even if open_clip lists no such weights for the model.
    trained = True if tag == "openai" else known.get("quick_gelu", False) if known else None
    if trained is None and declared is None:
        raise BackboneError(
            f"{name}: {_no_such_tag(config)}; for your own weights, state by quick_gelu: true or "
            "false whether they were trained with QuickGELU"
        )
    if None not in (trained, declared) and trained != declared:
        raise BackboneError(
            f"{name}: quick_gelu: expected {trained}, as for {tag!r} weights, got {declared}"
        )
    trained = declared if trained is None else trained
    require_quick_gelu(config, trained, f"{tag!r} weights" if tag else "the weights")


def require_quick_gelu(config: Mapping[str, Any], trained: bool, weights: str) -> None:
    """Raise BackboneError unless the model is built with the activation ``trained`` says."""
    model, built = config["model"], bool(architecture(config).get("quick_gelu"))
    if trained != built:
        twin = f"{model}-quickgelu" if trained else model.removesuffix("-quickgelu")
        hint = f"; use {twin}" if twin in open_clip.list_models() else ""
        raise BackboneError(
            f"{config['name']}: {weights} were trained {'with' if trained else 'without'} "
            f"QuickGELU, model {model!r} is built {'with' if built else 'without'} it{hint}"
        )


def registered(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry of the tag's weights in open_clip's registry; empty for an unknown tag."""
    model, tag = config["model"], config.get("pretrained") or ""
    # The same weights may be listed under the model's twin of the other activation alone.
    twins = (model, model.removesuffix("-quickgelu"), f"{model}-quickgelu")
    found = (open_clip.get_pretrained_cfg(twin, tag) for twin in twins)
    return next(filter(None, found), {})


def hub_file(config: Mapping[str, Any]) -> tuple[str, str, str | None]:
    """Return repository, file and revision of the weights; raises BackboneError without a tag."""
    if hub := config.get("hub"):
        return hub["repo"], hub["file"], hub.get("revision")
    known = registered(config)
    if not known:
        raise BackboneError(
            f"{config['name']}: {_no_such_tag(config)}; name a local file by weights"
        )
    repo, _, file = known["hf_hub"].rpartition("/")
    # Nothing but safetensors is read; a file of another format has a twin, or is not there.
    return repo, str(Path(file or _HUB_FILE).with_suffix(".safetensors")), None


def _no_such_tag(config: Mapping[str, Any]) -> str:
    model, tag = config["model"], config.get("pretrained")
    if not tag:
        return "pretrained is not given"
    twins = (model, model.removesuffix("-quickgelu"))
    tags = {known for twin in twins for known in open_clip.list_pretrained_tags_by_model(twin)}
    return (
        f"open_clip knows no weights {tag!r} of {model}{_near(tag, tags)}"
        f" (known: {', '.join(sorted(tags)) or 'none'})"
    )


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _preprocessing(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of ``image``: the YAML's, else the tag's, the size else the model's."""
    name, given, known = config["name"], config.get("image", {}), registered(config)
    size = architecture(config)["vision_cfg"].get("image_size", 224)
    if not isinstance(size, int):
        raise BackboneError(f"{name}: {config['model']}: expected square images, got {size}")
    if given.get("size", size) != size:
        raise BackboneError(
            f"{name}: image.size is {given['size']}, {config['model']} takes {size}"
        )
    image = {"size": size, "resize": "shortest", "interpolation": "bicubic"}
    if known:
        image |= {"mean": list(known["mean"]), "std": list(known["std"])}
        image |= {"resize": known["resize_mode"], "interpolation": known["interpolation"]}
    image |= given
    if missing := [key for key in ("mean", "std") if key not in image]:
        raise BackboneError(f"{name}: {_no_such_tag(config)}; image lacks {', '.join(missing)}")
    return image
