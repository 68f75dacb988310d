"""Decoded images on disk: the pixels that features are made of, read by rows."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file

from craft.files.atomic import RecordError, write_tensors
from craft.files.pixels import PixelFacts, Pixels, write_pixels

PATHS = tuple(f"{n}.png" for n in range(5))
FACTS = PixelFacts(PATHS, "small", "toy", "train", 2, "crop", "m")
IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    write_pixels(tmp_path / "p.safetensors", FACTS, 4, iter([IMAGES[:3], IMAGES[3:]]))
    return tmp_path / "p.safetensors"


def test_what_was_written_by_blocks_is_read_by_rows(path):
    pixels = Pixels.read(path)
    assert pixels.facts == FACTS
    assert (pixels.size, pixels.facts.copy) == (4, "crop-2")
    chosen = pixels.of(["3.png", "0.png", "3.png"])
    assert len(chosen) == 3
    assert np.array_equal(chosen.read(slice(0, 2)), IMAGES[[3, 0]])
    assert np.array_equal(chosen.read(np.array([2, 1])), IMAGES[[3, 0]])
    assert np.array_equal(pixels.all().read(slice(1, 9)), IMAGES[1:])


def test_the_file_is_safetensors(path):
    assert np.array_equal(load_file(path)["pixels"], IMAGES)


def test_images_are_on_disk_until_they_are_read(path):
    assert isinstance(Pixels.read(path)._images, np.memmap)
    assert not isinstance(Pixels.read(path).all().read(slice(0, 1)), np.memmap)


@pytest.mark.parametrize(
    "blocks", [[IMAGES[:3]], [IMAGES, IMAGES[:1]], [IMAGES.astype(np.float32)]]
)
def test_images_that_do_not_fit_the_facts_leave_no_file(tmp_path, blocks):
    with pytest.raises(ValueError, match="pixels: expected"):
        write_pixels(tmp_path / "p.safetensors", FACTS, 4, iter(blocks))
    assert not list(tmp_path.iterdir())


def test_an_image_that_is_not_there_is_named(path):
    with pytest.raises(RecordError, match=r"9\.png"):
        Pixels.read(path).of(["1.png", "9.png"])


@pytest.mark.parametrize(
    "array", [np.zeros((5, 4, 4, 3), np.float32), np.zeros((5, 4, 6, 3), np.uint8)]
)
def test_foreign_images_are_refused(tmp_path, array):
    write_tensors(tmp_path / "p.safetensors", {"pixels": array}, vars(FACTS))
    with pytest.raises(RecordError, match="expected uint8"):
        Pixels.read(tmp_path / "p.safetensors")


def test_a_file_that_was_cut_short_is_refused(path):
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RecordError, match=r"p\.safetensors"):
        Pixels.read(path)
