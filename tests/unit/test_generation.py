"""A generation of CraFT at the black box: what it holds in memory, and how often it waits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from craft.blackbox.local_box import LocalBox
from craft.learner.collaborative import Collaborative
from craft.runtime.memory import peak_memory_mb, reset_peak_memory

POPULATION = 20


class Tower:
    """Text features that depend on the context, of as many classes as asked for."""

    context_length, context_width, embedding_std, logit_scale = 2, 8, 0.1, 100.0

    def __init__(self, classes: int, features: int, device: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.class_names = [f"class {n}" for n in range(classes)]
        self.text = torch.randn(classes, features, generator=generator).to(device)
        self.mix = torch.randn(16, features, generator=generator).to(device)

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        change = offsets.to(self.mix.device).flatten(1) @ self.mix
        return F.normalize(self.text + change[:, None], dim=-1)


def problem(classes: int, images: int, features: int, device: str = "cpu") -> SimpleNamespace:
    generator = torch.Generator().manual_seed(1)
    rows = F.normalize(torch.randn(images, features, generator=generator), dim=-1)
    box = LocalBox(Tower(classes, features, device), {"train": rows}, max_block_bytes=8 << 20)
    return SimpleNamespace(box=box, labels=(torch.arange(images) % classes).to(device))


def fit(posed: SimpleNamespace, generations: int) -> Collaborative:
    options = {"population": POPULATION, "intrinsic_dim": 8, "hidden": 16}
    learner = Collaborative(budget=POPULATION * generations, **options)
    return learner.fit(posed.box, posed.labels, seed=1)


def test_population_times_images_times_classes_is_never_held() -> None:
    """Scaled down: 20 x 4000 x 400 scores are 122 MB, and the losses' terms several times that."""
    posed = problem(classes=400, images=4000, features=16)
    fit(posed, 1)  # what PyTorch keeps from a first use
    reset_peak_memory()
    before = peak_memory_mb()
    fit(posed, 1)
    assert peak_memory_mb() - before < 80


def test_a_generation_waits_for_its_losses_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the device "meta" nothing is computed, so whatever asks for a number raises."""
    waits = []

    def brought(name: str, made_up):
        original = getattr(torch.Tensor, name)

        def bring(self: torch.Tensor):
            if not self.is_meta:
                return original(self)
            waits.append((name, self.numel()))
            return made_up(self.shape)

        monkeypatch.setattr(torch.Tensor, name, bring)

    brought("cpu", torch.rand)
    brought("tolist", lambda shape: torch.rand(shape).tolist())
    learner = fit(problem(classes=5, images=10, features=4, device="meta"), 3)
    # The losses of each population, and at the end two numbers of each refinement at once.
    assert waits == [("cpu", POPULATION)] * 3 + [("tolist", 6)]
    assert len(learner.history_) == 3


def test_a_refinement_on_broken_scores_ends_the_fit() -> None:
    posed = problem(classes=5, images=10, features=4)
    predict = posed.box.predict

    def broken(name: str, offsets: torch.Tensor, purpose: str = "search"):
        for block in predict(name, offsets, purpose):
            yield block / 0 if purpose == "refine" else block

    posed.box.predict = broken
    with pytest.raises(FloatingPointError, match="not finite"):
        fit(posed, 1)
