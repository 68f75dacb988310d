"""Fits that prompt images, through the command: what they read, ask for, record and refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from craft.blackbox.images.vision_weights import VisionWeights
from craft.files.atomic import RecordError
from craft.files.pixels import Pixels, write_pixels
from craft.files.records import RunRecord
from craft.files.suite import JobRun
from craft.fit.__main__ import main
from tests.unit.small_images import SIZE, image_arguments, write_image_inputs
from tests.unit.small_model import CLASSES, OPTIONS, PER_CLASS, RUN_FOLDER, WIDTH

#: Two shots of each of four classes.
IMAGES, TESTED = 2 * CLASSES, 2 * CLASSES * PER_CLASS
VISUAL = {"visual_tokens": 2, "visual_dim": 3, "curve_points": 0}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_image_inputs(tmp_path)
    return tmp_path


@pytest.fixture
def fit(files: Path) -> Callable[..., Path]:
    def run(name="yu:Yu", out="out", without=(), **options) -> Path:
        cell = JobRun(2, 1, OPTIONS | VISUAL | options, ("toy", "s"))
        given = image_arguments(files, name, cell)
        for flag in without:
            first = given.index(flag)
            last = next((n for n in range(first + 1, len(given)) if given[n][:2] == "--"), None)
            del given[first:last]
        main([*given, "--out", str(files / out)])
        return files / out / RUN_FOLDER.format(2, 1)

    return run


@pytest.mark.parametrize(
    ("name", "options", "search", "refine"),
    [
        ("yu:Yu", {}, 80 * IMAGES, 0),
        ("yu:Yu", {"search_folds": 2, "context_rule": "mean"}, 80 * IMAGES // 2, 0),
        ("collaborative:Collaborative", {}, 80 * IMAGES, 4 * IMAGES),
    ],
)
def test_every_encoding_is_recorded(fit, name, options, search, refine) -> None:
    folder = fit(name, **options)
    record = RunRecord.read(folder / "record.json")
    assert record.access == "visual-prompts"
    folds = IMAGES if "search_folds" in options else 0  # uploads of their own
    uploaded = IMAGES + folds + TESTED
    # At the end the test images, and the shots.
    spent = {"upload": uploaded, "search": search, "refine": refine, "evaluate": TESTED + IMAGES}
    assert record.images == spent
    assert record.queries["search"] == 80
    assert {"image-tower", "pixels/train", "pixels/test/toy", "pixels/test/s"} <= {*record.inputs}
    learned = load_file(folder / "learner.safetensors")
    assert learned["visual"].shape == (1, 2, 8)
    tokens = 8 if name == "yu:Yu" else 2
    assert learned["offset"].shape == (1, tokens, WIDTH)


def test_equal_fits_have_equal_bytes_and_pixels_decide_them(fit, files) -> None:
    first, second = (fit(out=out) / "learner.safetensors" for out in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    path = files / "train-pixels.safetensors"
    pixels = Pixels.read(path)
    write_pixels(path, pixels.facts, SIZE, [255 - pixels.all().read(slice(None))])
    assert (fit(out="three") / "learner.safetensors").read_bytes() != first.read_bytes()


def test_without_tokens_a_fit_has_the_bytes_of_one_that_cannot_prompt(fit) -> None:
    options = {"visual_tokens": 0}
    name = "collaborative:Collaborative"
    flags = ("--image-tower", "--train-pixels", "--test-pixels")
    with_images, without = fit(name, "one", **options), fit(name, "two", flags, **options)
    for file in ("learner.safetensors", "history.csv", "predictions.safetensors"):
        assert (with_images / file).read_bytes() == (without / file).read_bytes()


@pytest.mark.parametrize("flag", ["--image-tower", "--train-pixels", "--test-pixels"])
def test_a_fit_that_lacks_what_it_prompts_says_so(fit, flag) -> None:
    with pytest.raises(ValueError, match="a fit that has images encoded: expected"):
        fit(without=(flag,))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        (
            "train",
            {"backbone": "other"},
            "pixels of backbone other, beside files of .* small",
        ),
        ("test", {"dataset": "other"}, "pixels of data set other, beside files of data set toy"),
        ("train", {"part": "test"}, "pixels of part test, beside files of part train"),
        ("test", {"manifest_sha256": "n"}, r"pixels of manifest \(SHA-256\) n, beside"),
    ],
)
def test_pixels_that_do_not_belong_are_refused(fit, files, name, change, said) -> None:
    path = files / f"{name}-pixels.safetensors"
    pixels = Pixels.read(path)
    write_pixels(path, replace(pixels.facts, **change), SIZE, [pixels.all().read(slice(None))])
    with pytest.raises(RecordError, match=rf"{name}-pixels\.safetensors: {said}"):
        fit()


def test_an_image_tower_of_other_weights_is_refused(fit, files) -> None:
    path = files / "image.safetensors"
    VisionWeights.read(path).write(path, {"weights_sha256": "v"})
    with pytest.raises(RecordError, match=r"image\.safetensors: tower of weights .* v, beside"):
        fit()
