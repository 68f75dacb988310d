"""A run as a portable folder: what is in it, and which runs are refused."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from huggingface_hub import ModelCard
from PIL import Image

from craft.apply.confusion import confusion, write_evaluation
from craft.apply.export import export
from craft.apply.tuned_model import TunedModel
from craft.console.__main__ import cli
from craft.files.atomic import RecordError, read_sealed, write_sealed
from craft.files.folder import replacing_folder
from craft.files.records import RunRecord, Score
from tests.unit.tuned import Tuned

FILES = {
    *("README.md", "model.json", "learner.safetensors"),
    *("per_class.csv", "confusion.csv", "confusion.png"),
}


@pytest.fixture
def results(by_default: Tuned, tmp_path: Path) -> Path:
    """A copy of the suite's results that a test may change."""
    return Path(shutil.copytree(by_default.results, tmp_path / "elsewhere" / "results"))


def run_in(results: Path, tuned: Tuned) -> Path:
    return results / tuned.run.relative_to(tuned.results)


def test_a_moved_run_becomes_the_same_folder_by_the_command(
    by_default: Tuned, results: Path, tmp_path: Path
) -> None:
    arguments = ["export", str(run_in(results, by_default)), "--out", str(tmp_path / "model")]
    done = CliRunner().invoke(cli, [*arguments, "--directory", str(by_default.work)])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES
    for name in FILES:
        assert (tmp_path / "model" / name).read_bytes() == (by_default.out / name).read_bytes()


def test_the_folder_says_what_the_record_and_the_score_say(by_default: Tuned) -> None:
    record = RunRecord.read(by_default.run / "record.json")
    score = Score.read(by_default.run / "score.json")
    model = TunedModel.read(by_default.out)
    assert (model.queries, model.options) == (record.queries, record.options)
    assert model.accuracy == score.accuracy["photos"][-1]
    zero = by_default.results / "runs/zero-shot/mini-rn/photos/shots-0/seed-0/score.json"
    assert model.zero_shot_accuracy == Score.read(zero).accuracy["photos"][-1]
    assert model.backbone["sha256"] and model.prompts[0].template == "a photo of a {}."
    with (by_default.out / "per_class.csv").open(newline="") as stream:
        found = {row["class"]: float(row["accuracy"]) for row in csv.DictReader(stream)}
    assert found == pytest.approx(score.class_accuracy["photos"], abs=0.005)


def test_the_card_has_the_metadata_that_a_hub_reads(by_default: Tuned) -> None:
    data = ModelCard.load(by_default.out / "README.md").data
    assert (data.pipeline_tag, data.library_name) == ("image-classification", "craft")
    (result,) = data.eval_results
    assert result.metric_type == "accuracy" and result.dataset_split == "test"
    assert result.metric_value == pytest.approx(by_default.model.accuracy, abs=0.005)


def test_nothing_in_the_folder_names_a_place_on_this_machine(by_default: Tuned) -> None:
    for path in by_default.out.iterdir():
        content = path.read_bytes()
        assert str(by_default.work.parent).encode() not in content
        assert str(Path.home()).encode() + b"/" not in content


# --- what is refused ---


def test_a_folder_that_is_no_runs_is_refused(by_default: Tuned, tmp_path: Path) -> None:
    shutil.copytree(by_default.run, tmp_path / "run")
    with pytest.raises(RecordError, match="expected the folder of a run"):
        export(tmp_path / "run", tmp_path / "model", by_default.work)
    assert not (tmp_path / "model").exists()


