"""From a folder of images to a tuned model, by the commands that the pipeline's rules run."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from craft.apply.export import export
from craft.apply.model import TunedModel
from craft.apply.suite import Plan, Task
from craft.blackbox.backbones import export as tower
from craft.blackbox.images import __main__ as images
from craft.blackbox.text import prompts
from craft.data import manifest, splits
from craft.data.fingerprint import fingerprint
from craft.data.user_images import SUFFIXES
from craft.design.runs import Run
from craft.evaluation import score
from craft.files import paths
from craft.files.shipped import BACKBONES, DATASETS
from craft.files.suite import suite_content, write_suite
from craft.fit import __main__ as fit
from craft.runtime.provenance import code_hash, versions

log = logging.getLogger(__name__)

RESULTS = "results"


def tune(
    task: Task,
    out: Path,
    *,
    cores: int = 1,
    work: Path | None = None,
    say: Callable[[str], None] = log.info,
) -> TunedModel:
    """Tune on the images of a task and write the portable folder ``out``.

    The suite and its results lie in ``work``, or else beside ``out``, under a name of their own,
    until ``out`` is there; a call that was ended resumes from them. ``say`` is told what a user
    should know. Raises what the steps raise.
    """
    out = out.absolute()
    beside = out.with_name(f".{out.name}.tune")
    folder = work.absolute() if work else beside / _key(task)
    if not work and beside.is_dir():
        for other in beside.iterdir():  # of other images, settings or code
            if other != folder:
                shutil.rmtree(other)
    task.write(folder)
    with contextlib.chdir(folder):  # as Snakemake's --directory does
        plan = Plan.read()
        for notice in plan.notices:
            say(f"notice: {notice}")
        _prepare(task, plan, cores)
        for run in plan.runs:
            _fit(task, plan, run)
    model = export(folder / RESULTS / paths.RUN.format(**plan.runs[-1].identity), out, folder)
    if not work:
        shutil.rmtree(beside)
    return model


def _key(task: Task) -> str:
    """Return the name of all that results depend on: 16 hex digits."""
    files = sorted(path for path in task.images.rglob("*") if path.suffix.lower() in SUFFIXES)
    listed = [path.relative_to(task.images).as_posix() for path in files]
    state = fingerprint(task.images, listed)
    said = repr([task, state, code_hash("craft.apply.tune"), versions()])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _at(pattern: str, **names: object) -> str:
    return paths.at(RESULTS, pattern, **names)


def _make(command: Callable[[list[str]], None], outputs: Iterable[str], *arguments: str) -> None:
    """Run a command, unless a call that was ended has made its outputs, whole as they are."""
    if not all(Path(path).exists() for path in outputs):
        command(list(arguments))


def _prepare(task: Task, plan: Plan, cores: int) -> None:
    """Make manifest, split, text tower, prompts and features."""
    names = {"dataset": task.name, "backbone": task.backbone}
    dataset, backbone = f"{DATASETS}/{task.name}.yaml", f"{BACKBONES}/{task.backbone}.yaml"
    listed, root = _at(paths.MANIFEST, **names), str(task.images)
    _make(
        manifest.main,
        [listed],
        *("--dataset", dataset, "--root", root, "--threads", str(cores), "--out", listed),
    )
    drawn = [
        _at(paths.SPLIT, shots=run.shots, seed=run.seed, **names) for run in plan.runs if run.shots
    ]
    if drawn:
        pattern = f"{RESULTS}/{paths.SPLIT}".replace("{dataset}", task.name)
        _make(
            splits.main,
            drawn,
            *("--manifest", listed, "--dataset", task.name, "--shots", str(task.shots)),
            *("--seed", str(task.seed), "--out-pattern", pattern),
        )
    weights = ["--weights", plan.weights] if plan.weights else []
    text = _at(paths.TOWER, **names)
    _make(tower.main, [text], "--side", "text", "--backbone", backbone, *weights, "--out", text)
    words = _at(paths.PROMPTS, **names)
    _make(
        prompts.main,
        [words],
        *("--backbone", backbone, "--manifest", listed, "--dataset", dataset, "--out", words),
    )
    copies = dict.fromkeys(copy for run in plan.runs if run.shots for copy in run.options.copies)
    sets = [(["none", "none"], ["train", "test"], [])]
    if copies:  # those of drawn images alone
        sets.append((list(copies), ["train"] * len(copies), ["--splits", *drawn]))
    for kinds, parts, of_drawn in sets:
        outputs = [
            _at(paths.FEATURES, part=part if kind == "none" else f"{part}-{kind}", **names)
            for kind, part in zip(kinds, parts, strict=True)
        ]
        count = len(outputs)
        _make(
            images.main,
            outputs,
            *("--backbone", backbone, *weights, "--device", task.device),
            *("--manifest", *[listed] * count, "--root", *[root] * count),
            *("--dataset", *[dataset] * count, "--part", *parts, "--copy", *kinds),
            *(*of_drawn, "--threads", str(cores), "--out", *outputs),
        )


def _fit(task: Task, plan: Plan, run: Run) -> None:
    """Fit and score a run."""
    names, (name, job) = run.identity, plan.jobs[run]
    jobs = _at(f"{paths.CACHE}/jobs/{job.digest}.json")
    write_suite(jobs, suite_content({}, {name: job}))
    fitted, scored = _at(paths.FITTED, batch=name), _at(paths.SCORED, batch=name)
    parts = ["train", *(f"train-{copy}" for copy in run.options.copies)] if run.shots else []
    folder = Path(_at(paths.SPLIT, **names)).parents[1]
    _make(
        fit.main,
        [fitted],
        *("--suite", jobs, "--job", name, "--digest", job.digest, "--device", task.device),
        *("--dtype", plan.dtype, "--threads", str(plan.threads)),
        *("--tower", _at(paths.TOWER, **names), "--prompts", _at(paths.PROMPTS, **names)),
        *("--train", *(_at(paths.FEATURES, part=part, **names) for part in parts)),
        *(("--splits", str(folder)) if run.shots else ()),
        *("--tests", f"{run.dataset}={_at(paths.FEATURES, part='test', **names)}"),
        *("--out", f"{RESULTS}/{paths.RUNS_FOLDER}", "--cache", _at(f"{paths.CACHE}/fit")),
        *("--fitted", fitted),
    )
    _make(
        score.main,
        [scored],
        *("--suite", jobs, "--job", name, "--digest", job.digest),
        *("--runs", f"{RESULTS}/{paths.RUNS_FOLDER}"),
        *("--manifests", f"{run.dataset}={_at(paths.MANIFEST, **names)}", "--scored", scored),
    )
