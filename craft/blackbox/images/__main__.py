"""Image features, computed once per (backbone, data set, part, view) on the black-box side.

``python -m craft.blackbox.images --backbone B.yaml [--weights FILE] --manifest D.csv --root FOLDER
--dataset D.yaml --part train|test [--copy C] [--splits FILES] --out FILE``
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from craft.blackbox.images.encode import Encoder, Pictures, batch_size, encode
from craft.blackbox.images.partial import Shards
from craft.blackbox.images.selection import image_sets, parser_of_sets
from craft.data.fingerprint import fingerprint
from craft.files import receipts
from craft.files.image_features import Features
from craft.files.locks import locked
from craft.runtime.command import run_command
from craft.runtime.provenance import code_hash, versions
from craft.runtime.signals import Ended

if TYPE_CHECKING:
    from craft.blackbox.backbones.pretrained import Backbone


def identity(
    backbone: Backbone, pictures: Pictures, manifest_sha256: str, batch_size: int, device: str
) -> dict[str, Any]:
    """Return everything that the bits of a part's features depend on, except the images."""
    kind = torch.device(device).type
    return {
        "backbone": backbone.config,
        "weights": backbone.weights_sha256,
        "manifest": manifest_sha256,
        "images": [(position, image.path) for position, image in pictures.images],
        "view": pictures.view,
        "kind": pictures.kind,
        "reading": pictures.reading,
        "preprocess": asdict(pictures.preprocess),
        "batch_size": batch_size,
        "processor": torch.cuda.get_device_name(device)
        if kind == "cuda"
        else f"{kind} {torch.backends.cpu.get_cpu_capability()}",
        "code": code_hash("craft.blackbox.images.__main__"),
        "versions": versions(),
    }


def _parser() -> argparse.ArgumentParser:
    parser = parser_of_sets("python -m craft.blackbox.images", __doc__)
    parser.add_argument(
        "--weights", type=Path, nargs="?", help="safetensors (default: the YAML's, else the hub's)"
    )
    parser.add_argument("--batch-size", type=int, help="images in one forward pass")
    parser.add_argument("--device", default="cpu", help="device of the image tower")
    parser.add_argument(
        "--keep-every", type=float, default=10.0, help="seconds of work that a kill may cost"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Encode parts of data sets with one backbone, which is loaded once."""
    # Loading a model imports open_clip, which the functions above do not need.
    from craft.blackbox.backbones.description import read_backbone
    from craft.blackbox.backbones.pretrained import load

    parser = _parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # One core for each batch: sums split among threads would depend on their number.
    torch.set_num_threads(1)
    backbone = None
    for one in image_sets(given, parser):
        # After the first inputs have been read: a wrong one is named before a model is loaded.
        backbone = backbone or load(read_backbone(given.backbone), given.weights, given.device)
        images_state = fingerprint(one.folder, one.paths)
        pictures = one.pictures(backbone.config["image"])
        size = given.batch_size or batch_size(pictures.preprocess.size, given.device)
        inputs = identity(backbone, pictures, one.manifest_sha256, size, given.device)
        shards = Shards(one.out, inputs)
        with locked(one.out.with_name(f".{one.out.name}.lock")):
            try:
                features, norms = encode(
                    Encoder(backbone.model, pictures.preprocess, given.device),
                    pictures,
                    batch_size=size,
                    workers=given.threads,
                    shards=shards,
                    keep_every=given.keep_every,
                    what=one.about,
                )
            except Ended as signal:
                signal.add_note(f"what is encoded is kept in {shards.folder}")
                raise
            Features(
                features=features,
                norms=norms,
                paths=one.paths,
                backbone=backbone.config["name"],
                dataset=one.facts["name"],
                part=one.part,
                view=one.view,
                kind=one.kind,
                classes=one.classes,
                manifest_sha256=one.manifest_sha256,
                weights_sha256=backbone.weights_sha256,
            ).write(one.out)
            read = [given.backbone, one.manifest, *one.splits]
            read += [given.weights] if given.weights else []
            receipts.write([one.out], given.receipt, read, [images_state])
            shards.drop()


if __name__ == "__main__":
    run_command(main)
