"""The images that a command of this package reads: parts of data sets, and copies of them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from craft.blackbox.images.encode import Pictures
from craft.blackbox.images.preprocess import COOP_CROP_SCALE, Preprocess
from craft.data.manifest import image_root, reading
from craft.files import receipts
from craft.files.atomic import RecordError, sha256, unchanged
from craft.files.datasets import Image, Manifest, Split
from craft.files.descriptions import read_dataset
from craft.files.image_features import COPIES


@dataclass(frozen=True)
class Selected:
    """One set of images, and the file to make from it."""

    facts: Mapping[str, Any]  # the data set's description
    manifest: Path
    manifest_sha256: str
    classes: tuple[int, ...]
    folder: Path
    images: Sequence[tuple[int, Image]]
    part: str
    view: int
    kind: str
    splits: Sequence[Path]  # that draw them; none: all of the part
    out: Path

    @property
    def about(self) -> str:
        """Return a description of the images."""
        return f"{self.facts['name']} {self.part}, {self.kind} {self.view}"

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the paths of the images, in order."""
        return tuple(image.path for _, image in self.images)

    def pictures(self, image: Mapping[str, Any]) -> Pictures:
        """Return the images as a model sees them; ``image`` is the backbone's preprocessing."""
        scale = COOP_CROP_SCALE if self.kind == "crop" else self.facts["crop_scale"]
        preprocess = Preprocess.of(image, scale)
        how = reading(self.facts)
        return Pictures(self.images, self.folder, preprocess, self.view, how, self.kind)


def select(
    manifest: Manifest, part: str, splits: Iterable[Split] | None
) -> list[tuple[int, Image]]:
    """Return images of a part with their positions in it; with ``splits``, only drawn ones.

    The positions seed the augmentation and do not depend on the selection. Raises RecordError for
    a part without images and for a split of other images.
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


def _copy(text: str) -> tuple[int, str]:
    """Read ``none``, ``view-3``, ``crop-7`` or ``end-1`` as a number and the kind of copy."""
    if text == "none":
        return 0, "view"
    kind, _, number = text.partition("-")
    most = 2 if kind == "end" else math.inf
    if kind not in COPIES or not number.isdecimal() or not 1 <= int(number) <= most:
        raise argparse.ArgumentTypeError(
            f"expected none, view-N, crop-N, cutout-N, end-1 or end-2, got {text!r}"
        )
    return int(number), kind


def parser_of_sets(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that :func:`image_sets` reads."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="--manifest to --out take one value for each set of images.",
    )
    parser.add_argument("--backbone", type=Path, required=True, help="backbone YAML")
    several: dict[str, Any] = {"nargs": "+", "required": True}
    parser.add_argument("--manifest", type=Path, help="manifest CSV", **several)
    parser.add_argument("--root", type=Path, help="the data set's folder", **several)
    parser.add_argument("--dataset", type=Path, help="data-set YAML", **several)
    parser.add_argument("--part", choices=("train", "val", "test"), **several)
    parser.add_argument(
        "--copy",
        type=_copy,
        nargs="+",
        help="none: as tested; or view-N, crop-N, cutout-N, end-1, end-2",
    )
    parser.add_argument("--out", type=Path, help="safetensors to write", **several)
    parser.add_argument(
        "--splits",
        type=Path,
        nargs="*",
        help="of training images, only what one of these few-shot sets draws",
    )
    parser.add_argument("--threads", type=int, default=1, help="cores that read images")
    receipts.add_argument(parser)
    return parser


def image_sets(given: argparse.Namespace, parser: argparse.ArgumentParser) -> Iterator[Selected]:
    """Yield the sets that a command was given, one after the other.

    Raises RecordError, also for a training part that is to be encoded as it is drawn and comes
    without few-shot sets. ``parser`` refuses lists that differ in length.
    """
    copies = given.copy or [(0, "view")] * len(given.out)
    each = (given.manifest, given.root, given.dataset, given.part, copies, given.out)
    if len({len(values) for values in each}) > 1:
        parser.error("--manifest, --root, --dataset, --part, --copy and --out differ in number")
    splits = {path: Split.read(path) for path in given.splits or []}
    for path, root, dataset, part, (view, kind), out in zip(*each, strict=True):
        facts = read_dataset(dataset)
        of_part = facts["name"] if part == "train" else None
        drawn = {path: split for path, split in splits.items() if split.dataset == of_part}
        if facts["encode"] == "drawn" and part == "train" and not drawn:
            raise RecordError(
                f"{facts['name']} says encode: drawn; name its few-shot sets by --splits"
            )
        with unchanged([path]):
            manifest, manifest_sha256 = Manifest.read(path), sha256(path)
        yield Selected(
            facts=facts,
            manifest=path,
            manifest_sha256=manifest_sha256,
            classes=tuple(manifest.class_names()),
            folder=image_root(root, facts),
            images=select(manifest, part, drawn.values() or None),
            part=part,
            view=view,
            kind=kind,
            splits=tuple(drawn),
            out=out,
        )
