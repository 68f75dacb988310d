"""Scores of predictions against test labels."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from craft.evaluation import score as evaluate
from craft.files.atomic import (
    METADATA,
    RecordError,
    read_sealed,
    read_tensors,
    sha256,
    write_sealed,
)
from craft.files.datasets import Image, Manifest
from craft.files.records import RUN_FILES, RunRecord, Score
from craft.files.run_predictions import Predictions
from craft.files.suite import Job, JobRun, suite_content, write_suite

# labels 3, 1, 3, 7 of four test images; label 9 has a training image only
IMAGES = (
    Image("a.png", 3, "three", "test"),
    Image("b.png", 1, "one", "test"),
    Image("t.png", 9, "nine", "train"),
    Image("c.png", 3, "three", "test"),
    Image("v.png", 1, "one", "val"),
    Image("d.png", 7, "seven", "test"),
)


def record(**changes) -> RunRecord:
    values = {
        "method": "craft",
        "backbone": "B",
        "dataset": "D",
        "shots": 16,
        "seed": 2,
        "learner": "m:C",
        "options": {},
        "access": "predictions",
        "queries": {"search": 80, "refine": 2, "evaluate": 2},
        "train_images": 4,
        "train_accuracy": 100.0,
        "fit_seconds": 1.0,
        "predict_seconds": 0.1,
        "peak_memory_mb": 10.0,
        "learner_parameters": 3,
        "learner_bytes": 12,
        "code_hash": "c",
        "config_hash": "o",
        "inputs": {},
        "files": {},
        "versions": {"numpy": "2"},
        "started": "2024-07-21T09:00:00.000+00:00",
        "ended": "2024-07-21T09:00:01.000+00:00",
    }
    return RunRecord(**(values | changes))


#: Labels of the columns of probabilities.
CLASSES = np.array([1, 3, 7, 9], dtype=np.int32)


def predicted(labels, queries, manifests, **changes):
    """Predictions, uniform in probability."""
    rows = {name: np.array(points, dtype=np.int32) for name, points in labels.items()}
    values = {
        "queries": np.array(queries, dtype=np.int64),
        "labels": rows,
        "log_probabilities": {
            name: np.full((points.shape[-1], len(CLASSES)), -np.log(4), np.float16)
            for name, points in rows.items()
        },
        "classes": dict.fromkeys(rows, CLASSES),
        "manifests": manifests,
    }
    return Predictions(**values | changes)


def write_run(folder, labels, queries=(40, 80), predictions=None, **changes):
    """A run predicted in the order of the manifests beside its folder, D's where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    manifests = {name: folder.parent / f"{name}.csv" for name in labels}
    other = folder.parent / "D.csv"
    given = {"manifests": {n: p if p.exists() else other for n, p in manifests.items()}}
    given |= predictions or {}
    given["manifests"] = {name: sha256(path) for name, path in given["manifests"].items()}
    made = predicted(labels, queries, **given)
    made.write(folder / "predictions.safetensors")
    for name in ("learner.safetensors", "history.csv"):
        (folder / name).write_text(name)
    files = {name: sha256(folder / name) for name in RUN_FILES}
    record(**{"files": files} | changes).write(folder / "record.json")
    return folder


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "D.csv"
    Manifest(IMAGES).write(path)
    return path


def run(folder, *manifests):
    named = dict(each.split("=") for each in manifests)
    tests = {name: evaluate.TestLabels.read(name, path) for name, path in named.items()}
    evaluate.score_run(folder, tests)


def job(tmp_path, *tests):
    """Words for a job of runs of 16 shots, seeds 1, 2, ..., on these test sets, and its folders."""
    runs = tuple(JobRun(16, seed, {}, sets) for seed, sets in enumerate(tests, 1))
    made = Job("craft", "B", "D", "m:C", runs)
    write_suite(tmp_path / "jobs.json", suite_content({}, {"batch": made}))
    words = ["--suite", str(tmp_path / "jobs.json"), "--job", "batch", "--digest", made.digest]
    cell = tmp_path / "craft/B/D/shots-16"
    return [*words, "--runs", str(tmp_path)], [cell / f"seed-{run.seed}" for run in runs]


