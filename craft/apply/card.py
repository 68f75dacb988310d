"""The model card of a tuned model: README.md, with the metadata that a model hub reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from huggingface_hub import EvalResult, ModelCardData

from craft.apply.confusion import CONFUSION, CONFUSION_PLOT, PER_CLASS
from craft.apply.tuned_model import TunedModel


def card(model: TunedModel, counts: np.ndarray) -> str:
    """Return the card's text; ``counts`` (K, K) are test images by class and predicted class."""
    return f"---\n{_metadata(model).to_yaml()}\n---\n\n{_text(model, counts)}"


def _metadata(model: TunedModel) -> ModelCardData:
    hub = model.backbone.get("hub") or {}
    return ModelCardData(
        model_name=f"{model.method} on {model.dataset}",
        library_name="craft",
        pipeline_tag="image-classification",
        tags=["craft", "clip", "few-shot", "black-box-tuning"],
        base_model=hub.get("repo"),
        metrics=["accuracy"],
        eval_results=[
            EvalResult(
                task_type="image-classification",
                dataset_type=model.dataset,
                dataset_name=model.dataset,
                dataset_split="test",
                metric_type="accuracy",
                metric_name="Accuracy (per cent)",
                metric_value=round(model.accuracy, 2),
            )
        ],
    )


def _text(model: TunedModel, counts: np.ndarray) -> str:
    trained = (
        f"Tuned on {model.train_images} images, {model.shots} of each class (seed {model.seed})."
        if model.shots
        else "Not tuned: the answers are the backbone's own."
    )
    before = model.zero_shot_accuracy
    facts = [
        ("method", f"`{model.method}` (`{model.learner}`)"),
        ("access to the backbone", model.access),
        ("backbone", f"{model.backbone['name']}, weights of SHA-256 `{model.backbone['sha256']}`"),
        ("prompt", ", ".join(f"`{each.template}`" for each in model.prompts)),
        ("test images", f"{model.test_images:,}"),
        ("accuracy", f"{model.accuracy:.2f} %"),
        ("accuracy without tuning", "not measured" if before is None else f"{before:.2f} %"),
        *((f"queries, {purpose}", f"{count:,}") for purpose, count in model.queries.items()),
        ("versions", ", ".join(f"{name} {version}" for name, version in model.versions.items())),
    ]
    tested = counts.sum(axis=1)
    by_class = [
        (name, f"{n:,}", f"{100.0 * right / n:.1f} %" if n else "-")
        for name, n, right in zip(model.class_names, tested, counts.diagonal(), strict=True)
    ]
    return "\n".join(
        [
            f"# {model.method} on {model.dataset}",
            "",
            f"An image classifier of {len(model.class_names)} classes: a frozen CLIP-like "
            f"backbone, and a small learner tuned on its answers. {trained}",
            "",
            *_table(("", ""), facts),
            "",
            "## Use",
            "",
            "    craft predict FOLDER-OF-THIS-FILE photo.jpg",
            "",
            "The backbone's weights are not in this folder. They come from the hub, or from "
            "`--weights FILE`; a file with another SHA-256 than above is an error.",
            "",
            "## Accuracy by class",
            "",
            *_table(("class", "test images", "accuracy"), by_class),
            "",
            f"`{PER_CLASS}` holds this table, `{CONFUSION}` the confusion matrix.",
            "",
            f"![Test images by class and predicted class]({CONFUSION_PLOT})",
            "",
            "## Limits",
            "",
            "- Every image gets one of these classes, even if it shows none of them.",
            "- The accuracy holds only for images like the test images.",
            "- Probabilities are not calibrated.",
            "",
        ]
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
