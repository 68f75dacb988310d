"""A run of BlackVIP by the command: what it is given, counts and writes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from craft.files.atomic import RecordError
from craft.files.image_features import Features
from craft.files.records import RunRecord
from craft.files.suite import JobRun
from craft.fit.__main__ import main
from craft.learner.base import Learner
from tests.unit.small_images import BLACKVIP, image_arguments, write_decoded, write_image_inputs
from tests.unit.small_model import CLASSES, PER_CLASS, RUN_FOLDER, arguments, features


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_image_inputs(tmp_path)
    return tmp_path


def fit(files: Path, out: str = "out", **options: object) -> tuple[RunRecord, Path]:
    run = JobRun(1, 1, BLACKVIP | options, ("toy", "s"))
    given = image_arguments(files, "blackvip:BlackVIP", run)
    main([*given, "--out", str(files / out)])
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
            write_decoded(files / f"{name}.safetensors", replace(features("test"), view=3))
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
