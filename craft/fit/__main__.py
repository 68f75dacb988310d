"""Fit one learner on few-shot sets of one data set.

``python -m craft.fit --suite FILE --job NAME ... --out FOLDER``; the suite's file (``suite.json``)
lists the runs of the job and their options.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from craft.client.remote import Service
from craft.files import paths
from craft.files.atomic import RecordError, sha256, write_json
from craft.files.suite import Job
from craft.fit.arithmetic import ACCEPTED, TextDtypes
from craft.fit.inputs import JobFiles, JobInputs
from craft.fit.run import Keeping, run
from craft.learner.lookup import load_learner
from craft.runtime.command import run_command
from craft.runtime.provenance import code_hash, config_hash
from craft.runtime.signals import Ended, Signals

log = logging.getLogger("craft.fit")


def _named_path(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not name or not path:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, Path(path)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m craft.fit", description=__doc__)
    parser.add_argument("--suite", type=Path, required=True, help="suite.json with the job")
    parser.add_argument("--job", required=True, metavar="NAME", help="the job's name in it")
    parser.add_argument("--digest", required=True, help="hash of the job as it was planned")
    parser.add_argument("--tower", type=Path, required=True, help="exported text tower")
    parser.add_argument("--prompts", type=Path, required=True, help="tokenised prompts")
    parser.add_argument("--train", type=Path, nargs="*", default=[], help="training features")
    parser.add_argument("--splits", type=Path, help="folder of the splits, where runs are trained")
    parser.add_argument(
        "--tests", type=_named_path, nargs="+", required=True, help="NAME=features of a test part"
    )
    parser.add_argument("--image-tower", type=Path, nargs="?", help="exported image tower")
    parser.add_argument(
        "--train-pixels", type=Path, nargs="*", default=[], help="decoded training images"
    )
    parser.add_argument(
        "--test-pixels", type=_named_path, nargs="*", default=[], help="NAME=decoded test images"
    )
    parser.add_argument(
        "--codes", type=Path, nargs="*", default=[], help="features of an encoder: codes of images"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder that gets a folder per run")
    parser.add_argument(
        "--fitted", type=Path, required=True, metavar="FILE", help="written last: the job's records"
    )
    parser.add_argument("--cache", type=Path, help="folder for the state of runs, to resume from")
    parser.add_argument(
        "--save-every",
        type=float,
        default=os.environ.get("CRAFT_SAVE_EVERY", 30.0),
        metavar="SECONDS",
        help="how often it is saved; else CRAFT_SAVE_EVERY, else 30",
    )
    parser.add_argument("--service", metavar="URL", help="of a model that is behind HTTP")
    parser.add_argument(
        "--key-variable", metavar="NAME", help="environment variable of the service's key"
    )
    parser.add_argument("--device", default="cpu", help="where the text tower and learner compute")
    parser.add_argument("--dtype", choices=ACCEPTED, default="float32", help="of the text forward")
    parser.add_argument(
        "--tf32",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="float32 products of a GPU take TF32's inputs",
    )
    parser.add_argument("--threads", type=int, default=1, help="part of the run: sums depend on it")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit every run of a job; a run with 0 shots is not trained."""
    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    torch.set_num_threads(given.threads)
    torch.backends.cuda.matmul.allow_tf32 = given.tf32
    try:
        # Snakemake's variables, which numpy's BLAS follows under CMA-ES, go by --cores: the bytes
        # would be the machine's. One thread is also quickest for matrices of 512 x 512.
        with Signals() as signals, threadpool_limits(1, user_api="blas"):
            keeping = Keeping(signals, given.cache, given.save_every)
            _fit_all(given, keeping)
            keeping.drop()
    except Ended as signal:
        if given.cache:
            signal.add_note(f"state is kept in {given.cache}")
        raise


def _fit_all(given: argparse.Namespace, keeping: Keeping) -> None:
    job = Job.read(given.suite, given.job, given.digest)
    if given.splits is None and any(run.shots for run in job.runs):
        raise ValueError(f"--splits: expected a folder, as {given.job} trains, got none")
    cls = load_learner(job.learner)
    files = JobFiles(
        tower=given.tower,
        prompts=given.prompts,
        train=tuple(given.train),
        tests=dict(given.tests),
        image_tower=given.image_tower,
        train_pixels=tuple(given.train_pixels),
        test_pixels=dict(given.test_pixels),
        codes=tuple(given.codes),
    )
    identity = {name: getattr(job, name) for name in ("method", "backbone", "dataset")}
    # Hash the module that the configuration names, as planned, wherever the class is defined.
    code = code_hash("craft.fit.__main__", job.learner.partition(":")[0])
    service = Service(given.service, given.key_variable) if given.service else None
    dtypes = TextDtypes.of(given.dtype, cls, given.device)
    inputs = JobInputs(files, cls.prompts, given.device, dtypes, service)
    for what in ("backbone", "dataset"):
        if identity[what] != getattr(inputs, what):
            raise RecordError(
                f"{given.prompts}: expected prompts of {what} {identity[what]}, got those of "
                f"{getattr(inputs, what)}"
            )
    cell, records = paths.CELL.format(**identity), {}
    for planned in job.runs:
        shots, seed = planned.shots, planned.seed
        name = paths.RUN_OF_CELL.format(shots=shots, seed=seed)
        path = given.splits / f"{name}.json" if shots else None
        own = replace(keeping, cache=given.cache / cell / name) if given.cache else keeping
        of_run = inputs.for_run(cls(**planned.options), path, planned.tests)
        split = of_run.split
        if split and (split.shots, split.seed) != (shots, seed):
            raise RecordError(
                f"{path}: expected a split of {shots} shots, seed {seed}, got one of "
                f"{split.shots} shots, seed {split.seed}; draw the splits again"
            )
        settings = identity | {
            "shots": shots,
            "seed": seed,
            "learner": job.learner,
            "options": planned.options,
            "dtype": given.dtype,
            "threads": given.threads,
        }
        hashes = {"config_hash": config_hash(settings), "code_hash": code}
        folder = given.out / cell / name
        record = run(of_run, identity | hashes, folder, own)
        records[f"{cell}/{name}"] = sha256(folder / paths.RECORD_NAME)
        log.info(
            "%d shots, seed %d: %.1f s, %s queries, train accuracy %s",
            shots,
            seed,
            record.fit_seconds,
            sum(record.queries.values()) if record.access != "weights" else "no",
            "-" if record.train_accuracy is None else f"{record.train_accuracy:.1f} %",
        )
    write_json(given.fitted, {"job": given.job, "records": records})


if __name__ == "__main__":
    run_command(main)
