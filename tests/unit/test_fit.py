"""The fit step on a small random model: what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import Prompts
from craft.files.atomic import METADATA, RecordError, sha256
from craft.files.datasets import Split
from craft.files.image_features import Features
from craft.files.records import RunRecord
from craft.files.run_predictions import Predictions
from craft.files.suite import JobRun
from craft.fit.__main__ import load_learner, main
from craft.fit.curve import CurveRecorder
from craft.fit.run import near_chance
from craft.runtime.command import run_command
from craft.runtime.progress import Progress, read_line
from tests.unit.small_model import (
    CLASSES,
    NAMES,
    OPTIONS,
    PER_CLASS,
    RUN_FOLDER,
    WIDTH,
    arguments,
    features,
    text_weights,
    timeless,
    write_inputs,
)

SPLIT = "splits/shots-1/seed-1.json"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_inputs(tmp_path)
    return tmp_path


@pytest.fixture
def fit(files: Path) -> Callable[..., Path]:
    def run(name="collaborative:Collaborative", out="out", trained=True, **options) -> Path:
        cell = OPTIONS | options, ("toy", "s")
        runs = [JobRun(1, seed, *cell) for seed in (1, 2)] if trained else [JobRun(0, 0, *cell)]
        main([*arguments(files, name, *runs), "--out", str(files / out)])
        return (files / out / RUN_FOLDER.format(runs[0].shots, 0)).parent

    return run


def test_each_seed_gets_a_folder_with_a_record_of_every_query(fit) -> None:
    out = fit()
    assert sorted(path.name for path in out.iterdir()) == ["seed-1", "seed-2"]
    for seed in (1, 2):
        record = RunRecord.read(out / f"seed-{seed}/record.json")
        assert (record.seed, record.shots, record.train_images) == (seed, 1, CLASSES)
        # 4 generations: 4 x 20 candidates, one refinement context each, the untouched
        # one before; 4 points of the curve on two test sets each; the training images at the end.
        assert record.queries == {"search": 80, "refine": 4, "evaluate": 1 + 4 * 2 + 1}
        assert record.access == "predictions"
        history = (out / f"seed-{seed}/history.csv").read_text().splitlines()
        assert len(history) == 1 + 4


@pytest.mark.parametrize(
    ("name", "options", "queries"),
    [
        ("lfa:LFA", {"iterations": 3}, {"search": 0, "refine": 2, "evaluate": 2 * 2 + 2}),
        (
            "cbbt:CBBT",
            {"epochs": 2, "directions": 4},
            {"search": 2 * 5, "refine": 1, "evaluate": 2 * 2 + 2},
        ),
    ],
)
def test_learners_of_features_get_features_and_nothing_else(fit, name, options, queries) -> None:
    out = fit(name, **options)
    record = RunRecord.read(out / "seed-1/record.json")
    assert record.queries == queries
    assert record.access == "features"
    assert 0 <= record.train_accuracy <= 100


def test_the_log_says_how_long_the_start_took(fit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "craft.fit")
    fit()
    said = [line for line in caplog.messages if "first generation" in line]
    assert len(said) == 2  # a line for each seed
    pattern = r"first generation finished [\d.]+ s after process start, [\d.]+ s of processor time"
    assert all(re.fullmatch(pattern, line) for line in said)


@pytest.mark.parametrize(
    ("name", "total", "facts"),
    [
        ("collaborative:Collaborative", 4, ("best loss", "queries")),
        ("sequential:Sequential", 8, ("best loss", "queries")),
        ("coop:CoOp", 3, ("best loss",)),
    ],
)
def test_the_log_says_how_far_a_fit_is(
    fit, caplog, monkeypatch: pytest.MonkeyPatch, name: str, total: int, facts: tuple[str, ...]
) -> None:
    """A line whenever 30 s have passed, which the first and last lines enclose."""
    monkeypatch.setattr(
        Progress.__init__, "__kwdefaults__", {"done": 0, "every": 0.0, "clock": time.monotonic}
    )
    caplog.set_level("INFO", "craft.runtime.progress")
    fit(name, **({"context_tokens": 3, "epochs": 3} if name == "coop:CoOp" else {}))
    states = [state for state in map(read_line, caplog.messages) if state]
    first = states[: total + 2]
    assert [state.done for state in first] == [0, *range(1, total + 1), total]
    assert {(state.what, state.total, state.unit) for state in first} == {
        ("fit of m/small/toy, 1 shots, seed 1", total, "generations")
    }
    assert all(f"{fact} " in state.note for state in first[1:-1] for fact in facts)
    assert [state.running for state in first] == [True] * (total + 1) + [False]


def test_the_curve_is_spread_over_the_budget_and_ends_with_it(fit) -> None:
    predictions = Predictions.read(fit() / "seed-1/predictions.safetensors")
    assert predictions.queries.tolist() == [20, 40, 60, 80]
    assert predictions.labels["toy"].shape == (4, CLASSES * PER_CLASS)


@pytest.mark.parametrize("name", ["prompt_only:PromptOnly", "sequential:Sequential"])
def test_a_curve_has_one_point_at_a_number_of_queries(fit, name: str) -> None:
    """A budget that is no multiple of the population: its search ends before a point is due."""
    out = fit(name, budget=50, curve_points=10)
    predictions = Predictions.read(out / "seed-1/predictions.safetensors")
    assert predictions.queries.tolist() == [20, 40]
    assert {len(labels) for labels in predictions.labels.values()} == {2}


def test_the_curve_ends_with_the_fitted_learner(fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `sequential` refines after its last query is in the curve's last point."""
    final = []
    finish = CurveRecorder.finish

    def watched(self, learner):
        made = finish(self, learner)
        final.append(learner.predict(self._box, "test/toy").argmax(dim=1))
        return made

    monkeypatch.setattr(CurveRecorder, "finish", watched)
    out = fit("sequential:Sequential", budget=50, curve_points=10, learning_rate=0.1)
    labels = Predictions.read(out / "seed-1/predictions.safetensors").labels["toy"]
    assert labels[-1].tolist() == final[0].tolist()


