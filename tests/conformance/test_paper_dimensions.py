"""Every learner at the paper's sizes: d = 512, L x D = 2,048, hidden width 512, K = 47 (DTD)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import PromptTokens
from craft.config.load import load
from craft.design.runs import Design
from craft.learner.base import Learner
from craft.learner.collaborative import Collaborative
from craft.learner.gauss_newton import GaussNewton
from craft.learner.refine_only import RefineOnly
from craft.learner.yu import Yu
from craft.protocol import QueryMeter, VisualSide
from craft.whitebox.coop import CoOp
from craft.whitebox.white_box import WhiteBox
from tests.unit.small_model import text_weights

from .test_learners import learners

ROOT = Path(__file__).resolve().parents[2]
CLASSES, PER_CLASS, FEATURES = 47, 2, 64
GENERATIONS = 6  # two-point adaptation of pycma 4.5 raises in the third
RULES = ("mean", "fresh-mean", "best")
SEARCHING = ("Collaborative", "PromptOnly", "Sequential")
BLACK_BOX = [cls for cls in learners() if cls().access == "predictions"]


class PaperSizedBox:
    """Scores 100 * cos(image, text), text features linear in the context before they are normed."""

    context_length, context_width, embedding_std = 4, 512, 0.015

    def __init__(self, uploads: tuple[str, ...]) -> None:
        generator = torch.Generator().manual_seed(0)
        draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
        self.class_names = tuple(f"class {k}" for k in range(CLASSES))
        self.labels = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
        self.image_sets = {name: len(self.labels) for name in uploads}
        self.meter = QueryMeter()
        self._classes = draw(CLASSES, FEATURES)
        self._shift = draw(2048, FEATURES)
        images = self._classes[self.labels] + 3 * draw(len(self.labels), FEATURES)
        self._images = {  # uploads are views of the same images
            name: F.normalize(images + 0.1 * draw(*images.shape), dim=1) for name in uploads
        }

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Logits (8, N, 47) at a time."""
        self.meter.charge(purpose, len(context_offsets))
        for block in context_offsets.split(8):
            text = self._classes + (block.flatten(1) @ self._shift)[:, None]  # (B, K, E)
            yield 100 * self._images[image_set] @ F.normalize(text, dim=2).mT


def fit(cls: type[Learner], **options: object) -> tuple[Learner, PaperSizedBox]:
    """A learner of these options after GENERATIONS generations, and its box."""
    given = options | {"budget": GENERATIONS * 40}
    resolved = cls.Options.resolve(given)
    views = tuple(f"view-{view}" for view in range(1, resolved.views + 1)) or ("train",)
    box = PaperSizedBox(("train", "view-1", *views))
    search = "view-1" if resolved.search_view else "train"
    learner = cls(**given)
    learner.fit(box, box.labels, seed=1, train_set=search, refine_sets=views)
    return learner, box


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("mode", ["paper", "released"])
@pytest.mark.parametrize("cls", BLACK_BOX, ids=lambda cls: cls.__name__)
def test_every_method_mode_and_context_rule_fits(cls, mode: str, rule: str) -> None:
    if cls.__name__ not in SEARCHING and rule != "mean":
        pytest.skip("it has no search, and so no rule for a context of it")
    if mode not in cls.Options.__dataclass_fields__["mode"].metadata["accepted"]:
        pytest.skip("no code of it was released")
    learner, box = fit(cls, mode=mode, context_rule=rule)
    assert learner.options.intrinsic_dim == 512
    logits = learner.predict(box, "train")
    assert logits.shape == (CLASSES * PER_CLASS, CLASSES) and torch.isfinite(logits).all()
    if cls.__name__ in SEARCHING:
        searched = [row for row in learner.history_ if "sigma" in row]
        assert len(searched) == GENERATIONS
        assert box.meter.counts["search"] == GENERATIONS * 40
        assert searched[-1]["search_loss_mean"] < searched[0]["search_loss_mean"]
    if hasattr(learner, "refiner_"):
        hidden = 512 if mode == "paper" else 256
        assert learner.refiner_.head[0].weight.shape == (hidden, CLASSES)
        refined = [row for row in learner.history_ if "refine_loss" in row]
        assert refined[-1]["refine_loss"] < refined[0]["refine_loss"]


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        pytest.param(GaussNewton, {"head": "probe"}, id="gauss-newton"),
        pytest.param(GaussNewton, {"head": "joint"}, id="joint", marks=pytest.mark.exhaustive),
        pytest.param(Collaborative, {"gate": True}, id="gate"),
        pytest.param(RefineOnly, {"solver": "convex", "gate": True}, id="convex"),
    ],
)
def test_options_of_this_project_fit(cls: type[Learner], options: dict) -> None:
    learner, box = fit(cls, **options)
    probabilities = learner.predict(box, "train").double().exp()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(box.labels)).double())
    assert box.meter.counts["search"] == learner.queries_ <= 240
    restored = cls(**learner.options.as_dict()).restore(learner.state())
    assert torch.equal(restored.predict(box, "train").double().exp(), probabilities)


