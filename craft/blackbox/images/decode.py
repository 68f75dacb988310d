"""Decode images once for fits that encode them repeatedly, as a backbone reads them.

``python -m craft.blackbox.images.decode --backbone B.yaml --manifest D.csv --root FOLDER
--dataset D.yaml --part train|test [--copy C] [--splits FILES] --out FILE``
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from craft.blackbox.images.encode import Pictures
from craft.blackbox.images.selection import Selected, image_sets, parser_of_sets
from craft.data.fingerprint import fingerprint
from craft.data.rgb import ImageError
from craft.files import receipts
from craft.files.atomic import RecordError
from craft.files.pixels import PixelFacts, write_pixels
from craft.runtime.command import run_command
from craft.runtime.progress import Progress

#: Images to decode before each write.
_BLOCK = 64


def decoded(pictures: Pictures, threads: int, what: str) -> Iterator[np.ndarray]:
    """Yield all pictures in blocks, uint8 (n, S, S, 3), decoded by ``threads``.

    Raises ImageError naming every unreadable file, at the end.
    """
    total, problems = len(pictures.images), []

    def read(number: int) -> np.ndarray | None:
        try:
            return pictures.read(number)
        except ImageError as error:
            problems.append(str(error))
            return None

    with ThreadPoolExecutor(threads) as pool, Progress(what, total, "images") as progress:
        for first in range(0, total, _BLOCK):
            numbers = range(first, min(first + _BLOCK, total))
            images = [image for image in pool.map(read, numbers) if image is not None]
            progress.reach(numbers.stop)
            if not problems:
                yield np.stack(images)
    if problems:
        raise ImageError("\n".join(sorted(problems)))


def _of_state(state: str, blocks: Iterator[np.ndarray], one: Selected) -> Iterator[np.ndarray]:
    """Yield the blocks; raises RecordError where the files are in another state at the end."""
    yield from blocks
    if fingerprint(one.folder, one.paths) != state:
        raise RecordError(f"images of {one.about} changed while they were decoded")


def main(arguments: Sequence[str] | None = None) -> None:
    """Decode parts of data sets for one backbone; no model is loaded."""
    # Imports open_clip, which the functions above do not need.
    from craft.blackbox.backbones.description import read_backbone

    parser = parser_of_sets("python -m craft.blackbox.images.decode", __doc__)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    backbone = read_backbone(given.backbone)
    for one in image_sets(given, parser):
        before = fingerprint(one.folder, one.paths)
        facts = PixelFacts(
            paths=one.paths,
            backbone=backbone["name"],
            dataset=one.facts["name"],
            part=one.part,
            view=one.view,
            kind=one.kind,
            manifest_sha256=one.manifest_sha256,
        )
        pictures = one.pictures(backbone["image"])
        blocks = decoded(pictures, given.threads, f"decoding of {one.about}")
        size = pictures.preprocess.size
        write_pixels(one.out, facts, size, _of_state(before, blocks, one))
        read = [given.backbone, one.manifest, *one.splits]
        receipts.write([one.out], given.receipt, read, [before])


if __name__ == "__main__":
    run_command(main)
