"""Export a run of a suite as the portable folder of a tuned model."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from craft.apply.card import card
from craft.apply.confusion import confusion, write_evaluation
from craft.apply.tuned_model import MODEL_FILE, TunedModel
from craft.blackbox.backbones.description import read_backbone
from craft.blackbox.text.tokenise import Prompts
from craft.data.manifest import reading
from craft.files import paths, yaml12
from craft.files.atomic import RecordError, read_metadata, sha256, write_text
from craft.files.datasets import Manifest
from craft.files.descriptions import read_dataset
from craft.files.folder import replacing_folder
from craft.files.records import LEARNER_FILE, PREDICTIONS_FILE, RunRecord, Score
from craft.files.run_predictions import Predictions
from craft.files.shipped import BACKBONES, DATASETS, find
from craft.learner.lookup import load_learner
from craft.runtime.provenance import ROOT

#: Keys of a backbone's description that predictions do not need.
_UNSAID = ("label", "parameters")


def export(run: Path, out: Path, root: Path = Path()) -> TunedModel:
    """Write the portable folder ``out`` of the run whose files lie in the folder ``run``.

    ``root`` is the working folder of the suite, where descriptions are looked up first. Raises
    RecordError for a folder that holds no run, a run without a score, a learner that needs a
    second encoder, and files of the suite that have changed since the run. Raises FileExistsError
    if ``out`` exists and holds no tuned model.
    """
    record = RunRecord.read(run / paths.RECORD_NAME)
    record.require_files(run)
    names = asdict(record)
    results = _results(run, paths.RUN.format(**names))
    files = {
        "tower": results / paths.TOWER.format(**names),
        "prompts": results / paths.PROMPTS.format(**names),
        f"manifest/{record.dataset}": results / paths.MANIFEST.format(**names),
    }
    for role, path in files.items():
        _require_read(record, role, path)
    score = _score(run, record)
    prompts = Prompts.read(files["prompts"])
    weights_sha256 = read_metadata(files["tower"])["provenance"]["weights_sha256"]
    description = _description(find(f"{BACKBONES}/{record.backbone}.yaml", root))
    facts = read_dataset(find(f"{DATASETS}/{record.dataset}.yaml", root), "kind", "template")
    cls = load_learner(record.learner)
    if encoder := cls(**record.options).options.own_codes:
        raise RecordError(
            f"{run}: expected a learner without an encoder of its own, got one with {encoder}, "
            "which a tuned model does not contain; apply it in a suite"
        )
    model = TunedModel(
        learner=record.learner,
        options=record.options,
        access=record.access,
        method=record.method,
        dataset=record.dataset,
        shots=record.shots,
        seed=record.seed,
        train_images=record.train_images,
        prompts=prompts.spoken(cls.prompts),
        backbone=_portable(description, weights_sha256),
        reading=reading(facts),
        text_dtype=record.machine["text_dtype"],
        threads=int(record.machine["threads"]),
        queries=record.queries,
        images=record.images,
        accuracy=score.accuracy[record.dataset][-1],
        zero_shot_accuracy=_zero_shot(results, record),
        test_images=score.test_images[record.dataset],
        versions=record.versions,
        code_hash=record.code_hash,
        commit=record.commit,
        learner_sha256=record.files[LEARNER_FILE],
    )
    images = Manifest.read(files[f"manifest/{record.dataset}"]).part("test")
    labels = np.array([image.label for image in images], dtype=np.int64)
    predicted = Predictions.read(run / PREDICTIONS_FILE).labels[record.dataset][-1]
    counts = confusion(labels, predicted.astype(np.int64), len(model.class_names))
    with replacing_folder(out, MODEL_FILE) as folder:
        shutil.copyfile(run / LEARNER_FILE, folder / LEARNER_FILE)
        write_evaluation(folder, counts, model.class_names)
        write_text(folder / "README.md", card(model, counts))
        model.write(folder)
    return model


def _results(run: Path, place: str) -> Path:
    """Return the folder of results that contains a run's folder at ``place``."""
    parts = PurePath(place).parts
    whole = Path(os.path.abspath(run))
    if whole.parts[-len(parts) :] != parts:
        raise RecordError(f"{run}: expected the folder of a run, .../{place}, got another folder")
    return whole.parents[len(parts) - 1]


def _require_read(record: RunRecord, role: str, path: Path) -> None:
    """Raise RecordError if a file of the suite is not the one that the run read."""
    # Results may have been moved, but the files of a run belong together.
    found = sha256(path) if path.is_file() else "no file"
    if found != record.inputs.get(role):
        raise RecordError(
            f"{path}: expected SHA-256 {record.inputs.get(role)}, which the run read, got {found}; "
            "run the suite again"
        )


def _score(run: Path, record: RunRecord) -> Score:
    path = run / paths.SCORE_NAME
    if not path.is_file():
        raise RecordError(
            f"{path}: expected the score of the run, got none; run the suite to its end"
        )
    score = Score.read(path)
    if score.record != asdict(record):
        raise RecordError(
            f"{path}: expected the score of this run, got that of another; run the suite again"
        )
    return score


def _zero_shot(results: Path, record: RunRecord) -> float | None:
    """Return the zero-shot accuracy on the same images; None if the suite has no such score."""
    names = asdict(record) | {"method": "zero-shot", "shots": 0, "seed": 0}
    path = results / paths.SCORE.format(**names)
    if not path.is_file():
        return None
    score = Score.read(path)
    manifest = record.inputs[f"manifest/{record.dataset}"]
    same = score.manifests.get(record.dataset) == manifest
    same &= score.record["inputs"].get("tower") == record.inputs["tower"]
    return score.accuracy[record.dataset][-1] if same else None


def _description(path: Path) -> dict[str, Any]:
    """Return a backbone's description with all defaults filled in."""
    content = yaml12.read(path, "name", "kind")
    return content if content["kind"] == "http" else read_backbone(path)


def _portable(description: dict[str, Any], weights_sha256: str) -> dict[str, Any]:
    """Return a description without paths of this machine, with the SHA-256 of its weights."""
    kept = {key: value for key, value in description.items() if key not in _UNSAID}
    weights = Path(kept.pop("weights", None) or "")
    if weights.is_absolute() and weights.is_relative_to(ROOT):  # they ship with the project
        weights = weights.relative_to(ROOT)
    if weights.name and not weights.is_absolute():
        kept["weights"] = weights.as_posix()
    return kept | {"sha256": weights_sha256}