class PaperSizedVisualBox(PaperSizedBox):
    """Eight blank tokens; the scores of prompted images move with the tokens' directions."""

    context_length = 8
    visual = VisualSide(most_tokens=5, width=768)

    def __init__(self) -> None:
        super().__init__(("train",))
        generator = torch.Generator().manual_seed(1)
        self._shift = torch.randn(8 * 512, FEATURES, generator=generator)
        self._seen = 0.1 * torch.randn(5 * 768, FEATURES, generator=generator)

    def predict(
        self,
        image_set: str,
        context_offsets: torch.Tensor,
        purpose: str = "search",
        visual_prompts: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """Logits (1, N, 47) at a time."""
        assert visual_prompts is not None and visual_prompts.shape[1:] == (5, 768)
        self.meter.charge(purpose, len(context_offsets), len(self.labels) * len(context_offsets))
        for offset, tokens in zip(context_offsets, visual_prompts, strict=True):
            text = F.normalize(self._classes + offset.flatten() @ self._shift, dim=1)
            seen = self._images[image_set] + F.normalize(tokens, dim=1).flatten() @ self._seen
            yield 100 * (F.normalize(seen, dim=1) @ text.T)[None]


@pytest.mark.parametrize(
    ("cls", "options"),
    [(Yu, {}), (Collaborative, {"visual_tokens": 5, "context_tokens": 8})],
)
def test_visual_prompts_of_the_papers_size_are_searched(cls: type[Learner], options: dict) -> None:
    box = PaperSizedVisualBox()
    learner = cls(**options, budget=GENERATIONS * 40).fit(box, box.labels, seed=1)
    first, last = (learner.history_[n]["search_loss_mean"] for n in (0, -1))
    assert last < first
    assert learner.offset_.shape == (1, 8, 512) and learner.visual_.shape == (1, 5, 768)
    work = learner.work(len(box.labels), CLASSES)
    assert work.images == box.meter.images["search"] + box.meter.images["refine"]
    # A direction is all that a token has: the search starts with tokens of standard deviation 1.
    if cls is Yu:
        assert 0.8 < learner.visual_.std() < 1.25


def test_every_data_sets_released_options_fit() -> None:
    """What the table ``discrepancies`` runs, ImageNet's block beside those of the ten."""
    suite = load(ROOT / "config/config.yaml", ROOT)
    design, seen = Design(suite), {}
    for dataset in suite["datasets"]:
        options = design.options("craft@mode=released", dataset, 16)
        learner, _ = fit(Collaborative, **options.as_dict())
        key = repr(sorted(learner.options.__dict__.items()))
        seen.setdefault(key, learner.history_[-1]["search_loss_best"])
    assert len(seen) == len(set(seen.values())) > 5
    assert np.isfinite(list(seen.values())).all()


def test_coop_fits_at_the_papers_width() -> None:
    weights = text_weights(width=512, heads=8, positions=24)
    suffixes = tuple((3 + k % 16, 19) for k in range(CLASSES))
    names = tuple(f"class {k}" for k in range(CLASSES))
    tower = TextTower(weights, PromptTokens("a {}.", names, 0, (1, 2, 3, 4), suffixes))
    labels = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    images = F.normalize(torch.randn(len(labels), 8, generator=torch.Generator().manual_seed(0)))
    learner = CoOp(epochs=4, learning_rate=0.02)
    learner.fit(WhiteBox(tower, {"train": images}), labels, seed=1)
    losses = [row["loss"] for row in learner.history_]
    assert len(losses) == 4 and losses[-1] < losses[1]
    assert learner.state()["offset"].shape == (1, 16, 512)