def test_runs_of_one_job_may_have_test_sets_of_their_own(tmp_path, manifest):
    words, (plain, shifted) = job(tmp_path, ("D",), ("D", "S"))
    for folder, names in ((plain, ("D",)), (shifted, ("D", "S"))):
        rows = {name: [[3, 1, 3, 7]] if name == "D" else [[3] * 4] for name in names}
        given = {"manifests": dict.fromkeys(names, manifest)}
        write_run(folder, rows, (40,), given, seed=int(folder.name[-1]))
    manifests = ["--manifests", f"D={manifest}", f"S={manifest}", "--scored", f"{tmp_path}/made"]
    evaluate.main([*words, *manifests])
    assert Score.read(plain / "score.json").accuracy == {"D": [100.0]}
    assert Score.read(shifted / "score.json").accuracy == {"D": [100.0], "S": [50.0]}
    scored = json.loads((tmp_path / "made").read_text())["scores"]
    assert scored["craft/B/D/shots-16/seed-2"] == sha256(shifted / "score.json")
    with pytest.raises(ValueError, match="expected that of S, got D"):
        evaluate.main([*words, *manifests[:2]])


def test_a_job_that_was_planned_otherwise_is_not_scored(tmp_path, manifest):
    words, (folder,) = job(tmp_path, ("D",))
    words[words.index("--digest") + 1] = "0" * 16
    with pytest.raises(RecordError, match="as planned"):
        evaluate.main([*words, "--manifests", f"D={manifest}"])
    assert not (folder / "score.json").exists()


def test_accuracy_is_per_cent_at_each_point(tmp_path, manifest):
    folder = write_run(tmp_path / "seed-2", {"D": [[3, 3, 1, 9], [3, 1, 3, 9]]})
    run(folder, f"D={manifest}")
    score = Score.read(folder / "score.json")
    assert score.accuracy == {"D": [25.0, 75.0]}
    assert score.queries == [40, 80]
    assert score.test_images == {"D": 4}
    assert (score.method, score.dataset, score.shots, score.seed) == ("craft", "D", 16, 2)
    assert score.record["queries"] == {"search": 80, "refine": 2, "evaluate": 2}


def test_measures_of_the_last_point_are_those_of_its_probabilities(tmp_path, manifest):
    # true labels 3, 1, 3, 7; all but the third image right, balanced (1 + 1/2 + 1) / 3
    probabilities = np.array(
        [[0.05, 0.9, 0.05, 0], [0.62, 0.3, 0.08, 0], [0.62, 0.3, 0.08, 0], [0, 0, 1, 0]]
    )
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(probabilities), -30).astype(np.float16)
    given = {"log_probabilities": {"D": logs}}
    folder = write_run(tmp_path / "seed-2", {"D": [[9] * 4, [3, 1, 1, 7]]}, predictions=given)
    run(folder, f"D={manifest}")
    found = Score.read(folder / "score.json").measures["D"]
    assert found["balanced_accuracy"] == pytest.approx(100 * 2.5 / 3)
    # bins of 0.9 (gap 0.1), 0.62 twice (one of two right, gap 0.24), and 1 (gap 0)
    assert found["expected_calibration_error"] == pytest.approx(100 * (0.1 + 0.24) / 4, abs=0.05)
    expected = -np.log([0.9, 0.62, 0.3, 1]).mean()
    assert found["negative_log_likelihood"] == pytest.approx(expected, abs=1e-3)


def test_probabilities_too_small_for_half_precision_keep_their_likelihood(tmp_path, manifest):
    logs = np.tile(np.array([-40, 0, -40, -40], dtype=np.float16), (4, 1))
    given = {"log_probabilities": {"D": logs}}
    folder = write_run(tmp_path / "seed-2", {"D": [[3] * 4]}, (40,), given)
    run(folder, f"D={manifest}")
    assert Score.read(folder / "score.json").measures["D"]["negative_log_likelihood"] == 20


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"log_probabilities": {"D": np.zeros((3, 4), np.float16)}}, "4 test images and 4 classes"),
        ({"log_probabilities": {"D": np.zeros((4, 4), np.int32)}}, "floating-point numbers"),
        ({"classes": {"D": np.array([1, 3, 5, 9], np.int32)}}, "none of label 7"),
        ({"classes": {"D": np.array([1.0, 3, 7, 9])}}, "whole numbers"),
    ],
)
def test_probabilities_that_do_not_belong_to_the_labels(tmp_path, manifest, change, said):
    folder = write_run(tmp_path / "seed-1", {"D": [[3, 1, 3, 7]]}, (40,), change)
    with pytest.raises(RecordError, match=said):
        run(folder, f"D={manifest}")
    assert not (folder / "score.json").exists()


