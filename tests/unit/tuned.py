"""Photographs made here, and what is tuned on them."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from craft.apply.export import export
from craft.apply.single_run import Plan, Task
from craft.apply.steps import Steps
from craft.apply.tune import tune
from craft.apply.tuned_model import TunedModel
from craft.files import paths
from craft.files.datasets import Manifest

SHAPES = {
    "circle": lambda draw, box: draw.ellipse(box, fill="red"),
    "square": lambda draw, box: draw.rectangle(box, fill="blue"),
    "star": lambda draw, box: draw.regular_polygon((box[0] + 12, box[1] + 10, 12), 3, fill="green"),
}
SHOTS = 4


def draw_images(folder: Path, count: int = 14) -> None:
    """Draw a folder of images for each shape, on grounds of their own."""
    rng = random.Random(1)
    for shape, draw in SHAPES.items():
        (folder / shape).mkdir(parents=True)
        for number in range(count):
            image = Image.new("RGB", (44, 36), tuple(rng.randrange(140, 256) for _ in range(3)))
            x, y = rng.randrange(12), rng.randrange(8)
            draw(ImageDraw.Draw(image), (x, y, x + 24 + rng.randrange(6), y + 20))
            image.save(folder / shape / f"{number:02}.png")


@dataclass(frozen=True)
class Tuned:
    """A task, the working folder that its suite is kept in, and the portable folder."""

    task: Task
    work: Path
    out: Path
    model: TunedModel

    @property
    def results(self) -> Path:
        """Results of the suite."""
        return self.work / "results"

    @property
    def run(self) -> Path:
        """Folder of the run that was exported."""
        backbone = self.model.backbone["name"]
        names = vars(self.model) | {"backbone": backbone}
        return self.results / paths.RUN.format(**names)

    @property
    def tested(self) -> list[Path]:
        """Files of the test part in its order."""
        manifest = Manifest.read(self.results / paths.MANIFEST.format(dataset="photos"))
        return [self.task.images / image.path for image in manifest.part("test")]

    def by(self, method: str | None, out: Path, **options: object) -> Tuned:
        """Return the same images tuned by another method, on the same features."""
        task = replace(self.task, method=method, options=options)
        task.write(self.work)
        with contextlib.chdir(self.work):
            plan = Plan.read()
            Steps(task, plan, cores=1).run()
        run = self.results / paths.RUN.format(**plan.runs[-1].identity)
        model = export(run, out, self.work)
        self.task.write(self.work)
        return Tuned(task, self.work, out, model)


def tuned(folder: Path) -> Tuned:
    """Return what the default method makes of images drawn below ``folder``."""
    torch.set_num_threads(1)
    draw_images(folder / "photos")
    task = Task(
        images=folder / "photos",
        name="photos",
        backbone="mini-rn",
        method=None,
        options={},
        shots=SHOTS,
        seed=1,
        template="a photo of a {}.",
    )
    work, out = folder / "work", folder / "model"
    return Tuned(task, work, out, tune(task, out, work=work))
