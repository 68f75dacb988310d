"""One run: a learner fitted at its inputs, and its files."""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from craft.files import paths
from craft.files.atomic import METADATA, replacing, sha256, write_text
from craft.files.datasets import Split
from craft.files.records import HISTORY_FILE, LEARNER_FILE, PREDICTIONS_FILE, RUN_FILES, RunRecord
from craft.fit.boxes import Box, black_box
from craft.fit.curve import CurveRecorder
from craft.fit.resume import Attempt
from craft.fit.run_inputs import TRAIN, RunInputs, device_name
from craft.fit.state import Place, recorded
from craft.learner.base import Learner, accuracy, query
from craft.protocol import BlackBox
from craft.runtime.memory import reset_peak_memory
from craft.runtime.progress import Facts, Progress
from craft.runtime.provenance import commit, machine, timestamp, versions
from craft.runtime.signals import Signals
from craft.whitebox.white_box import WhiteBox

log = logging.getLogger("craft.fit")


@dataclass(frozen=True)
class Keeping:
    """How a job saves the state of its runs: signals, folder (None: not at all) and interval."""

    signals: Signals
    cache: Path | None = None
    every: float = 30.0  # seconds
    places: list[Place] = field(default_factory=list)  # of runs that have ended

    def drop(self) -> None:
        """Delete the saved states after the job has succeeded."""
        for place in self.places:
            place.drop()


def run(
    inputs: RunInputs, identity: Mapping[str, str], folder: Path, keeping: Keeping
) -> RunRecord:
    """Fit one run, unless its unfinished job has done so, and write its files, the record last.

    ``identity`` holds the record's ``method``, ``backbone``, ``dataset``, ``config_hash`` and
    ``code_hash``. Without a split (zero-shot), shots and seed are 0 and nothing is trained. Raises
    Ended after a signal, and the errors of the fit.
    """
    if keeping.cache is None:
        _fit(inputs, identity, folder, None, keeping)
        return RunRecord.read(folder / paths.RECORD_NAME)
    place = Place(keeping.cache, key(inputs, identity))
    with place.held() as waited:
        if waited and _is_of(recorded(folder), inputs, identity):
            log.info("%s: fitted by the process that was waited for", folder)
            return RunRecord.read(folder / paths.RECORD_NAME)
        if place.finished:
            log.info("%s: fitted by an earlier attempt at this job, in %s", folder, place.files)
        else:
            _fit(inputs, identity, place.files, place, keeping)
        place.publish(folder)
    keeping.places.append(place)
    return RunRecord.read(folder / paths.RECORD_NAME)


def _is_of(record: RunRecord | None, inputs: RunInputs, identity: Mapping[str, str]) -> bool:
    same = record and all(getattr(record, name) == value for name, value in identity.items())
    return bool(same) and record.inputs == inputs.checksums


