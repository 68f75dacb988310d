"""Export a side of a backbone: the text side for every fit, or the image side for fits that encode
images.

``python -m craft.blackbox.backbones.export_side --backbone B.yaml [--weights FILE]
--side text|image --out FILE``
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import open_clip

from craft.blackbox.backbones.description import architecture, read_backbone
from craft.blackbox.backbones.pretrained import Backbone, load
from craft.blackbox.images.vision_weights import UnsupportedImageTower, VisionWeights
from craft.blackbox.text.full_length import PlainText
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import PromptTokens
from craft.blackbox.text.weights import TextWeights, UnsupportedTextTower
from craft.files import receipts
from craft.runtime.command import run_command

log = logging.getLogger(__name__)


def text_side(backbone: Backbone) -> TextWeights | PlainText:
    """Return the text side to export, by the YAML's ``text``; "auto" prefers fast.

    Raises UnsupportedTextTower for "fast" with a model that does not allow it.
    """
    choice = backbone.config["text"]
    if choice != "plain":
        try:
            weights = TextWeights.from_model(backbone.model)
            # Where the tokenizer's prompts do not suit it, this says so.
            TextTower(weights, PromptTokens.tokenise(backbone.tokenizer, ["cat"]))
            log.info("text tower: fast (text: %s)", choice)
            return weights
        except UnsupportedTextTower as error:
            if choice == "fast":
                raise
            log.info("text tower: plain (text: %s; %s)", choice, error)
    else:
        log.info("text tower: plain (text: plain)")
    return PlainText.from_model(backbone.model, architecture(backbone.config))


def image_side(backbone: Backbone) -> VisionWeights:
    """Return the image tower; raises UnsupportedImageTower naming the backbone."""
    try:
        return VisionWeights.from_model(backbone.model, backbone.config["image"])
    except UnsupportedImageTower as error:
        raise UnsupportedImageTower(f"{backbone.config['name']}: {error}") from error


SIDES = {"text": text_side, "image": image_side}


def main(arguments: Sequence[str] | None = None) -> None:
    """Export a side of a backbone."""
    parser = argparse.ArgumentParser(
        prog="python -m craft.blackbox.backbones.export_side", description=main.__doc__
    )
    parser.add_argument("--backbone", type=Path, required=True, help="backbone YAML")
    parser.add_argument(
        "--weights", type=Path, nargs="?", help="safetensors (default: the YAML's, else the hub's)"
    )
    parser.add_argument("--side", choices=SIDES, required=True)
    parser.add_argument("--out", type=Path, required=True, help="safetensors to write")
    receipts.add_argument(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    backbone = load(read_backbone(options.backbone), options.weights)
    provenance = {
        "backbone": backbone.config["name"],
        "weights_sha256": backbone.weights_sha256,
        "open_clip": open_clip.__version__,
    }
    SIDES[options.side](backbone).write(options.out, provenance)
    weights = [options.weights] if options.weights else []
    receipts.write([options.out], options.receipt, [options.backbone, *weights])
    log.info("%s side of %s written to %s", options.side, backbone.config["name"], options.out)


if __name__ == "__main__":
    run_command(main)
