"""Few-shot data sets of the embedded suite: what they hold, and the command that renders one.

    python -m craft.mini.render --dataset objects --out DIR [--development]

writes DIR/images/<class>/NNNN.png and DIR/split.json in CoOp's format. Every choice about the
suite is made on `--development`, another instance with its own seeds (and, for the real scanned
digits, its own images), so that the test parts stay unseen until they are scored.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from craft.files import receipts
from craft.files.atomic import writing
from craft.files.locks import locked
from craft.mini import drawing, scenes, surface
from craft.runtime.command import run_command
from craft.runtime.progress import Progress

log = logging.getLogger(__name__)

PARTS = ("train", "val", "test")
_SEEDS = {False: 2024, True: 7001}  # the suite itself, its development instance

_DOODLES = ("circle", "square", "triangle", "star", "heart", "cross", "moon", "arrow", "flower",
            "tree", "house", "fish")  # fmt: skip
_COLOURS = ("red", "yellow", "green", "blue")
_THINGS = ("star", "heart", "house", "fish", "cup")
_PAIRS = tuple((colour, thing) for thing in _THINGS for colour in _COLOURS)


@dataclasses.dataclass(frozen=True)
class Task:
    """One data set: class names, images per class and part, and how to draw a class.

    draw takes (rng, label) and returns a float image (32, 32, 3); it is None for the scanned
    digits. labels are the classes that occur, all of them unless the data set is a shifted one.
    """

    classes: tuple[str, ...]
    counts: tuple[int, int, int]  # per class: train, val, test
    draw: Callable[[np.random.Generator, int], np.ndarray] | None
    labels: tuple[int, ...]


def _task(names, draw, counts=(32, 12, 30), labels=None) -> Task:
    names = tuple(names)
    return Task(names, counts, draw, tuple(labels if labels is not None else range(len(names))))


def _pairs(scene) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda rng, label: scene(rng, *_PAIRS[label])


_OBJECTS = tuple(f"{colour} {thing}" for colour, thing in _PAIRS)
# Two halves of the classes, each with every colour and every thing.
_HALF = [tuple(i for i in range(len(_PAIRS)) if (i + i // 4) % 2 == h) for h in (0, 1)]
_ONLY_TEST = (0, 0, 20)

TASKS = {
    "digits": _task(drawing.DIGITS, None, (32, 12, 42)),
    "doodles": _task(_DOODLES, lambda rng, label: scenes.doodle(rng, _DOODLES[label])),
    "textures": _task(
        surface.PATTERNS, lambda rng, label: scenes.texture(rng, surface.PATTERNS[label])
    ),
    "lights": _task(
        surface.COLOURS, lambda rng, label: scenes.lit_object(rng, surface.COLOURS[label])
    ),
    "objects": _task(_OBJECTS, _pairs(scenes.object_photo)),
    "objects-v2": _task(_OBJECTS, _pairs(scenes.object_again), _ONLY_TEST),
    "objects-sketch": _task(_OBJECTS, _pairs(scenes.object_sketch), _ONLY_TEST),
    "objects-adv": _task(_OBJECTS, _pairs(scenes.object_adversarial), _ONLY_TEST, _HALF[0]),
    "objects-rendition": _task(_OBJECTS, _pairs(scenes.object_rendition), _ONLY_TEST, _HALF[1]),
}


def classes(name: str) -> list[str]:
    """Return a data set's class names in label order; KeyError for an unknown data set."""
    return list(TASKS[name].classes)


@functools.cache
def _scanned() -> tuple[np.ndarray, np.ndarray]:
    """Return scikit-learn's bundled digits (1797, 8, 8) and their labels (1797,)."""
    # Read from the package's folder: importing scikit-learn for it takes longer than the renders.
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the digits are bundled with scikit-learn: install it")
    table = np.loadtxt(
        Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=","
    )
    return table[:, :64].reshape(-1, 8, 8), table[:, 64].astype(int)


