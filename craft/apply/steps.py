"""Run the pipeline's steps for a suite of one task in this process, by the rules' commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from craft.apply.single_run import Plan, Task
from craft.blackbox.backbones import export_side
from craft.blackbox.images import __main__ as images
from craft.blackbox.images import decode
from craft.blackbox.text import tokenise
from craft.client import describe, upload
from craft.client import tokenise as remote_tokenise
from craft.data import manifest, splits
from craft.design.runs import Run
from craft.evaluation import score
from craft.files import paths
from craft.files.shipped import BACKBONES, DATASETS
from craft.files.suite import suite_content, write_suite
from craft.fit import __main__ as fit

RESULTS = "results"

#: A command's ``main``.
Command = Callable[[Sequence[str]], None]


class Steps:
    """The steps in order, in the suite's working folder; a step with existing outputs is skipped.

    Every command writes its outputs whole or not at all, so existing outputs are complete.
    """

    def __init__(self, task: Task, plan: Plan, cores: int) -> None:
        self._task, self._plan, self._cores = task, plan, str(cores)
        self._names = {"dataset": task.name, "backbone": task.backbone}
        self._dataset = f"{DATASETS}/{task.name}.yaml"
        self._backbone = f"{BACKBONES}/{task.backbone}.yaml"
        self._weights = ["--weights", plan.weights] if plan.weights else []
        self._trained = [run for run in plan.runs if run.shots]
        self._copies = [
            *dict.fromkeys(copy for run in self._trained for copy in run.options.copies)
        ]
        self._drawn = [self._at(paths.SPLIT, shots=r.shots, seed=r.seed) for r in self._trained]

    def run(self) -> None:
        """Run all steps."""
        self._list()
        self._draw()
        self._export("text", paths.TOWER)
        self._tokenise()
        self._encode()
        if any(run.options.encodes_images for run in self._plan.runs):
            self._export("image", paths.IMAGE_TOWER)
            self._decode()
        for run in self._plan.runs:
            self._fit(run)
            self._score(run)

    def _at(self, pattern: str, **names: object) -> str:
        return paths.at(RESULTS, pattern, **self._names | names)

    def _make(self, command: Command, outputs: Sequence[str], *arguments: str) -> None:
        if not all(Path(path).exists() for path in outputs):
            command([*arguments])

    def _list(self) -> None:
        out = self._at(paths.MANIFEST)
        self._make(
            manifest.main,
            [out],
            *("--dataset", self._dataset, "--root", str(self._task.images)),
            *("--threads", self._cores, "--out", out),
        )

    def _draw(self) -> None:
        task = self._task
        if self._drawn:
            self._make(
                splits.main,
                self._drawn,
                *("--manifest", self._at(paths.MANIFEST), "--dataset", task.name),
                *("--shots", str(task.shots), "--seed", str(task.seed), "--out-pattern"),
                f"{RESULTS}/{paths.SPLIT}".replace("{dataset}", task.name),
            )

    def _export(self, side: str, pattern: str) -> None:
        out = self._at(pattern)
        if self._plan.service:
            self._make(describe.main, [out], "--backbone", self._backbone, "--out", out)
            return
        given = ("--side", side, "--backbone", self._backbone, *self._weights)
        self._make(export_side.main, [out], *given, "--out", out)

    def _tokenise(self) -> None:
        out = self._at(paths.PROMPTS)
        self._make(
            remote_tokenise.main if self._plan.service else tokenise.main,
            [out],
            *("--backbone", self._backbone, "--manifest", self._at(paths.MANIFEST)),
            *("--dataset", self._dataset, "--out", out),
        )

    def _encode(self) -> None:
        self._images("none", "none", pattern=paths.FEATURES, parts=("train", "test"))
        if self._copies:  # those of drawn images alone
            parts = ["train"] * len(self._copies)
            self._images(*self._copies, pattern=paths.FEATURES, parts=parts, drawn=self._drawn)

    def _decode(self) -> None:
        kinds = ["none", *self._copies]
        parts = ["train"] * len(kinds)
        self._images(*kinds, pattern=paths.PIXELS, parts=parts, drawn=self._drawn)
        self._images("none", pattern=paths.PIXELS, parts=["test"])

    def _images(
        self,
        *kinds: str,
        pattern: str,
        parts: Sequence[str],
        drawn: Sequence[str] = (),
    ) -> None:
        """Encode, upload or decode copies of images; the splits ``drawn`` select them."""
        outputs = [
            self._at(pattern, part=part if kind == "none" else f"{part}-{kind}")
            for kind, part in zip(kinds, parts, strict=True)
        ]
        count = len(outputs)
        encoding = pattern == paths.FEATURES and not self._plan.service
        computed = [*self._weights, "--device", self._task.device] if encoding else []
        encode = images.main if encoding else upload.main
        self._make(
            encode if pattern == paths.FEATURES else decode.main,
            outputs,
            *("--backbone", self._backbone, *computed),
            *("--manifest", *[self._at(paths.MANIFEST)] * count),
            *("--root", *[str(self._task.images)] * count),
            *("--dataset", *[self._dataset] * count, "--part", *parts, "--copy", *kinds),
            *(("--splits", *drawn) if drawn else ()),
            *("--threads", self._cores, "--out", *outputs),
        )

    def _job(self, run: Run) -> list[str]:
        """Write the job's file; return the arguments that name it."""
        name, job = self._plan.jobs[run]
        path = self._at(f"{paths.CACHE}/jobs/{job.digest}.json")
        write_suite(path, suite_content({}, {name: job}))
        return ["--suite", path, "--job", name, "--digest", job.digest]

    def _fit(self, run: Run) -> None:
        name, _ = self._plan.jobs[run]
        out, plan = self._at(paths.FITTED, batch=name), self._plan
        parts = ["train", *(f"train-{copy}" for copy in run.options.copies)] if run.shots else []
        folder = Path(self._at(paths.SPLIT, shots=run.shots, seed=run.seed)).parents[1]
        given = ["--train", *(self._at(paths.FEATURES, part=part) for part in parts)]
        given += ["--splits", str(folder)] if run.shots else []
        if run.options.encodes_images:
            pixels = (self._at(paths.PIXELS, part=part) for part in parts)
            given += ["--image-tower", self._at(paths.IMAGE_TOWER), "--train-pixels", *pixels]
            given += ["--test-pixels", f"{run.dataset}={self._at(paths.PIXELS, part='test')}"]
        if plan.service:
            url, key = plan.service
            given += ["--service", url, "--key-variable", key]
        self._make(
            fit.main,
            [out],
            *(*self._job(run), "--device", self._task.device),
            *("--dtype", plan.dtype, "--threads", str(plan.threads)),
            *("--tower", self._at(paths.TOWER), "--prompts", self._at(paths.PROMPTS)),
            *(*given, "--tests", f"{run.dataset}={self._at(paths.FEATURES, part='test')}"),
            *("--out", f"{RESULTS}/{paths.RUNS_FOLDER}"),
            *("--cache", self._at(f"{paths.CACHE}/fit"), "--fitted", out),
        )

    def _score(self, run: Run) -> None:
        name, _ = self._plan.jobs[run]
        out = self._at(paths.SCORED, batch=name)
        self._make(
            score.main,
            [out],
            *(*self._job(run), "--runs", f"{RESULTS}/{paths.RUNS_FOLDER}"),
            *("--manifests", f"{run.dataset}={self._at(paths.MANIFEST)}", "--scored", out),
        )
