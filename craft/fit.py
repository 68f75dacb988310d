"""Fit one learner on few-shot sets of one data set: the one place that wires a box to a learner.

``python -m craft.fit --learner craft.learner.collaborative:Collaborative ... --out FOLDER``
"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from craft.bench import TRAIN, Bench, Inputs, RunBench, device_name
from craft.blackbox.text import DTYPES
from craft.cli import run_command
from craft.curve import CurveRecorder
from craft.learner.base import Learner, accuracy
from craft.peak import peak_device_memory_mb, peak_memory_mb, reset_peak_memory
from craft.protocol import BlackBox
from craft.provenance import code_hash, commit, config_hash, machine, versions
from craft.records import RunRecord, Split
from craft.storage import METADATA, replacing, write_text

logger = logging.getLogger("craft.fit")


def load_learner(name: str) -> type[Learner]:
    """The class named ``module:Class``; raises ValueError for anything that is no learner."""
    module, _, attribute = name.partition(":")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"learner {name!r} cannot be loaded: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Learner)):
        raise ValueError(f"learner {name!r} is not a craft.learner.base.Learner")
    return cls


def fit_run(bench: RunBench, identity: Mapping[str, str], folder: Path) -> RunRecord:
    """Fit one run and write its folder, the record last.

    ``identity`` names method, backbone and dataset. Without a split (zero-shot) shots and seed
    are 0 and nothing is trained.
    """
    learner, split = bench.learner, bench.split
    shots, seed = (split.shots, split.seed) if split else (0, 0)
    labels = torch.tensor(split.labels if split else [], dtype=torch.int64, device=bench.device)
    box = bench.box()
    recorder = CurveRecorder(bench, box)
    reset_peak_memory(bench.device)  # runs may share a process: each has its own peak
    start = time.perf_counter()
    learner.fit(
        box,
        labels,
        seed=seed,
        train_set=bench.search_set(),
        refine_sets=bench.refine_sets(),
        progress=recorder,
    )
    fit_seconds = time.perf_counter() - start - recorder.seconds
    predictions = recorder.finish(learner)
    black_box = isinstance(box, BlackBox)
    # Reported, not chosen by: the learner's fit to its own training images.
    reached = accuracy(learner.predict(box, TRAIN), labels) if split else None
    queries = dict(box.meter.counts) if black_box else {}
    state = {name: value.cpu().contiguous() for name, value in learner.state().items()}
    learned = state.values() if split else ()  # an untrained context is the box's own
    options = asdict(learner.options)
    record = RunRecord(
        **identity,
        shots=shots,
        seed=seed,
        learner=f"{type(learner).__module__}:{type(learner).__qualname__}",
        options=options,
        black_box=black_box,
        queries=queries,
        train_images=len(labels),
        train_accuracy=reached,
        fit_seconds=fit_seconds,
        predict_seconds=recorder.seconds,
        peak_memory_mb=peak_memory_mb(),
        peak_device_memory_mb=peak_device_memory_mb(bench.device),
        learner_parameters=sum(value.numel() for value in learned),
        learner_bytes=sum(value.numel() * value.element_size() for value in learned),
        code_hash=code_hash("craft.fit", type(learner).__module__),
        inputs=dict(bench.checksums),
        versions=versions(),
        machine=machine(device_name(bench.device), torch.get_num_threads())
        | {"text_dtype": bench.dtype},
        config_hash=config_hash({**identity, "shots": shots, "seed": seed, "options": options}),
        commit=commit(),
    )
    predictions.write(folder / "predictions.safetensors")
    with replacing(folder / "learner.safetensors") as temporary:
        # What restoring needs, and no times: equal runs give equal bytes (and see storage.py).
        fitted = {
            "learner": record.learner,
            "options": record.options,
            "classes": list(bench.tower.class_names),
        }
        save_file(state, temporary, {METADATA: json.dumps(fitted)})
    write_history(learner, folder / "history.csv")
    record.write(folder / "record.json")
    return record


def write_history(learner: Learner, path: Path) -> None:
    """Write the learner's history, one row per generation, as CSV (a header alone if empty)."""
    columns = list(dict.fromkeys(key for row in learner.history_ for key in row)) or ["queries"]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(learner.history_)
    write_text(path, buffer.getvalue())


def _named_path(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m craft.fit", description=__doc__)
    parser.add_argument("--learner", required=True, help="module:Class of the learner")
    parser.add_argument(
        "--cells",
        type=json.loads,
        required=True,
        help='options and test sets by shots: {"16": {"options": {}, "tests": ["NAME"]}}',
    )
    for name in ("method", "backbone", "dataset"):
        parser.add_argument(f"--{name}", required=True, help=f"{name} of the run, for its record")
    parser.add_argument("--tower", type=Path, required=True, help="exported text tower")
    parser.add_argument("--prompts", type=Path, required=True, help="tokenised prompts")
    parser.add_argument("--train", type=Path, nargs="*", default=[], help="training features")
    parser.add_argument("--splits", type=Path, nargs="*", default=[], help="one per run")
    parser.add_argument(
        "--tests", type=_named_path, nargs="+", required=True, help="NAME=features of a test part"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder that gets shots-K/seed-S/")
    parser.add_argument("--device", default="cpu", help="where the text tower and learner compute")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the text forward")
    parser.add_argument("--threads", type=int, default=1, help="part of the run: sums depend on it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit a learner on each split (once, untrained, where there is none)."""
    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    torch.set_num_threads(given.threads)
    cls = load_learner(given.learner)
    inputs = Inputs(given.tower, given.prompts, tuple(given.train), dict(given.tests))
    identity = {name: getattr(given, name) for name in ("method", "backbone", "dataset")}
    bench = Bench(inputs, cls.prompts, given.device, given.dtype)
    for split in [Split.read(path) for path in given.splits] or [None]:
        shots, seed = (split.shots, split.seed) if split else (0, 0)
        if str(shots) not in given.cells:
            raise ValueError(f"--cells says nothing of {shots} shots: {sorted(given.cells)}")
        cell = given.cells[str(shots)]
        run = bench.run(cls(**cell["options"]), split, cell["tests"])
        record = fit_run(run, identity, given.out / f"shots-{shots}/seed-{seed}")
        logger.info(
            "%d shots, seed %d: %.1f s, %s queries, train accuracy %s",
            shots,
            seed,
            record.fit_seconds,
            sum(record.queries.values()) if record.black_box else "no",
            "-" if record.train_accuracy is None else f"{record.train_accuracy:.1f} %",
        )


if __name__ == "__main__":
    run_command(main)
