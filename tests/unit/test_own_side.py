"""A run of BlackVIP by the command: what it is given, counts and writes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file

from craft.blackbox.images.vision_weights import VisionWeights
from craft.files.atomic import RecordError
from craft.files.pixels import PixelFacts, write_pixels
from craft.files.records import Features, RunRecord
from craft.files.suite import JobRun
from craft.fit.__main__ import main
from craft.learner.base import Learner
from tests.unit.small_model import (
    CLASSES,
    EMBED,
    PER_CLASS,
    RUN_FOLDER,
    arguments,
    features,
    write_inputs,
)

OPTIONS = {
    "encoder": "encoder",
    "trigger": 8,  # 8 numbers of a code and these: 4 x 2 x 2
    "channels": "4",
    "repeats": 2,
    "batch_size": 4,
    "steps": 6,
}
SIZE, IMAGE = 8, {"size": 8, "mean": [0.5, 0.5, 0.5], "std": [0.3, 0.2, 0.1]}


def decoded(path: Path, of: Features) -> None:
    shape = (len(of.paths), SIZE, SIZE, 3)
    rng = np.random.default_rng([len(of.paths), len(of.part), of.view])
    facts = {key: getattr(of, key) for key in PixelFacts.__dataclass_fields__}
    write_pixels(path, PixelFacts(**facts), SIZE, [rng.integers(0, 256, shape, dtype=np.uint8)])


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The inputs of small_model.py, an image tower, pixels and codes of every image."""
    write_inputs(tmp_path)
    torch.manual_seed(0)
    vision = {"layers": 1, "width": 8, "head_width": 4, "patch_size": 4, "image_size": SIZE}
    text = {"context_length": 16, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.CLIP(EMBED, vision, text).eval().requires_grad_(False)
    weights = VisionWeights.from_model(model, IMAGE)
    weights.write(tmp_path / "image.safetensors", {"weights_sha256": "w"})
    for name, made in (
        ("train", features("train")),
        ("crop", features("train", view=1, kind="crop")),
        ("test", features("test")),
        ("shifted", features("test", dataset="s", classes=(1, 3))),
    ):
        decoded(tmp_path / f"{name}-pixels.safetensors", made)
        made.write(tmp_path / f"{name}.safetensors")
        codes = replace(made, backbone="encoder", weights_sha256="e", norms=made.norms * 2)
        codes.write(tmp_path / f"{name}-codes.safetensors")
    return tmp_path


def given(files: Path, **options: object) -> list[str]:
    run = JobRun(1, 1, OPTIONS | options, ("toy", "s"))
    found = arguments(files, "blackvip:BlackVIP", run)
    train = found.index("--train")
    found[train + 1 : train + 3] = [f"{files}/train.safetensors", f"{files}/crop.safetensors"]
    pixels = [f"{files}/{name}-pixels.safetensors" for name in ("train", "crop")]
    tested = [f"{n}={files}/{f}-pixels.safetensors" for n, f in (("toy", "test"), ("s", "shifted"))]
    found += ["--image-tower", f"{files}/image.safetensors", "--train-pixels", *pixels]
    codes = [f"{files}/{name}-codes.safetensors" for name in ("train", "crop", "test", "shifted")]
    return [*found, "--test-pixels", *tested, "--codes", *codes]


def fit(files: Path, out: str = "out", **options: object) -> tuple[RunRecord, Path]:
    main([*given(files, **options), "--out", str(files / out)])
    folder = files / out / RUN_FOLDER.format(1, 1)
    return RunRecord.read(folder / "record.json"), folder


def test_a_run_states_access_queries_and_encodings(files: Path) -> None:
    record, folder = fit(files)
    images = CLASSES * PER_CLASS
    assert record.access == "uploads"
    # The untouched context; then an upload for each test set, and for the training images.
    assert record.queries == {"search": 24, "refine": 0, "evaluate": 1 + 3}
    # Of the training images alone there is an upload for good.
    encoded = {"upload": CLASSES, "search": 24 * CLASSES, "refine": 0}
    assert record.images == encoded | {"evaluate": 2 * images + CLASSES}
    assert {"codes/train", "codes/test/toy", "codes/test/s", "pixels/train"} <= set(record.inputs)
    assert "codes/train-crop-1" not in record.inputs
    state = load_file(folder / "learner.safetensors")
    assert state["coordinator.trigger"].shape == (8,)
    assert (folder / "history.csv").read_text().count("\n") == 1 + 6


def test_equal_runs_are_equal_and_codes_and_pixels_decide(files: Path) -> None:
    first, again = (fit(files, out)[0] for out in ("first", "again"))
    assert first.files == again.files and first.inputs == again.inputs
    for name, key in (("train-codes", "codes/train"), ("test-pixels", "pixels/test/toy")):
        kept = (files / f"{name}.safetensors").read_bytes()
        if "codes" in name:
            found = Features.read(files / f"{name}.safetensors")
            replace(found, norms=found.norms * 3).write(files / f"{name}.safetensors")
        else:
            decoded(files / f"{name}.safetensors", replace(features("test"), view=3))
            changed = bytearray((files / f"{name}.safetensors").read_bytes())
            (files / f"{name}.safetensors").write_bytes(changed.replace(b'"view": 3', b'"view": 0'))
        other, _ = fit(files, name)
        assert other.inputs[key] != first.inputs[key]
        assert other.files["predictions.safetensors"] != first.files["predictions.safetensors"]
        (files / f"{name}.safetensors").write_bytes(kept)


def test_crops_are_taken_with_their_own_codes(files: Path) -> None:
    plain, _ = fit(files, "plain")
    crops, _ = fit(files, "crops", crops=1)
    assert crops.inputs.keys() - plain.inputs.keys() == {
        "train-crop-1",
        "pixels/train-crop-1",
        "codes/train-crop-1",
    }
    assert crops.files != plain.files


def test_a_learner_that_asks_for_no_codes_is_given_none(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    whole = Learner.predict
    monkeypatch.setattr(
        Learner, "predict", lambda self, *a, **k: (seen.append(k), whole(self, *a, **k))[1]
    )
    run = JobRun(1, 1, {"budget": 20, "population": 20, "intrinsic_dim": 4}, ("toy",))
    main([*arguments(files, "prompt_only:PromptOnly", run), "--out", str(files / "o")])
    assert seen and not any(seen)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "another"}, "expected those of train by encoder, got .*another"),
        ({"manifest_sha256": "x"}, "manifest x, beside images of manifest m"),
        ({"dataset": "pets"}, "data set pets"),
        ({"paths": tuple(f"o/{n}.png" for n in range(CLASSES * PER_CLASS))}, "images of the split"),
    ],
)
def test_codes_of_other_images_are_refused(change: dict, said: str, files: Path) -> None:
    path = files / "train-codes.safetensors"
    replace(Features.read(path), **change).write(path)
    with pytest.raises((RecordError, ValueError), match=said):
        fit(files)


def test_a_decoder_of_another_size_is_refused_before_the_first_step(files: Path) -> None:
    with pytest.raises(ValueError, match="channels: expected"):
        fit(files, channels="8,4,4,4")
    with pytest.raises(ValueError, match="trigger: expected"):
        fit(files, trigger=9)