def test_a_shifted_set_is_predicted_among_its_own_classes(fit) -> None:
    labels = Predictions.read(fit() / "seed-1/predictions.safetensors").labels
    assert set(np.unique(labels["s"])) <= {1, 3}
    assert len(set(np.unique(labels["toy"]))) > 2


def test_kept_probabilities_are_the_answers_of_the_fitted_learner(fit) -> None:
    predictions = Predictions.read(fit() / "seed-1/predictions.safetensors")
    for name, classes in (("toy", [*range(CLASSES)]), ("s", [1, 3])):
        logs, columns = predictions.log_probabilities[name], predictions.classes[name]
        assert columns.tolist() == classes
        assert logs.dtype == np.float16
        assert np.exp(logs.astype(float)).sum(axis=1) == pytest.approx(1, abs=2e-3)
        best = logs.max(axis=1)
        chosen = [classes.index(label) for label in predictions.labels[name][-1]]
        assert (logs[np.arange(len(logs)), chosen] == best).all()


def test_runs_that_share_a_job_are_the_runs_alone_bit_for_bit(files) -> None:
    coop = {"context_tokens": 3, "epochs": 2}
    for name, own in (("collaborative:Collaborative", {}), ("coop:CoOp", coop)):
        one = OPTIONS | own | {"views": 1}, ("toy",)
        two = OPTIONS | own | {"learning_rate": 0.1}, ("toy", "s")
        runs = [JobRun(1, 1, *one), JobRun(1, 2, *one), JobRun(2, 1, *two)]
        main([*arguments(files, name, *runs), "--out", str(files / "together")])
        for run in runs:
            main([*arguments(files, name, run), "--out", str(files / "alone")])
        for run in (RUN_FOLDER.format(run.shots, run.seed) for run in runs):
            for file in ("learner.safetensors", "predictions.safetensors", "history.csv"):
                alone, together = (files / out / run / file for out in ("alone", "together"))
                assert alone.read_bytes() == together.read_bytes()
            records = [
                RunRecord.read(files / out / run / "record.json") for out in ("alone", "together")
            ]
            assert timeless(records[0]) == timeless(records[1])