def test_each_test_set_is_scored_by_its_own_manifest(tmp_path, manifest):
    target = tmp_path / "T.csv"
    Manifest((Image("x.png", 1, "one", "test"), Image("y.png", 7, "seven", "test"))).write(target)
    folder = write_run(tmp_path / "seed-1", {"D": [[3, 1, 3, 7]], "T": [[1, 1]]}, (40,))
    run(folder, f"D={manifest}", f"T={target}")
    assert Score.read(folder / "score.json").accuracy == {"D": [100.0], "T": [50.0]}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"D": [[3, 1, 3]]}, "4 test images"),
        ({"D": [[3, 1, 3, 7, 7]]}, "4 test images"),
        ({"D": [[3, 1, 3, 2]]}, "the first: 2"),
        ({"D": [[3, 1, 3, -1]]}, "the first: -1"),
        ({"E": [[3, 1, 3, 7]]}, "predicted on ['E']"),
        ({"D": [[3, 1, 3, 7]], "E": [[3]]}, "predicted on ['D', 'E']"),
        ({"D": [[3, 1, 3, 7]] * 2}, "2 rows of predictions for 1 points"),
    ],
)
def test_predictions_that_do_not_belong_to_the_labels(tmp_path, manifest, labels, message):
    folder = write_run(tmp_path / "seed-1", labels, (40,))
    with pytest.raises(RecordError) as failure:
        run(folder, f"D={manifest}")
    assert message in str(failure.value)
    assert "seed-1" in str(failure.value)
    assert not (folder / "score.json").exists()


@pytest.mark.parametrize("reordered", [IMAGES[::-1], (*IMAGES[:5], Image("e.png", 7, "s", "test"))])
def test_predictions_for_another_manifest_are_refused(tmp_path, manifest, reordered):
    folder = write_run(tmp_path / "seed-1", {"D": [[3, 1, 3, 7]]}, (40,))
    run(folder, f"D={manifest}")
    scored, before = (folder / "score.json").read_bytes(), sha256(manifest)
    Manifest(reordered).write(manifest)
    with pytest.raises(RecordError) as failure:
        run(folder, f"D={manifest}")
    message = str(failure.value)
    assert "seed-1: D: predicted for the images of manifest" in message
    assert before in message and sha256(manifest) in message
    assert (folder / "score.json").read_bytes() == scored


@pytest.mark.parametrize("metadata", [[], None, 3, {"test_sets": ["D"]}, {"test_sets": {"D": 1}}])
def test_predictions_whose_metadata_are_foreign_are_named(tmp_path, manifest, metadata):
    folder = write_run(tmp_path / "seed-1", {"D": [[3, 1, 3, 7]]}, (40,))
    path = folder / "predictions.safetensors"
    save_file(read_tensors(path)[0], path, {METADATA: json.dumps(metadata)})
    record = RunRecord.read(folder / "record.json")
    replace(record, files=record.files | {path.name: sha256(path)}).write(folder / "record.json")
    with pytest.raises(RecordError, match=r"predictions\.safetensors: not a .*expected"):
        run(folder, f"D={manifest}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shots": "sixteen"}, "shots: expected a valid integer, got 'sixteen'"),
        ({"seed": True}, "seed: expected a valid integer, got True"),
        ({"queries": None}, "queries: expected an object, got None"),
        ({"queries": {"search": 1.5}}, r"queries\.search: expected a valid integer, got 1\.5"),
        ({"train_accuracy": "all"}, "train_accuracy: expected a valid number, got 'all'"),
        ({"rank": 1}, "unknown rank"),
        ({"seed": ...}, "lacks seed"),
    ],
)
def test_a_record_of_other_types_is_not_scored(tmp_path, manifest, change, said):
    folder = write_run(tmp_path / "seed-1", {"D": [[3, 1, 3, 7]]}, (40,))
    value = read_sealed(folder / "record.json") | change
    write_sealed(folder / "record.json", {k: v for k, v in value.items() if v is not ...})
    with pytest.raises(RecordError, match=rf"record\.json: not a run record \({said}\)"):
        run(folder, f"D={manifest}")
    assert not (folder / "score.json").exists()


