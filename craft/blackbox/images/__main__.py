"""Image features, computed once per (backbone, data set, part, view) on the black-box side.

``python -m craft.blackbox.images --backbone B.yaml [--weights FILE] --manifest D.csv --root FOLDER
--dataset D.yaml --part train|test [--copy C] [--splits FILES] --out FILE``
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from craft.blackbox.images.encode import Encoder, Pictures, batch_size, encode
from craft.blackbox.images.partial import Shards
from craft.blackbox.images.preprocess import COOP_CROP_SCALE, Preprocess
from craft.data.fingerprint import fingerprint
from craft.data.manifest import image_root, reading
from craft.files import receipts
from craft.files.atomic import RecordError, sha256, unchanged
from craft.files.descriptions import read_dataset
from craft.files.locks import locked
from craft.files.records import COPIES, Features, Image, Manifest, Split
from craft.runtime.command import run_command
from craft.runtime.provenance import code_hash, versions
from craft.runtime.signals import Ended

if TYPE_CHECKING:
    from craft.blackbox.backbones.load import Backbone


def select(
    manifest: Manifest, part: str, splits: Iterable[Split] | None
) -> list[tuple[int, Image]]:
    """Images of a part with their positions in it; with ``splits`` only those that one draws.

    The positions seed the augmentation: they do not depend on what is selected. Raises
    RecordError for a part without images and for a split of other images.
    """
    images = list(enumerate(manifest.part(part)))
    if not images:
        raise RecordError(f"the manifest lists no {part} image")
    if splits is None:
        return images
    drawn = {path for split in splits for path in split.paths}
    unknown = drawn - {image.path for _, image in images}
    if unknown:
        raise RecordError(f"{len(unknown)} drawn images are not in the {part} part: {min(unknown)}")
    return [(position, image) for position, image in images if image.path in drawn]


def identity(
    backbone: Backbone, pictures: Pictures, manifest_sha256: str, batch_size: int, device: str
) -> dict[str, Any]:
    """All that the bits of a part's features depend on, beside the images' own."""
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


def _copy(text: str) -> tuple[int, str]:
    """Read ``none``, ``view-3``, ``crop-7`` or ``end-1`` as a number and the kind of copy."""
    if text == "none":
        return 0, "view"
    kind, _, number = text.partition("-")
    most = 2 if kind == "end" else math.inf
    if kind not in COPIES or not number.isdecimal() or not 1 <= int(number) <= most:
        raise argparse.ArgumentTypeError(
            f"expected none, view-N, crop-N, end-1 or end-2, got {text!r}"
        )
    return int(number), kind


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m craft.blackbox.images",
        description=__doc__,
        epilog="--manifest to --out take one value for each set of images to encode.",
    )
    parser.add_argument("--backbone", type=Path, required=True, help="backbone YAML")
    parser.add_argument(
        "--weights", type=Path, nargs="?", help="safetensors (default: the YAML's, else the hub's)"
    )
    several = {"nargs": "+", "required": True}
    parser.add_argument("--manifest", type=Path, help="manifest CSV", **several)
    parser.add_argument("--root", type=Path, help="the data set's folder", **several)
    parser.add_argument("--dataset", type=Path, help="data-set YAML", **several)
    parser.add_argument("--part", choices=("train", "val", "test"), **several)
    parser.add_argument(
        "--copy",
        type=_copy,
        nargs="+",
        help="none: as tested; or view-N, crop-N, end-1, end-2",
    )
    parser.add_argument("--out", type=Path, help="safetensors to write", **several)
    parser.add_argument(
        "--splits", type=Path, nargs="*", help="encode only what one of these few-shot sets draws"
    )
    parser.add_argument("--batch-size", type=int, help="images in one forward pass")
    parser.add_argument("--device", default="cpu", help="device of the image tower")
    parser.add_argument("--threads", type=int, default=1, help="cores that decode and encode")
    parser.add_argument(
        "--keep-every", type=float, default=10.0, help="seconds of work that a kill may cost"
    )
    receipts.add_argument(parser)
    given = parser.parse_args(arguments)
    given.copy = given.copy or [(0, "view")] * len(given.out)
    each = (given.manifest, given.root, given.dataset, given.part, given.copy, given.out)
    if len({len(values) for values in each}) > 1:
        parser.error("--manifest, --root, --dataset, --part, --copy and --out differ in number")
    given.sets = list(zip(*each, strict=True))
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Encode parts of data sets with one backbone, which is loaded once."""
    # Loading a model brings open_clip along, which the functions above do not need.
    from craft.blackbox.backbones.description import read_backbone
    from craft.blackbox.backbones.load import load

    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # One core for each batch: sums split among threads would depend on their number.
    torch.set_num_threads(1)
    splits = [Split.read(path) for path in given.splits] if given.splits else None
    backbone = None
    for manifest_path, root, dataset, part, (view, kind), out in given.sets:
        facts = read_dataset(dataset)
        if facts["encode"] == "drawn" and part == "train" and not splits:
            raise RecordError(
                f"{facts['name']} says encode: drawn; name its few-shot sets by --splits"
            )
        with unchanged([manifest_path]):
            manifest, manifest_sha256 = Manifest.read(manifest_path), sha256(manifest_path)
        images = select(manifest, part, splits)
        # After the first inputs have been read: a wrong one is named before a model is loaded.
        backbone = backbone or load(read_backbone(given.backbone), given.weights, given.device)
        folder = image_root(root, facts)
        images_state = fingerprint(folder, [image.path for _, image in images])
        scale = COOP_CROP_SCALE if kind == "crop" else facts["crop_scale"]
        preprocess = Preprocess.of(backbone.config["image"], scale)
        pictures = Pictures(images, folder, preprocess, view, reading(facts), kind)
        size = given.batch_size or batch_size(preprocess.size, given.device)
        inputs = identity(backbone, pictures, manifest_sha256, size, given.device)
        shards = Shards(out, inputs)
        with locked(out.with_name(f".{out.name}.lock")):
            try:
                features, norms = encode(
                    Encoder(backbone.model, preprocess, given.device),
                    pictures,
                    batch_size=size,
                    workers=given.threads,
                    shards=shards,
                    keep_every=given.keep_every,
                    what=f"{facts['name']} {part}, {kind} {view}",
                )
            except Ended as signal:
                signal.add_note(f"what is encoded is kept in {shards.folder}")
                raise
            Features(
                features=features,
                norms=norms,
                paths=tuple(image.path for _, image in images),
                backbone=backbone.config["name"],
                dataset=facts["name"],
                part=part,
                view=view,
                kind=kind,
                classes=tuple(manifest.class_names()),
                manifest_sha256=manifest_sha256,
                weights_sha256=backbone.weights_sha256,
            ).write(out)
            read = [given.backbone, manifest_path, *(given.splits or [])]
            read += [given.weights] if given.weights else []
            receipts.write([out], given.receipt, read, [images_state])
            shards.drop()


if __name__ == "__main__":
    run_command(main)
