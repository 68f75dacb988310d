"""A portable folder's answers: the run's own on its test part, and what becomes of bad files."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from craft.apply.predict import Answers, images_of, predict
from craft.apply.tune import tune
from craft.blackbox.backbones.description import BackboneError
from craft.blackbox.text.tokenise import Prompts
from craft.blackbox.text.tower import read_tower
from craft.console.__main__ import cli
from craft.files.atomic import RecordError, read_sealed, write_sealed
from craft.files.image_features import Features
from craft.files.run_predictions import Predictions
from craft.fit.boxes import box_for
from tests.unit.tuned import Tuned

#: Methods of each kind of access, small.
METHODS = {
    "probe": (None, {}),
    "craft": ("craft", {"budget": 40, "population": 20, "intrinsic_dim": 8, "hidden": 8}),
    "lfa": ("lfa", {"iterations": 3}),  # of five crops of each image
    "coop-16": ("coop-16", {"epochs": 1}),
    "zero-shot": ("zero-shot", {}),
}
#: What the others do not show takes its time.
SHOWN = ("probe", "craft", "lfa")
CASES = [
    pytest.param(name, marks=[] if name in SHOWN else [pytest.mark.exhaustive]) for name in METHODS
]


@pytest.fixture(scope="module", params=CASES)
def model(request: pytest.FixtureRequest, by_default: Tuned, tmp_path_factory) -> Tuned:
    method, options = METHODS[request.param]
    if method is None:
        return by_default
    return by_default.by(method, tmp_path_factory.mktemp("models") / request.param, **options)


@pytest.fixture(scope="module")
def whole(model: Tuned) -> Answers:
    """Answers to the whole test part."""
    return predict(model.out, model.tested, cores=2)


def test_the_whole_test_part_gets_the_runs_own_answers_bit_for_bit(
    model: Tuned, whole: Answers
) -> None:
    own = Predictions.read(model.run / "predictions.safetensors").labels["photos"][-1]
    np.testing.assert_array_equal(whole.probabilities.argmax(axis=1), own)
    prompts = Prompts.read(model.results / "prompts/mini-rn/photos.json")
    learner = model.model.restore(model.out, torch.device("cpu"))
    tokens, *others = prompts.spoken(learner.prompts)
    assert not others
    tower = read_tower(model.results / "backbones/mini-rn/text.safetensors", tokens)
    features = Features.read(model.results / "features/mini-rn/photos/test.safetensors")
    uploads = {"test": torch.from_numpy(features.features)}
    logits = learner.predict(box_for(learner, tower, uploads, 12), "test")
    np.testing.assert_array_equal(whole.probabilities, logits.softmax(dim=1).numpy())


def test_any_other_selection_gets_the_same_labels_within_rounding(
    model: Tuned, whole: Answers
) -> None:
    chosen = [7, 0, 3]
    some = predict(model.out, [whole.paths[n] for n in chosen])
    alone = predict(model.out, [whole.paths[7]])
    for answers, numbers in ((some, chosen), (alone, [7])):
        expected = whole.probabilities[numbers]
        np.testing.assert_allclose(answers.probabilities, expected, rtol=0, atol=1e-4)
        assert (answers.probabilities.argmax(axis=1) == expected.argmax(axis=1)).all()


def test_bad_files_are_named_and_left_out(by_default: Tuned, tmp_path: Path) -> None:
    good = by_default.tested[:3]
    cut = tmp_path / "cut.png"
    cut.write_bytes(good[0].read_bytes()[:200])
    given = [str(path) for path in (good[0], cut, good[1], tmp_path / "missing.jpg", good[2])]
    done = CliRunner().invoke(cli, ["predict", str(by_default.out), *given, "--json"])
    assert done.exit_code == 1
    assert [each["path"] for each in json.loads(done.stdout)] == [given[0], given[2], given[4]]
    skipped = [line for line in done.stderr.splitlines() if line.startswith("skipped: ")]
    assert len(skipped) == 2 and "cut.png" in skipped[0] and "missing.jpg" in skipped[1]


def test_only_bad_files_are_no_answer_at_all(by_default: Tuned, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    arguments = ["predict", str(by_default.out), str(tmp_path / "text.png"), "--json"]
    done = CliRunner().invoke(cli, arguments)
    assert (done.exit_code, json.loads(done.stdout)) == (1, [])


def test_a_table_holds_the_best_classes_of_each_image(by_default: Tuned, tmp_path: Path) -> None:
    folder, listed = by_default.task.images / "star", tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, images_of([folder]))))
    arguments = ["predict", str(by_default.out), "--list", str(listed), "--top", "2"]
    done = CliRunner().invoke(cli, [*arguments, "--csv", str(tmp_path / "table.csv")])
    assert done.exit_code == 0, done.output
    with (tmp_path / "table.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows[::2]] == [str(path) for path in images_of([folder])]
    assert [row["rank"] for row in rows] == ["1", "2"] * (len(rows) // 2)
    best, second = ([float(row["probability"]) for row in rows[n::2]] for n in (0, 1))
    assert all(1 >= p >= q >= 0 and p + q <= 1.000001 for p, q in zip(best, second, strict=True))
    assert sum(row["class"] == "star" for row in rows[::2]) > len(best) / 2


def test_a_folder_gives_its_images_by_path_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "a.png", ".hidden/c.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    found = [path.relative_to(tmp_path).as_posix() for path in images_of([tmp_path])]
    assert found == ["a.png", "b/1.png", "b/2.JPG"]
    with pytest.raises(FileNotFoundError, match="expected images"):
        images_of([tmp_path / "empty"])


# --- what is refused ---


@pytest.fixture
def copied(by_default: Tuned, tmp_path: Path) -> Path:
    return Path(shutil.copytree(by_default.out, tmp_path / "copied"))


def test_a_learner_that_was_edited_is_refused(by_default: Tuned, copied: Path) -> None:
    content = (copied / "learner.safetensors").read_bytes()
    (copied / "learner.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RecordError, match=r"learner\.safetensors: expected SHA-256"):
        predict(copied, by_default.tested)


def test_a_description_that_was_edited_is_refused(by_default: Tuned, copied: Path) -> None:
    content = (copied / "model.json").read_text()
    (copied / "model.json").write_text(content.replace('"reading": "shown"', '"reading": "stored"'))
    with pytest.raises(RecordError, match="it was edited"):
        predict(copied, by_default.tested)


def test_weights_of_another_digest_are_refused(by_default: Tuned, copied: Path) -> None:
    other = Path("config/backbones/mini-vit.safetensors").absolute()
    with pytest.raises(BackboneError, match="pins"):
        predict(copied, by_default.tested, weights=other)


def test_a_foreign_learner_is_imported_with_consent_alone(
    by_default: Tuned, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copied.parent / "foreign.py").write_text(
        "from craft.learner.probe import Probe\n\n\nclass Foreign(Probe):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(copied.parent))
    content = read_sealed(copied / "model.json") | {"learner": "foreign:Foreign"}
    write_sealed(copied / "model.json", content)
    with pytest.raises(ValueError, match="--trust-code"):
        predict(copied, by_default.tested)
    (alone,) = by_default.tested[:1]
    trusted, own = (
        predict(folder, [alone], trust_code=True) for folder in (copied, by_default.out)
    )
    np.testing.assert_array_equal(trusted.probabilities, own.probabilities)


# --- other boxes ---


def test_a_learner_of_visual_prompts_predicts_as_its_run_did(
    by_default: Tuned, tmp_path: Path
) -> None:
    small = {"budget": 20, "population": 10, "intrinsic_dim": 8, "hidden": 8, "curve_points": 1}
    visual = {"visual_tokens": 2, "visual_dim": 8}
    task = replace(
        by_default.task, backbone="mini-vit", method="craft", options=small | visual, shots=2
    )
    work, out = tmp_path / "work", tmp_path / "model"
    tuned = Tuned(task, work, out, tune(task, out, work=work))
    assert tuned.model.access == "visual-prompts"
    answers = predict(out, tuned.tested, cores=2)
    own = Predictions.read(tuned.run / "predictions.safetensors").labels["photos"][-1]
    np.testing.assert_array_equal(answers.probabilities.argmax(axis=1), own)
    alone = predict(out, tuned.tested[3:4])
    np.testing.assert_allclose(alone.probabilities, answers.probabilities[3:4], rtol=0, atol=1e-4)