@pytest.mark.parametrize("name", ["refine_only:RefineOnly", "coop:CoOp"])
def test_a_run_that_begins_near_chance_says_so(fit, files, caplog, name: str) -> None:
    """Chance is 25 %; text features of their classes, or of the next ones, stand for images."""
    options = {"context_tokens": 3, "epochs": 1} if name == "coop:CoOp" else {}
    for at_chance in (True, False):
        caplog.clear()
        found = Features.read(files / "train.safetensors")
        tower = TextTower(text_weights(), Prompts.read(files / "prompts.json").learner)
        text = tower.encode(torch.zeros(1, 2, WIDTH))[0].numpy()  # (K, E)
        right = np.repeat(text, PER_CLASS, axis=0)
        shown = np.roll(right, PER_CLASS, axis=0) if at_chance else right
        replace(found, features=shown).write(files / "train.safetensors")
        record = RunRecord.read(fit(name, out=f"out-{at_chance}", **options) / "seed-1/record.json")
        assert record.initial_accuracy == (0.0 if at_chance else 100.0)
        assert record.near_chance is at_chance
        assert any("chance is 25.0 %" in line for line in caplog.messages) is at_chance
        assert sum(record.queries.values()) == (0 if name == "coop:CoOp" else 2 + 2 + 1)


def test_a_record_counts_the_prompts_that_can_be_told_apart(fit, files) -> None:
    assert RunRecord.read(fit() / "seed-1/record.json").distinct_prompts == 4
    prompts = Prompts.read(files / "prompts.json")
    first, second, *_ = prompts.learner.class_names
    replace(prompts, indistinct=((first, second),)).write(files / "prompts.json")
    assert RunRecord.read(fit(out="again") / "seed-1/record.json").distinct_prompts == 3


@pytest.mark.parametrize(
    ("accuracy", "classes", "near"),
    [(12.9, 10, True), (3.8, 100, True), (22.0, 10, False), (55.0, 2, True), (17.3, 100, False)],
)
def test_near_chance_is_a_tenth_of_the_way_to_all_right(accuracy, classes, near) -> None:
    assert near_chance(accuracy, classes) is near


def test_the_bytes_do_not_depend_on_the_threads_that_the_environment_names(files) -> None:
    """As Snakemake names them: no more than --cores, whatever ``fit_threads`` says."""
    run = JobRun(1, 1, OPTIONS | {"budget": 200, "intrinsic_dim": 512}, ("toy",))
    given = [*arguments(files, "collaborative:Collaborative", run), "--threads", "2"]
    made = []
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        command = [sys.executable, "-m", "craft.fit", *given, "--out", str(files / threads)]
        subprocess.run(command, check=True, env=os.environ | dict.fromkeys(names, threads))
        folder = files / threads / RUN_FOLDER.format(1, 1)
        made.append(
            [(folder / name).read_bytes() for name in ("learner.safetensors", "history.csv")]
        )
    assert made[0] == made[1]


def test_the_saved_learner_can_be_restored(fit) -> None:
    path = fit() / "seed-2/learner.safetensors"
    with safe_open(path, "pt") as stream:
        metadata = json.loads(stream.metadata()[METADATA])
    learner = load_learner(metadata["learner"])(**metadata["options"])
    learner.restore(load_file(path))
    assert metadata["classes"] == list(NAMES)
    assert learner.refine(torch.zeros(3, CLASSES)).shape == (3, CLASSES)


def test_views_and_raw_norms_train_the_refiner_differently(fit) -> None:
    plain = load_file(fit(out="a") / "seed-1/learner.safetensors")
    for options in ({"views": 1}, {"feature_norm": "raw"}):
        other = load_file(fit(out=str(len(options)), **options) / "seed-1/learner.safetensors")
        assert not torch.equal(plain["refiner.head.0.weight"], other["refiner.head.0.weight"])


def test_candidates_are_scored_on_the_copy_that_search_view_names(fit) -> None:
    def losses(name: str, out: str, **options: int) -> list[str]:
        rows = (fit(name, out=out, **options) / "seed-1/history.csv").read_text().splitlines()
        return [row.split(",")[1] for row in rows]

    for name in ("collaborative:Collaborative", "prompt_only:PromptOnly"):
        assert losses(name, "a", search_view=1) != losses(name, "b")
    with pytest.raises(
        ValueError, match="expected features of train-view-2, got those of train, train-view-1"
    ):
        fit(search_view=2)


