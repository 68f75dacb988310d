"""Predict the class probabilities of image files with a tuned model."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from craft.apply.remote_box import remote_box, service_of
from craft.apply.tuned_model import TunedModel
from craft.blackbox.backbones.export_side import image_side, text_side
from craft.blackbox.backbones.pretrained import load
from craft.blackbox.images.encode import Encoder, Pictures, batch_size, encode
from craft.blackbox.images.preprocess import Preprocess
from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.text.ensemble import TemplateMean
from craft.blackbox.text.prefix_sharing import DTYPES
from craft.blackbox.text.tower import tower_of
from craft.data.rgb import ImageError, read_rgb
from craft.data.user_images import SUFFIXES
from craft.files.datasets import Image
from craft.files.pixels import PixelRows
from craft.files.shipped import find
from craft.fit.boxes import Box, ImageSide, box_for
from craft.learner.base import Learner
from craft.runtime.progress import Progress

#: Name under which a box holds the images.
_UPLOAD = "images"


@dataclass(frozen=True)
class Answers:
    """Probabilities (N, K) of N images, and the problem of each skipped file."""

    paths: tuple[Path, ...]
    probabilities: np.ndarray  # (N, K) float32, rows add up to 1
    class_names: tuple[str, ...]
    problems: tuple[str, ...]

    def top(self, count: int) -> list[list[tuple[str, float]]]:
        """Return each image's most probable classes, best first; equal ones in label order."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[label], float(row[label])) for label in labels]
            for labels, row in zip(order, self.probabilities, strict=True)
        ]


def images_of(given: Sequence[Path]) -> list[Path]:
    """Return the given files, and all images below the given folders, sorted by path.

    Skips hidden files of a folder, and files without an image suffix. Raises FileNotFoundError
    for a folder without images.
    """
    found: list[Path] = []
    for path in given:
        if not path.is_dir():
            found.append(path)
            continue
        below = sorted(
            (file.relative_to(path).parts, file)
            for file in path.rglob("*")
            if file.suffix.lower() in SUFFIXES and file.is_file()
        )
        inside = [file for parts, file in below if not any(part.startswith(".") for part in parts)]
        if not inside:
            raise FileNotFoundError(f"{path}: expected images ({' '.join(SUFFIXES)}), got none")
        found += inside
    return found


def predict(
    folder: Path,
    images: Sequence[Path],
    *,
    server: str | None = None,
    weights: Path | None = None,
    device: str = "cpu",
    cores: int = 1,
    trust_code: bool = False,
) -> Answers:
    """Return the answers of the tuned model in ``folder`` for image files.

    For the whole test part of the run, in its order and on its machine, the probabilities equal
    those of the run, bit for bit. ``server`` is the address of a service with the backbone; None
    computes in this process. ``weights`` is the backbone's file; None looks it up by the
    description, or on the hub. ``cores`` decode and encode images and change no bit. Raises the
    errors of reading the folder and of loading the backbone.
    """
    model = TunedModel.read(folder)
    learner = model.restore(folder, torch.device(device), trust_code=trust_code)
    good, problems = _readable(images, model.reading, cores)
    if not good:
        nothing = np.empty((0, len(model.class_names)), np.float32)
        return Answers((), nothing, model.class_names, problems)
    torch.set_num_threads(model.threads)
    with (
        _box(model, learner, good, server, weights, device, cores) as box,
        threadpool_limits(1, user_api="blas"),  # as in a fit
    ):
        probabilities = learner.predict(box, _UPLOAD).softmax(dim=1).cpu().numpy()
    return Answers(tuple(good), probabilities, model.class_names, problems)


@contextlib.contextmanager
def _box(
    model: TunedModel,
    learner: Learner,
    files: Sequence[Path],
    server: str | None,
    weights: Path | None,
    device: str,
    cores: int,
) -> Iterator[Box]:
    """Yield a box that holds image files as one image set."""
    if service := service_of(model, server):
        with remote_box(service, model, learner, files, _UPLOAD) as box:
            yield box
        return
    backbone = load(model.backbone, weights or _weights(model), device)
    preprocess = Preprocess.of(backbone.config["image"])
    listed = [(n, Image(str(path), 0, "", "test")) for n, path in enumerate(files)]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as for features of a suite
    pictures = Pictures(listed, Path(), preprocess, reading=model.reading)
    features, _ = encode(
        Encoder(backbone.model, preprocess, device),
        pictures,
        batch_size=batch_size(preprocess.size, device),
        workers=cores,
    )
    torch.set_num_threads(threads)
    side = text_side(backbone)
    towers = [tower_of(side, each, model.text_dtype, device=device) for each in model.prompts]
    tower = towers[0] if len(towers) == 1 else TemplateMean(towers)
    uploads = {_UPLOAD: torch.from_numpy(features).to(device)}
    shown = None
    if learner.options.encodes_images:
        weights_of = image_side(backbone)
        vision = VisionTower(weights_of, device=device, dtype=DTYPES[model.text_dtype])
        shown = ImageSide(vision, {_UPLOAD: _decoded(pictures, preprocess.size)})
    yield box_for(learner, tower, uploads, model.train_images, shown)


def _decoded(pictures: Pictures, size: int) -> PixelRows:
    """Return images at a model's size, in a temporary file, for learners that encode images."""
    shape = (len(pictures.images), size, size, 3)
    with tempfile.TemporaryFile() as stream:  # the map outlives it
        kept = np.memmap(stream, np.uint8, "w+", shape=shape)
    for number in range(len(kept)):
        kept[number] = pictures.read(number)
    return PixelRows(kept, np.arange(len(kept)))


def _weights(model: TunedModel) -> Path | None:
    """Return the backbone's file that its description names; None if the hub has it."""
    if named := model.backbone.get("weights"):
        return find(named)
    if not (model.backbone.get("hub") or model.backbone.get("pretrained")):
        raise ValueError(
            f"weights: expected the file of {model.backbone['name']} with SHA-256 "
            f"{model.backbone['sha256']}, got none; pass it as --weights"
        )
    return None


def _readable(
    images: Sequence[Path], reading: str, cores: int
) -> tuple[list[Path], tuple[str, ...]]:
    """Return the files that decode, and the problem of each other file."""

    def problem(path: Path) -> str | None:
        try:
            read_rgb(path, reading)
        except ImageError as error:
            return str(error)
        return None

    good, problems = [], []
    with (
        ThreadPoolExecutor(cores) as pool,
        Progress("inspection", len(images), "images") as progress,
    ):
        for path, wrong in zip(images, pool.map(problem, images), strict=True):
            problems.append(wrong) if wrong else good.append(path)
            progress.reach(len(good) + len(problems))
    return good, tuple(problems)