def test_a_run_needs_a_point(tmp_path, manifest):
    folder = write_run(tmp_path / "seed-1", {"D": np.zeros((0, 4))}, ())
    with pytest.raises(RecordError, match="0 points"):
        run(folder, f"D={manifest}")


@pytest.mark.parametrize("name", ["record.json", "predictions.safetensors"])
@pytest.mark.parametrize("content", [None, b"{", b""])
def test_missing_or_broken_files_are_named(tmp_path, manifest, name, content):
    folder = write_run(tmp_path / "seed-1", {"D": [[3, 1, 3, 7]]}, (40,))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(RecordError, match=name):
        evaluate.score_run(folder, {"D": evaluate.TestLabels.read("D", manifest)})


@pytest.mark.parametrize("name", [*RUN_FILES, "record.json"])
@pytest.mark.parametrize("damage", ["cut", "exchanged"])
def test_files_that_are_not_those_recorded_are_not_scored(tmp_path, manifest, name, damage):
    folder = write_run(tmp_path / "seed-1", {"D": [[3, 1, 3, 7]]}, (40,))
    other = write_run(tmp_path / "seed-2", {"D": [[3, 3, 3, 3]]}, (40,), seed=2)
    (other / "learner.safetensors").write_text("other")
    (other / "history.csv").write_text("other")
    content = (folder / name).read_bytes()[:-2] if damage == "cut" else None
    (folder / name).write_bytes((other / name).read_bytes() if content is None else content)
    with pytest.raises(RecordError, match=str(folder)):
        run(folder, f"D={manifest}")
    assert not (folder / "score.json").exists()


def test_a_manifest_without_test_images_is_refused():
    with pytest.raises(RecordError, match="D: the manifest lists no test image"):
        evaluate.TestLabels("D", Manifest((IMAGES[2],)), "m")


def test_labels_that_a_shifted_test_set_calls_otherwise_are_refused():
    names = {"D": ("blue", "red"), "T": ("red", "blue")}
    tests = {
        name: evaluate.TestLabels(
            name,
            Manifest(tuple(Image(f"{n}.png", n, called[n], "test") for n in range(2))),
            "m",
        )
        for name, called in names.items()
    }
    predictions = predicted({name: [[0, 1]] for name in tests}, [0], dict.fromkeys(tests, "m"))
    with pytest.raises(RecordError, match="T: class 0 is 'red', but 'blue' in D"):
        evaluate.evaluate(record(), predictions, tests)


def test_own_test_set_must_be_scored():
    predictions = predicted({"T": [[1]]}, [1], {"T": "m"})
    tests = {"T": evaluate.TestLabels("T", Manifest((Image("x", 1, "one", "test"),)), "m")}
    with pytest.raises(RecordError, match="trained on D"):
        evaluate.evaluate(record(), predictions, tests)


def test_starts_without_the_heavy_libraries():
    code = (
        "import sys, craft.evaluation.score; "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'open_clip') if m in sys.modules])"
    )
    start = time.perf_counter()
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert shown.stdout.strip() == "[]"
    assert time.perf_counter() - start < 5  # a loose bound: machines that run tests are busy


def test_score_is_json_that_other_tools_read(tmp_path, manifest):
    folder = write_run(tmp_path / "seed-2", {"D": [[3, 1, 3, 7]]}, (40,))
    run(folder, f"D={manifest}")
    assert json.loads((folder / "score.json").read_text())["accuracy"]["D"] == [100.0]