def key(inputs: RunInputs, identity: Mapping[str, str]) -> str:
    """Return a hash of everything that decides a run's bytes on one machine: 16 hex digits."""
    decisive = {
        "identity": dict(identity),
        "inputs": dict(inputs.checksums),
        "versions": versions(),
        "device": device_name(inputs.device),
        "threads": torch.get_num_threads(),
        "search_dtype": inputs.dtypes.search,
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _fit(
    inputs: RunInputs,
    identity: Mapping[str, str],
    folder: Path,
    place: Place | None,
    keeping: Keeping,
) -> None:
    started = timestamp()
    learner, split = inputs.learner, inputs.split
    shots, seed = (split.shots, split.seed) if split else (0, 0)
    labels = torch.tensor(split.labels if split else [], dtype=torch.int64, device=inputs.device)
    name = key(inputs, identity)
    box = inputs.box(name)
    own: dict[str, Any] = inputs.own_side()
    curve = CurveRecorder(inputs, box, own)
    attempt = Attempt(place, box, curve, keeping.signals, keeping.every, inputs.device)
    reset_peak_memory(inputs.device)  # runs may share a process: each has its own peak
    attempt.begin(
        learner, functools.partial(_initial_accuracy, inputs, box, labels, name) if split else None
    )
    progress = _progress(learner, identity, len(labels), len(inputs.tower.class_names), split)

    def after_generation(learner: Learner) -> None:
        progress.reach(learner.generations_, functools.partial(_facts, learner, box))
        attempt(learner)

    with keeping.signals.deferred(), progress:
        learner.fit(
            box,
            labels,
            seed=seed,
            train_set=inputs.search_set(),
            refine_sets=inputs.refine_sets(),
            progress=after_generation,
            **own,
        )
    fit_seconds = attempt.spent().fit_seconds
    initial = attempt.spent().initial_accuracy
    predictions = curve.finish(learner)
    # Reported, not chosen by: the learner's fit to its own training images.
    reached = accuracy(learner.predict(box, TRAIN, **own), labels) if split else None
    spent = attempt.spent()
    state = {name: value.cpu().contiguous() for name, value in learner.state().items()}
    learned = state.values() if split else ()  # an untrained context is the box's own
    options = asdict(learner.options)
    predictions.write(folder / PREDICTIONS_FILE)
    with replacing(folder / LEARNER_FILE) as temporary:
        # What restoring needs, and no times: equal runs give equal bytes (see craft.files.atomic).
        fitted = {
            "learner": f"{type(learner).__module__}:{type(learner).__qualname__}",
            "options": options,
            "classes": list(inputs.tower.class_names),
        }
        save_file(state, temporary, {METADATA: json.dumps(fitted)})
    write_history(learner, folder / HISTORY_FILE)
    record = RunRecord(
        **identity,
        shots=shots,
        seed=seed,
        learner=fitted["learner"],
        options=options,
        access=learner.access,
        queries=spent.counts,
        images=spent.images,
        train_images=len(labels),
        train_accuracy=reached,
        fit_seconds=fit_seconds,
        predict_seconds=spent.predict_seconds,
        peak_memory_mb=spent.peak_memory_mb,
        peak_device_memory_mb=spent.peak_device_memory_mb,
        learner_parameters=sum(value.numel() for value in learned),
        learner_bytes=sum(value.numel() * value.element_size() for value in learned),
        inputs=dict(inputs.checksums),
        files={name: sha256(folder / name) for name in RUN_FILES},
        versions=versions(),
        started=started,
        ended=timestamp(),
        machine=machine(device_name(inputs.device), torch.get_num_threads())
        | {"text_dtype": inputs.dtypes.rest, "search_dtype": inputs.dtypes.search},
        commit=commit(),
        initial_accuracy=initial,
        near_chance=initial is not None and near_chance(initial, len(inputs.tower.class_names)),
        distinct_prompts=len(inputs.tower.class_names)
        - sum(len(group) - 1 for group in inputs.indistinct),
        notes={"resumes": spent.resumes},
    )
    record.write(folder / paths.RECORD_NAME)


def _progress(
    learner: Learner, identity: Mapping[str, str], images: int, classes: int, split: Split | None
) -> Progress:
    """Return the log of a fit's generations, which resumes from a checkpoint."""
    about = "/".join(identity[name] for name in ("method", "backbone", "dataset"))
    about += f", {split.shots} shots, seed {split.seed}" if split else ""
    total = learner.work(images, classes).generations or None
    return Progress(f"fit of {about}", total, "generations", done=learner.generations_)


def _facts(learner: Learner, box: Box) -> Facts:
    """Return the further values in a progress line of a fit."""
    facts: dict[str, float | str] = {}
    if (loss := learner.best_loss()) is not None:
        facts["best loss"] = loss
    if not isinstance(box, WhiteBox):
        facts["queries"] = box.meter.total
    return facts


def near_chance(accuracy: float, classes: int) -> bool:
    """Return whether an accuracy (per cent) is at most a tenth of the way from chance to 100."""
    chance = 100 / classes
    return accuracy <= chance + 0.1 * (100 - chance)


def _initial_accuracy(inputs: RunInputs, box: Box, labels: torch.Tensor, run: str) -> float:
    """Return the accuracy (per cent) of the box's own context on the training images, labels (N,).

    It costs one query of purpose ``evaluate``. None for another access level or a blank context.
    """
    blank = inputs.learner.options.context_tokens
    asked = (
        box
        if isinstance(box, BlackBox) and not blank
        else black_box(inputs.tower, {TRAIN: inputs.image_sets()[TRAIN]}, run=run)
    )
    untouched = torch.zeros(1, asked.context_length, asked.context_width)
    reached, classes = (
        accuracy(query(asked, TRAIN, untouched, "evaluate"), labels),
        asked.class_names,
    )
    if near_chance(reached, len(classes)):
        log.warning(
            "%.1f %% of the training images are right at the untouched context, where chance is "
            "%.1f %%: the model hardly knows these classes by their names, and a fit cannot change "
            "that",
            reached,
            100 / len(classes),
        )
    return reached


def write_history(learner: Learner, path: Path) -> None:
    """Write the learner's history, one row per generation, as CSV (a header alone if empty)."""
    columns = list(dict.fromkeys(key for row in learner.history_ for key in row)) or ["queries"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(learner.history_)
    write_text(path, buffer.getvalue())
