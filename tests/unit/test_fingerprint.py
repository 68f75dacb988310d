"""State of image files on disk: what changes it, and what does not."""

import os
from pathlib import Path

import pytest

from craft.data.fingerprint import current_images, fingerprint
from craft.files.datasets import Image, Manifest, Split

PATHS = [f"folder {n % 3}/{n}.png" for n in range(2500)]  # more than one thread looks up
FACTS = {"kind": "image_list"}


@pytest.fixture
def tree(tmp_path):
    for path in PATHS:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(b"content")
    return tmp_path


def replace(path, content):
    """Other content, and the old time of change."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", ["size", "time", "missing"])
@pytest.mark.parametrize("number", [0, 1234, 2499])
def test_one_changed_file_changes_the_fingerprint(tree, number, change):
    before, path = fingerprint(tree, PATHS), tree / PATHS[number]
    if change == "size":
        replace(path, b"more content")
    elif change == "time":
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    else:
        path.unlink()
    assert fingerprint(tree, PATHS) != before


def test_neither_order_nor_place_nor_other_files_change_it(tree, tmp_path_factory):
    before = fingerprint(tree, PATHS)
    (tree / "other.png").write_bytes(b"")
    assert fingerprint(tree, reversed(PATHS)) == before
    moved = tmp_path_factory.mktemp("moved") / "tree"
    tree.rename(moved)
    assert fingerprint(moved, PATHS + PATHS[:3]) == before


@pytest.fixture
def listed(tree):
    """A manifest of two training images and one test image, and a split of one."""
    parts = dict(zip(PATHS[:3], ("train", "train", "test"), strict=True))
    Manifest(tuple(Image(path, 0, "a", part) for path, part in parts.items())).write(tree / "m.csv")
    Split("toy", 1, 1, (PATHS[1],), (0,), ("a",)).write(tree / "s.json")
    return tree


def current(tree: Path, part: str, *splits: str) -> str | None:
    return current_images(FACTS, tree, tree / "m.csv", part, [tree / name for name in splits])


def test_the_images_of_a_part_or_of_splits_count(listed):
    assert current(listed, "train") == fingerprint(listed, PATHS[:2])
    assert current(listed, "test") == fingerprint(listed, PATHS[2:3])
    assert current(listed, "train", "s.json") == fingerprint(listed, PATHS[1:2])


def test_a_manifest_or_split_that_is_to_be_made_tells_nothing(listed):
    assert current(listed, "train", "other.json") is None
    (listed / "s.json").write_text("{")
    assert current(listed, "train", "s.json") is None
    (listed / "m.csv").write_text("no,manifest\n1,2\n")
    assert current(listed, "test") is None
    (listed / "m.csv").unlink()
    assert current(listed, "test") is None