def test_a_learner_that_codes_images_by_another_encoder_is_refused(
    by_default: Tuned, results: Path, tmp_path: Path
) -> None:
    run = run_in(results, by_default)
    record = read_sealed(run / "record.json")
    record |= {"learner": "craft.learner.blackvip:BlackVIP", "options": {}, "access": "uploads"}
    write_sealed(run / "record.json", record)
    score = read_sealed(run / "score.json")
    write_sealed(run / "score.json", score | {"record": record})
    with pytest.raises(RecordError, match="expected a learner without an encoder of"):
        export(run, tmp_path / "model", by_default.work)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    "name",
    [
        "backbones/mini-rn/text.safetensors",
        "prompts/mini-rn/photos.json",
        "manifests/photos.csv",
    ],
)
def test_files_that_the_run_was_not_made_from_are_refused(
    by_default: Tuned, results: Path, tmp_path: Path, name: str
) -> None:
    content = (results / name).read_bytes()
    (results / name).write_bytes(content + b"\n")
    with pytest.raises(RecordError, match=re.escape(f"{results / name}: expected SHA-256")):
        export(run_in(results, by_default), tmp_path / "model", by_default.work)
    assert not (tmp_path / "model").exists()


def test_a_run_without_its_own_score_is_refused(
    by_default: Tuned, results: Path, tmp_path: Path
) -> None:
    run = run_in(results, by_default)
    score = read_sealed(run / "score.json")
    write_sealed(run / "score.json", score | {"record": score["record"] | {"seed": 2}})
    with pytest.raises(RecordError, match="expected the score of this run"):
        export(run, tmp_path / "model", by_default.work)
    (run / "score.json").unlink()
    with pytest.raises(RecordError, match="expected the score of the run"):
        export(run, tmp_path / "model", by_default.work)


def test_a_folder_of_something_else_is_not_replaced(by_default: Tuned, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/dear.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="expected a new folder"):
        export(by_default.run, tmp_path / "letters", by_default.work)
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]
    assert (tmp_path / "letters/dear.txt").read_text() == "dear"


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "model"
    for content, fails in (("old", False), ("half", True), ("new", False)):
        try:
            with replacing_folder(place, "mark") as folder:
                (folder / "mark").write_text(content)
                if fails:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            assert (place / "mark").read_text() == "old"
    assert (place / "mark").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# --- confusion ---


def test_rows_of_the_confusion_are_classes_and_columns_answers(tmp_path: Path) -> None:
    labels, predicted = np.array([0, 0, 2, 2, 2]), np.array([0, 1, 2, 2, 0])
    counts = confusion(labels, predicted, 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [0, 0, 0], [1, 0, 2]])
    names = ["$a_1", "b, c", "d" * 40]
    write_evaluation(tmp_path, counts, names)
    with (tmp_path / "confusion.csv").open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["class", *names] and [row[0] for row in rows] == names
    assert [[int(n) for n in row[1:]] for row in rows] == counts.tolist()
    with (tmp_path / "per_class.csv").open(newline="") as stream:
        accuracies = [row["accuracy"] for row in csv.DictReader(stream)]
    assert accuracies == ["50.00", "", "66.67"]
    with Image.open(tmp_path / "confusion.png") as image:
        assert image.format == "PNG" and min(image.size) > 300


def test_a_thousand_classes_are_drawn_without_their_names(tmp_path: Path) -> None:
    write_evaluation(tmp_path, np.eye(1000, dtype=int), [f"class {n}" for n in range(1000)])
    with Image.open(tmp_path / "confusion.png") as image:
        assert max(image.size) < 3000


# --- the hub ---


def test_a_folder_is_pushed_only_where_it_is_asked_for(
    by_default: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.hub import Hub

    with Hub() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", hub.address)
        monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
        arguments = ["export", str(by_default.run), "--out", str(tmp_path / "model")]
        arguments += ["--directory", str(by_default.work)]
        assert CliRunner().invoke(cli, arguments).exit_code == 0
        assert hub.asked == []
        done = CliRunner().invoke(cli, [*arguments, "--push", "somebody/photos"])
        assert done.exit_code == 0, done.output
    assert hub.created == [{"name": "photos", "organization": "somebody", "visibility": "private"}]
    assert set(hub.files) == FILES
    assert json.loads(hub.files["model.json"])["dataset"] == "photos"
