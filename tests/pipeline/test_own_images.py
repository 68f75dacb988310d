"""The worked example of docs/your-own-data.md, on images made here."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from craft.apply.single_run import Task
from craft.apply.tune import tune
from craft.files.datasets import Manifest
from craft.files.image_features import Features
from craft.files.records import LEARNER_FILE, RUN_FILES
from tests.pipeline.conftest import ROOT, SHELL, Checkout

PAGE = (ROOT / "docs/your-own-data.md").read_text(encoding="utf-8")
SHAPES = {
    "circle": lambda draw, box: draw.ellipse(box, fill="red"),
    "square": lambda draw, box: draw.rectangle(box, fill="blue"),
    "star": lambda draw, box: draw.regular_polygon((24, 20, 14), 3, fill="green"),
    SHELL: lambda draw, box: draw.rectangle((4, 16, 44, 24), fill="yellow"),
}


def command() -> list[str]:
    """Arguments of the page's one command."""
    (line,) = re.findall(r"^    snakemake (.*)$", PAGE, re.M)
    return shlex.split(line)


def photograph(shape: str, number: int) -> Image.Image:
    """A shape on a page of its own shade, 48 x 40; the third lies on its side and says so."""
    image = Image.new("RGB", (48, 40), (200 + 10 * number,) * 3)
    SHAPES[shape](ImageDraw.Draw(image), (10 + number, 6, 36 + number, 32))
    return image


@pytest.fixture(scope="module")
def described(checkout: Checkout) -> Path:
    """A checkout with the images and the two files of the page."""
    for content, path in re.findall(r"^```yaml\n(# (\S+\.yaml)\n.*?)^```", PAGE, re.M | re.S):
        (checkout.folder / path).write_text(content)
    exif = Image.Exif()
    exif[0x0112] = 6
    for shape in SHAPES:
        for part, count in (("train", 4), ("test", 3)):
            folder = checkout.folder / "photos" / part / shape
            folder.mkdir(parents=True)
            for number in range(count):
                image = photograph(shape, number)
                if number == 2:
                    image.transpose(Image.Transpose.ROTATE_90).save(
                        folder / f"{number}.jpg", exif=exif, quality=95
                    )
                else:
                    image.save(folder / f"{number}.jpg", quality=95)
    return checkout.folder


def test_what_is_wrong_is_told_before_any_work(checkout: Checkout, described: Path) -> None:
    image = described / "photos/train/star/3.jpg"
    content = image.read_bytes()
    try:
        image.unlink()
        output = checkout.snakemake(*command(), "-n", succeeds=False)
        assert "classes with fewer training images than 4 shots: star (3)" in output
        image.write_bytes(content[:300])
        output = checkout.snakemake(*command(), succeeds=False)
        assert "1 images cannot be read" in output and "star/3.jpg: cannot be decoded" in output
        assert "rule encode_images" not in output
    finally:
        image.write_bytes(content)


def test_the_example_ends_in_a_table(checkout: Checkout, described: Path) -> None:
    checkout.snakemake(*command())
    results = described / "results/own"
    table = (results / "architectures.md").read_text()
    assert "mine" in table and "ZS-CLIP" in table and "CraFT" in table
    with (results / "architectures.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["column"] == "mine"]
    assert all(row["seeds"] == row["expected"] and row["mean"] for row in rows) and len(rows) == 2
    manifest = Manifest.read(results / "manifests/mine.csv")
    assert {p: len(manifest.part(p)) for p in ("train", "val", "test")} == {
        "train": 16,
        "val": 0,
        "test": 12,
    }
    assert SHELL in manifest.class_names().values()
    assert not [*described.rglob("pwned")]
    assert checkout.plan(*command()) == {}


def test_craft_tune_ends_in_the_bytes_of_the_suite(described: Path, tmp_path: Path) -> None:
    task = Task(
        images=described / "photos",
        name="mine",
        backbone="mini-rn",
        method="craft",
        options={},
        shots=4,
        seed=1,
        template="a photo of a {}.",
        base=described / "config/own.yaml",
    )
    tune(task, tmp_path / "model", work=tmp_path / "work")
    run = "results/{}/craft/mini-rn/mine/shots-4/seed-1"
    ours, suites = tmp_path / "work" / run.format("runs"), described / run.format("own/runs")
    for name in RUN_FILES:
        assert (ours / name).read_bytes() == (suites / name).read_bytes(), name
    learner = (tmp_path / "model" / LEARNER_FILE).read_bytes()
    assert learner == (suites / LEARNER_FILE).read_bytes()


def test_a_photograph_that_lies_on_its_side_is_as_good_as_one_that_stands(described: Path) -> None:
    path = described / "results/own/features/mini-rn/mine/train.safetensors"
    features = Features.read(path)
    alike = features.features @ features.features.T
    stands, lies = features.rows(["train/circle/1.jpg", "train/circle/2.jpg"])
    assert alike[stands, lies] > 0.95
    assert np.median(alike) < alike[stands, lies]


def test_images_that_changed_are_encoded_again(checkout: Checkout, described: Path) -> None:
    path = described / "results/own/features/mini-rn/mine/test.safetensors"
    before = Features.read(path)
    circle, square, star = (f"test/{shape}/0.jpg" for shape in ("circle", "square", "star"))
    contents = {name: (described / "photos" / name).read_bytes() for name in (circle, square)}
    (described / "photos" / circle).write_bytes(contents[square])
    (described / "photos" / square).write_bytes(contents[circle])
    shutil.rmtree(described / ".snakemake")  # the results themselves say what they are made from
    plan = checkout.plan(*command())
    assert (
        plan["encode_images"] == 1 and plan["make_table"] >= 1
    )  # the training images are the same
    checkout.snakemake(*command())
    after = Features.read(path)
    found = after.features[after.rows([circle, square, star])]
    np.testing.assert_array_equal(found, before.features[before.rows([square, circle, star])])
    assert checkout.plan(*command()) == {}


def test_a_change_to_the_text_towers_encodes_no_image_again(
    checkout: Checkout, described: Path
) -> None:
    module = described / "craft/blackbox/text/prefix_sharing.py"
    before = module.read_text()
    try:
        module.write_text(before + "\n_ANOTHER = 1\n")
        plan = checkout.plan(*command())
    finally:
        module.write_text(before)
    assert "encode_images" not in plan
    assert plan["export_text_tower"] == 1 and plan["make_table"] >= 1