def _scans(label: int, part: int, development: bool) -> list[np.ndarray]:
    """Return one part's scans (8, 8) of a digit; no scan is in two parts or both instances."""
    images, target = _scanned()
    own = np.flatnonzero(target == label)
    own = own[np.random.Generator(np.random.PCG64([_SEEDS[False], label])).permutation(len(own))]
    sizes = 2 * TASKS["digits"].counts  # 172 of the 174 scans that exist of the rarest digit
    start = int(np.sum(sizes[: part + 3 * development]))
    return [images[i] for i in own[start : start + sizes[part + 3 * development]]]


def _drawn(name: str, part: str, label: int, development: bool) -> list[np.ndarray]:
    """Return the images (32, 32, 3) uint8 of one class in one part."""
    task, which = TASKS[name], PARTS.index(part)
    if task.draw is None:
        drawn = [scenes.digit(scan) for scan in _scans(label, which, development)]
    else:
        rng = np.random.Generator(
            np.random.PCG64([_SEEDS[development], list(TASKS).index(name), which, label])
        )
        drawn = [task.draw(rng, label) for _ in range(task.counts[which])]
    return [surface.finish(image) for image in drawn]


def render(name: str, part: str, development: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return one part: uint8 images (n, 32, 32, 3), labels (n,) class by class; KeyError or
    ValueError for an unknown data set or part.
    """
    images, labels = [], []
    for label in TASKS[name].labels:
        drawn = _drawn(name, part, label, development)
        images += drawn
        labels += [label] * len(drawn)
    pixels = np.stack(images) if images else np.empty((0, drawing.SIZE, drawing.SIZE, 3), np.uint8)
    return pixels, np.array(labels, dtype=int)


def _draw(name: str, images: Path, development: bool) -> dict[str, list]:
    """Draw all images below a folder; returns the split that lists them."""
    names = classes(name)
    numbers = dict.fromkeys(range(len(names)), 0)
    split: dict[str, list] = {part: [] for part in PARTS}
    todo = [(part, label) for part in PARTS for label in TASKS[name].labels]
    with Progress(f"rendering of {name}", len(todo), "classes of parts") as progress:
        for done, (part, label) in enumerate(todo, 1):
            for image in _drawn(name, part, label, development):
                path = f"{names[label].replace(' ', '_')}/{numbers[label]:04d}.png"
                numbers[label] += 1
                file = images / path
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(file)
                split[part].append([path, label, names[label]])
            progress.reach(done)
    return split


def write(name: str, out: Path, development: bool = False) -> None:
    """Render a data set into `out`: images first, split.json last, each whole or not at all."""
    work = out.with_name(f".{out.name}.rendering")
    with writing(out), locked(out.with_name(f".{out.name}.lock")):
        try:
            shutil.rmtree(work, ignore_errors=True)  # a killed one's
            work.mkdir(parents=True)
            split = _draw(name, work / "images", development)
            (work / "split.json").write_text(json.dumps(split, indent=1) + "\n")
            out.mkdir(exist_ok=True)
            # Without split.json the folder counts as unfinished.
            (out / "split.json").unlink(missing_ok=True)
            if (out / "images").exists():
                shutil.rmtree(out / "images")
            os.replace(work / "images", out / "images")
            os.replace(work / "split.json", out / "split.json")
        finally:
            shutil.rmtree(work, ignore_errors=True)
    log.info("%s: %s", name, ", ".join(f"{part} {len(split[part])}" for part in PARTS))


def main(argv: list[str] | None = None) -> None:
    """Render one data set of the embedded suite."""
    parser = argparse.ArgumentParser(prog="python -m craft.mini.render", description=main.__doc__)
    parser.add_argument("--dataset", required=True, choices=list(TASKS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--development", action="store_true", help="the instance to design on")
    receipts.add_argument(parser)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    write(args.dataset, args.out, args.development)
    receipts.write([args.out / "split.json"], args.receipt, [])


if __name__ == "__main__":
    run_command(main)
