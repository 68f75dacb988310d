"""Image features, computed once per (backbone, data set, part, view) on the black-box side.

``python -m craft.blackbox.images --backbone B.yaml [--weights FILE] --manifest D.csv --root FOLDER
--dataset D.yaml --part train|test [--view V] [--splits FILES] --out FILE``
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from craft.blackbox.preprocess import Preprocess
from craft.data.manifest import image_root
from craft.records import Features, Image, Manifest, Split
from craft.storage import RecordError, sha256

log = logging.getLogger(__name__)

#: Seconds between two lines of progress.
_REPORT_EVERY = 10.0


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


def pixels(
    images: Sequence[tuple[int, Image]], folder: Path, preprocess: Preprocess, view: int
) -> Iterator[np.ndarray]:
    """Each image as (size, size, 3) uint8: view 0 is deterministic, others augmented copies.

    A copy depends on the view and the image's position alone. Raises ImageError.
    """
    for position, image in images:
        rng = np.random.default_rng([view, position]) if view else None
        yield preprocess.read(folder / image.path, rng)


@torch.no_grad()
def encode(
    model: nn.Module,
    images: Iterator[np.ndarray],
    total: int,
    preprocess: Preprocess,
    *,
    batch_size: int = 64,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Unit features (N, E) and raw norms (N,) of ``total`` images, one batch in memory at a time.

    ``progress`` is called with the number of images done. Raises RecordError for features that
    are not finite.
    """
    features = norms = None
    done = 0
    while done < total:
        batch = np.stack([next(images) for _ in range(min(batch_size, total - done))])
        raw = model.encode_image(preprocess.normalise(batch).to(device)).float().cpu()  # (B, E)
        norm = raw.norm(dim=1)
        if not (torch.isfinite(raw).all() and (norm > 0).all()):
            raise RecordError(f"features of images {done}..{done + len(batch) - 1} are not finite")
        if features is None or norms is None:
            features = np.empty((total, raw.shape[1]), dtype=np.float32)
            norms = np.empty(total, dtype=np.float32)
        features[done : done + len(batch)] = (raw / norm[:, None]).numpy()
        norms[done : done + len(batch)] = norm.numpy()
        done += len(batch)
        if progress:
            progress(done)
    if features is None or norms is None:
        raise RecordError("no images to encode")
    return features, norms


class ProgressLog:
    """Logs images done, their rate and the time left, every few seconds and at the end."""

    def __init__(self, total: int, name: str) -> None:
        self._total, self._name = total, name
        self._start = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        """Report ``done`` images."""
        now = time.monotonic()
        if done < self._total and now - self._last < _REPORT_EVERY:
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        left = (self._total - done) / rate
        log.info(
            "%s: %d of %d images, %.0f a second, %.0f s left",
            self._name,
            done,
            self._total,
            rate,
            left,
        )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m craft.blackbox.images",
        description=__doc__,
        epilog="--manifest to --out take one value for each set of images to encode.",
    )
    parser.add_argument("--backbone", type=Path, required=True, help="backbone YAML")
    parser.add_argument("--weights", type=Path, help="safetensors (default: the YAML's, else hub)")
    several = {"nargs": "+", "required": True}
    parser.add_argument("--manifest", type=Path, help="manifest CSV", **several)
    parser.add_argument("--root", type=Path, help="the data set's folder", **several)
    parser.add_argument("--dataset", type=Path, help="data-set YAML", **several)
    parser.add_argument("--part", choices=("train", "val", "test"), **several)
    parser.add_argument("--view", type=int, nargs="+", help="0: as tested; 1, 2, ...: augmented")
    parser.add_argument("--out", type=Path, help="safetensors to write", **several)
    parser.add_argument(
        "--splits", type=Path, nargs="*", help="encode only what one of these few-shot sets draws"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="images in one forward pass")
    parser.add_argument("--device", default="cpu", help="device of the image tower")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the image tower")
    given = parser.parse_args(arguments)
    given.view = given.view or [0] * len(given.out)
    each = (given.manifest, given.root, given.dataset, given.part, given.view, given.out)
    if len({len(values) for values in each}) > 1:
        parser.error("--manifest, --root, --dataset, --part, --view and --out differ in number")
    given.sets = list(zip(*each, strict=True))
    return given


def main(arguments: Sequence[str] | None = None) -> None:
    """Encode parts of data sets with one backbone, which is loaded once."""
    # Loading a model brings open_clip along, which the functions above do not need.
    from craft.blackbox.backbone import read_backbone
    from craft.blackbox.weights import load

    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    splits = [Split.read(path) for path in given.splits] if given.splits else None
    backbone = None
    for manifest_path, root, dataset, part, view, out in given.sets:
        facts = yaml.safe_load(dataset.read_text(encoding="utf-8"))
        if facts.get("encode", "pool") == "drawn" and part == "train" and not splits:
            raise RecordError(
                f"{facts['name']} says encode: drawn; name its few-shot sets by --splits"
            )
        manifest = Manifest.read(manifest_path)
        images = select(manifest, part, splits)
        # After the first inputs have been read: a wrong one is told before a model is loaded.
        backbone = backbone or load(read_backbone(given.backbone), given.weights, given.device)
        preprocess = Preprocess.of(backbone.config["image"], facts.get("crop_scale"))
        features, norms = encode(
            backbone.model,
            pixels(images, image_root(root, facts), preprocess, view),
            len(images),
            preprocess,
            batch_size=given.batch_size,
            device=given.device,
            progress=ProgressLog(len(images), f"{facts['name']} {part}, view {view}"),
        )
        Features(
            features=features,
            norms=norms,
            paths=tuple(image.path for _, image in images),
            backbone=backbone.config["name"],
            dataset=facts["name"],
            part=part,
            view=view,
            classes=tuple(manifest.class_names()),
            manifest_sha256=sha256(manifest_path),
            weights_sha256=backbone.weights_sha256,
        ).write(out)


if __name__ == "__main__":
    main()