def test_coop_trains_on_the_crops_that_it_is_given(fit, files) -> None:
    """Its own files, in turn: crops of another content make another context, views do not."""
    coop = {"context_tokens": 3, "epochs": 3, "learning_rate": 0.1}
    features("train", view=1, kind="crop").write(files / "view.safetensors")
    crops = fit("coop:CoOp", out="crops", crops=1, **coop)
    plain = fit("coop:CoOp", out="plain", **coop)
    learned = [load_file(out / "seed-1/learner.safetensors")["offset"] for out in (crops, plain)]
    assert not torch.equal(*learned)
    inputs = [RunRecord.read(out / "seed-1/record.json").inputs for out in (crops, plain)]
    assert inputs[0].keys() - inputs[1].keys() == {"train-crop-1"}
    with pytest.raises(ValueError, match="expected features of train-crop-2"):
        fit("coop:CoOp", crops=2, **coop)


def test_zero_shot_speaks_with_the_template_and_trains_nothing(fit) -> None:
    record = RunRecord.read(fit("zero_shot:ZeroShot", trained=False) / "seed-0/record.json")
    assert (record.shots, record.seed, record.train_images) == (0, 0, 0)
    assert record.train_accuracy is None
    assert record.learner_parameters == 0  # the template "{} texture." has no context before it


def test_a_white_box_run_says_that_it_is_one(fit) -> None:
    record = RunRecord.read(fit("coop:CoOp", context_tokens=3, epochs=2) / "seed-1/record.json")
    assert record.access == "weights"
    assert record.queries == {}
    assert record.learner_parameters == 3 * WIDTH


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("test", {"backbone": "other"}, "backbone other, beside files of backbone small"),
        ("test", {"dataset": "other"}, "data set other, beside files of data set toy"),
        ("train", {"part": "test"}, "part test, beside files of part train"),
        ("test", {"manifest_sha256": "n"}, r"manifest \(SHA-256\) n, beside files of .* m"),
        ("test", {"weights_sha256": "v"}, r"weights \(SHA-256\) v, beside files of .* w"),
    ],
)
def test_features_that_do_not_belong_are_refused(
    fit, files, name: str, change: dict, said: str
) -> None:
    replace(features(name), **change).write(files / f"{name}.safetensors")
    with pytest.raises(RecordError, match=rf"{name}\.safetensors: features of {said}"):
        fit()


@pytest.mark.parametrize("name", ["tower", "train", "test"])
@pytest.mark.parametrize("content", ["truncated", "another", "pickle", "nothing"])
def test_a_file_that_is_none_of_ours_is_named(fit, files, name: str, content: str) -> None:
    path = files / f"{name}.safetensors"
    whole = path.read_bytes()
    if content == "another":
        save_file({"weight": torch.zeros(2)}, path)
    else:
        broken = {
            "truncated": whole[: len(whole) // 2],
            "pickle": pickle.dumps([1]),
            "nothing": b"",
        }
        path.write_bytes(broken[content])
    with pytest.raises(RecordError, match=rf"{name}\.safetensors: not a"):
        fit()
    assert not list(files.rglob("record.json"))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("refine_only:RefineOnly", {}, "refine_loss is not finite in generation 1, after"),
        ("refine_only:RefineOnly", {"budget": 20, "passes": 5}, "finite after generation 1:"),
        (
            "collaborative:Collaborative",
            {"curve_points": 1},
            "losses .* in generation 2 are not",
        ),
        ("coop:CoOp", {"context_tokens": 3, "epochs": 9}, "loss is not finite in epoch 8"),
        (
            "coop:CoOp",
            {"context_tokens": 3, "epochs": 7},
            ".*scores on .* are not finite after generation 7",
        ),
    ],
)
def test_a_fit_that_diverges_says_when_and_what_to_lower(
    fit, files, name: str, options: dict, said: str
) -> None:
    fast = {"learning_rate": 100, "weight_decay": 100, "passes": 30}
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: fit(name, **fast | options))
    message = str(ended.value.code)
    assert re.match(f"error: .*{said}", message) and "\n" not in message
    assert "lower one of the options learning_rate = 100, " in message
    assert not list(files.rglob("predictions.safetensors"))


def test_a_view_that_was_not_encoded_is_named(fit) -> None:
    with pytest.raises(ValueError, match="expected features of train-view-2, got those of train, "):
        fit(views=2)


