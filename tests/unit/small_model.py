"""A small random model, images and splits, as files that the fit step reads."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from craft.blackbox.residual_block import BLOCK
from craft.blackbox.text.tokenise import Prompts, PromptTokens
from craft.blackbox.text.weights import TextWeights
from craft.files.datasets import Split
from craft.files.image_features import Features
from craft.files.records import RunRecord
from craft.files.suite import Job, JobRun, suite_content, write_suite

WIDTH, EMBED, CLASSES, PER_CLASS = 16, 8, 4, 6
NAMES = tuple(f"class {k}" for k in range(CLASSES))
OPTIONS = {"budget": 80, "population": 20, "intrinsic_dim": 4, "hidden": 8, "curve_points": 4}


def text_weights(width: int = WIDTH, heads: int = 2, positions: int = 12) -> TextWeights:
    """One block of random weights."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"qkv": (3 * width, width), "out": (width, width), "fc": (32, width)}
    shapes |= {"proj": (width, 32), "ln_1": (width,), "ln_2": (width,)}
    tensors = {
        "token_embedding": torch.randn(20, width, generator=generator),
        "positional_embedding": 0.1 * torch.randn(positions, width, generator=generator),
        "ln_final.weight": torch.ones(width),
        "ln_final.bias": torch.zeros(width),
        "projection.weight": torch.randn(EMBED, width, generator=generator),
    }
    for name in BLOCK:
        layer, kind = name.split(".")
        shape = shapes[layer] if kind == "weight" else shapes[layer][:1]
        tensors[f"blocks.0.{name}"] = 0.3 * torch.randn(shape, generator=generator)
    return TextWeights(
        tensors=tensors,
        layers=1,
        heads=heads,
        eps=1e-5,
        activation="quick_gelu",
        pooling="argmax",
        eos_id=-1,
        logit_scale=20.0,
        embedding_std=1.0,
    )


def features(part: str, *, dataset: str = "toy", view: int = 0, classes=range(CLASSES), **changes):
    rng = np.random.default_rng([len(part), len(dataset), view])
    rows = rng.standard_normal((CLASSES * PER_CLASS, EMBED)).astype(np.float32)
    norms = np.linalg.norm(rows, axis=1)
    made = Features(
        features=rows / norms[:, None],
        norms=norms,
        paths=tuple(f"{part}/{n}.png" for n in range(len(rows))),
        backbone="small",
        dataset=dataset,
        part=part,
        view=view,
        classes=tuple(classes),
        manifest_sha256="m",
        weights_sha256="w",
    )
    return replace(made, **changes)


def write_inputs(folder: Path) -> None:
    """Everything that a fit reads: two seeds of one shot, one of two shots, one view."""
    text_weights().write(folder / "tower.safetensors", {"weights_sha256": "w"})
    suffixes = tuple((3 + k, 19) for k in range(CLASSES))
    tokens = PromptTokens("a {}.", NAMES, 0, (1, 2), suffixes)
    template = PromptTokens("{} texture.", NAMES, 0, (), suffixes)
    Prompts("small", "toy", tokens, template).write(folder / "prompts.json")
    features("train").write(folder / "train.safetensors")
    features("train", view=1).write(folder / "view.safetensors")
    features("test").write(folder / "test.safetensors")
    features("test", dataset="s", classes=(1, 3)).write(folder / "shifted.safetensors")
    for seed in (1, 2):
        paths = tuple(f"train/{k * PER_CLASS + seed}.png" for k in range(CLASSES))
        split = Split("toy", 1, seed, paths, tuple(range(CLASSES)), NAMES)
        split.write(folder / f"splits/shots-1/seed-{seed}.json")
    paths = tuple(f"train/{k * PER_CLASS + n}.png" for k in range(CLASSES) for n in (3, 4))
    labels = tuple(k for k in range(CLASSES) for _ in range(2))
    Split("toy", 2, 1, paths, labels, NAMES).write(folder / "splits/shots-2/seed-1.json")


#: Folder of a run of :func:`arguments` below the output folder.
RUN_FOLDER = "m/small/toy/shots-{}/seed-{}"


def arguments(files: Path, name: str, *runs: JobRun, **changes: str) -> list[str]:
    """Arguments of the command on those inputs, all but the output folder; the job is in a file."""
    package = "craft.whitebox" if name.startswith("coop") else "craft.learner"
    identity = {"method": "m", "backbone": "small", "dataset": "toy"} | changes
    job = Job(**identity, learner=f"{package}.{name}", runs=runs)
    suite = files / f"{job.digest}.json"
    write_suite(suite, suite_content({}, {"job": job}))
    given = ["--suite", str(suite), "--job", "job", "--digest", job.digest]
    given += ["--fitted", f"{files}/fitted.json"]
    given += ["--tower", f"{files}/tower.safetensors", "--prompts", f"{files}/prompts.json"]
    if any(run.shots for run in runs):
        given += ["--train", f"{files}/train.safetensors", f"{files}/view.safetensors"]
        given += ["--splits", f"{files}/splits"]
    given += ["--tests", f"toy={files}/test.safetensors", f"s={files}/shifted.safetensors"]
    return given


def timeless(record: RunRecord) -> dict:
    """A record without what differs between two equal runs."""
    measured = ("fit_seconds", "predict_seconds", "peak_memory_mb", "started", "ended")
    return {key: value for key, value in asdict(record).items() if key not in measured}
