"""Tune a model on a folder of images, by the commands that the pipeline's rules run."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from craft.apply.export import export
from craft.apply.single_run import CONFIG, Plan, Task
from craft.apply.steps import RESULTS, Steps
from craft.apply.tuned_model import MODEL_FILE, TunedModel
from craft.config.problems import ConfigError
from craft.data.fingerprint import fingerprint
from craft.data.user_images import SUFFIXES
from craft.files import paths
from craft.files.atomic import write_text
from craft.files.folder import require_replaceable
from craft.runtime.provenance import ROOT, code_hash, config_hash, versions

log = logging.getLogger(__name__)

#: File of a working folder that holds the hash of its task.
_KEY = "task.txt"


def tune(
    task: Task,
    out: Path,
    *,
    cores: int = 1,
    work: Path | None = None,
    say: Callable[[str], None] = log.info,
) -> TunedModel:
    """Tune on the images of a task and write the portable folder ``out``.

    The suite and its results are in ``work``. Without ``work``, they are in a hidden folder beside
    ``out`` until ``out`` is complete; an interrupted call resumes from them. ``say`` is called
    with notices for the user. Raises FileExistsError if ``out`` exists and holds no tuned model,
    ConfigError for invalid settings, and the errors of the steps.
    """
    out = out.absolute()
    require_replaceable(out, MODEL_FILE)
    beside, key = out.with_name(f".{out.name}.tune"), _key(task)
    folder = work.absolute() if work else beside / key
    if work:
        _require_same(folder, key)
    elif beside.is_dir():
        for other in beside.iterdir():  # of other images, settings or code
            if other != folder:
                shutil.rmtree(other)
    write_text(folder / _KEY, key)
    task.write(folder)
    with contextlib.chdir(folder):  # as Snakemake's --directory does
        try:
            plan = Plan.read()
        except ConfigError:
            if not work:
                shutil.rmtree(folder)  # nothing to resume from
                beside.rmdir()
            raise
        for notice in plan.notices:
            say(f"notice: {notice}")
        Steps(task, plan, cores).run()
    model = export(folder / RESULTS / paths.RUN.format(**plan.runs[-1].identity), out, folder)
    if not work:
        shutil.rmtree(beside)
    return model


def _key(task: Task) -> str:
    """Return a hash of everything that the results depend on: 16 hex digits."""
    files = sorted(path for path in task.images.rglob("*") if path.suffix.lower() in SUFFIXES)
    listed = [path.relative_to(task.images).as_posix() for path in files]
    weights = (content.get("weights") for content in task.files.values())
    decisive = {
        "files": task.files,
        "images": fingerprint(task.images, listed),
        "weights": [fingerprint(ROOT, [path]) for path in weights if path],
        "code": code_hash("craft.apply.tune", *_learners(task)),
        "versions": versions(),
    }
    return config_hash(decisive)


def _learners(task: Task) -> list[str]:
    """Return the modules of the suite's learners."""
    methods = task.files[CONFIG]["methods"].values()
    return [method["learner"].partition(":")[0] for method in methods]


def _require_same(folder: Path, key: str) -> None:
    """Raise FileExistsError for a nonempty folder that does not belong to the task of this key."""
    kept = folder / _KEY
    same = kept.is_file() and kept.read_text(encoding="utf-8") == key
    if folder.exists() and any(folder.iterdir()) and not same:
        raise FileExistsError(
            f"{folder}: expected a new folder, or one of the same images and settings, got one "
            "with other content; choose another folder, or delete it"
        )