def test_a_split_of_other_classes_is_refused(fit, files) -> None:
    split = Split.read(files / SPLIT)
    Split("toy", 1, 1, split.paths, split.labels, NAMES[::-1]).write(files / SPLIT)
    with pytest.raises(RecordError, match="class names of the split of toy, 1 shots, seed 1,"):
        fit()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "other"}, "a split of data set other, 1 shots, .* beside .* data set toy"),
        ({"labels": (0, 0, 0, 0)}, r"class 0 \('class 0'\): .*got 4 in a split of 1 shots"),
        ({"labels": (0, 1, 2, 4)}, r"label of train/19\.png: expected 0 to 3, got 4"),
        ({"labels": (0, 1, 2, -1)}, r"label of train/19\.png: expected 0 to 3, got -1"),
        ({"labels": (0, 1, 2, 3.5)}, r"labels\[3\]: expected a valid integer, got 3.5"),
        ({"shots": 2}, "class 0 .*got 1 in a split of 2 shots"),
        (
            {"shots": 0, "paths": (), "labels": ()},
            "expected .* 1 or more, got 0 in a split of 0 shots",
        ),
        ({"seed": 2}, r"seed-1.json: expected .* shots, seed 1, got .*, seed 2"),
        ({"paths": "abcd"}, "paths: expected a valid array, got 'abcd'"),
    ],
)
def test_a_split_that_is_not_of_the_job_is_refused(fit, files, change: dict, said: str) -> None:
    replace(Split.read(files / SPLIT), **change).write(files / SPLIT)
    with pytest.raises(RecordError, match=said):
        fit()


@pytest.mark.parametrize("what", ["backbone", "dataset"])
def test_prompts_of_another_job_are_refused(files, what: str) -> None:
    run = JobRun(1, 1, OPTIONS, ("toy",))
    given = arguments(files, "collaborative:Collaborative", run, **{what: "other"})
    with pytest.raises(RecordError, match=rf"prompts\.json: expected prompts of {what} other"):
        main([*given, "--out", f"{files}/out"])


def test_a_split_under_another_ones_name_is_refused(fit, files) -> None:
    split = Split.read(files / SPLIT)
    replace(split, seed=2).write(files / SPLIT)
    with pytest.raises(RecordError, match=r"seed-1\.json: expected a split of 1 shots, seed 1"):
        fit()


def test_what_was_fitted_is_told_last_with_its_records(fit, files) -> None:
    out = fit()
    records = {
        RUN_FOLDER.format(1, seed): sha256(out / f"seed-{seed}/record.json") for seed in (1, 2)
    }
    fitted = json.loads((files / "fitted.json").read_text())
    assert fitted == {"job": "job", "records": records}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": (1, 4)}, "expected .* classes of 0 to 3, got 2 classes up to 4"),
        ({"classes": ()}, "got 0 classes"),
        ({"classes": ("1",)}, r"classes\[0\]: expected a valid integer, got '1'"),
        ({"paths": 7}, "paths: expected a valid tuple, got 7"),
        (
            {"norms": np.ones(3, np.float32)},
            r"norms: expected 1 axes .* 24 long, got shape \(3,\), float32",
        ),
        (
            {"features": np.ones((24, 8))},
            r"features: expected 2 axes .*got shape \(24, 8\), float64",
        ),
        ({"features": np.ones(24, np.float32)}, r"features: expected 2 axes .*got shape \(24,\)"),
        ({"norms": np.full(24, np.inf, np.float32)}, "norms that are not finite"),
    ],
)
def test_features_of_other_shapes_and_types_are_named(fit, files, change: dict, said: str) -> None:
    features("test", **change).write(files / "test.safetensors")
    with pytest.raises(RecordError, match=rf"test\.safetensors: .*{said}"):
        fit()


def test_a_path_that_is_not_cached_is_named(fit, files) -> None:
    Split("toy", 1, 1, ("train/99.png",) * 4, tuple(range(4)), NAMES).write(files / SPLIT)
    with pytest.raises(RecordError, match=r"not among the cached features.*train/99\.png"):
        fit()


@pytest.mark.parametrize(
    "name", ["craft.learner.nowhere:X", "craft.learner.base:X", "craft.design:Design", "nothing"]
)
def test_what_is_no_learner_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"of a learner, got {name!r}"):
        load_learner(name)
