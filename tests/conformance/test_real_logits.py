"""Refinement alone on logits of real CLIP-type models, through the protocol.

``CRAFT_REAL_LOGITS`` names a folder of logits, see benchmarks.real_logits.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.real_logits import RecordedBox, parts
from craft.blackbox.guards.predictions import GuardedBox
from craft.data.splits import draw
from craft.learner.base import accuracy
from craft.learner.refine_only import RefineOnly
from craft.protocol import BlackBox

FOLDER = os.environ.get("CRAFT_REAL_LOGITS")
SHOTS = 16

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not FOLDER, reason="set CRAFT_REAL_LOGITS to a folder of real logits"),
]


def refined(name: str, seeds: int) -> tuple[float, list[float]]:
    """Test accuracy (per cent) at zero shots, and after each seed's refinement."""
    (pool, pool_labels), (test, test_labels), classes = parts(Path(FOLDER), name)
    before, after = accuracy(test, test_labels), []
    for seed in range(1, seeds + 1):
        drawn = torch.tensor(draw(pool_labels.tolist(), SHOTS, seed))
        box = GuardedBox(RecordedBox(classes, {"train": pool[drawn], "test": test}))
        assert isinstance(box, BlackBox)
        learner = RefineOnly(hidden=512).fit(box, pool_labels[drawn], seed=seed)
        after.append(accuracy(learner.predict(box, "test"), test_labels))
        assert box.meter.counts == {"search": 0, "refine": 1, "evaluate": 1}
    return before, after


def test_french_class_names_of_cifar_10_are_mended() -> None:
    before, after = refined("clip_cifar10_french", seeds=10)
    assert before == pytest.approx(85.6, abs=0.05)
    assert np.mean(after) == pytest.approx(88.4, abs=0.3)
    assert np.std(after, ddof=1) == pytest.approx(0.5, abs=0.3)


@pytest.mark.parametrize(
    ("name", "zero_shot", "mean", "tolerance"),
    [
        # Right names, and a model that has little to gain: sixteen shots cost it a point.
        ("siglip2_cifar10", 93.84, 92.9, 0.5),
        # Seven kinds of skin lesions, one of them two thirds of the images.
        ("clip_dermamnist", 24.74, 25.1, 2.0),
        ("siglip_dermamnist", 8.28, 36.1, 4.0),
    ],
)
def test_other_models_reach_what_they_reached(
    name: str, zero_shot: float, mean: float, tolerance: float
) -> None:
    before, after = refined(name, seeds=3)
    assert before == pytest.approx(zero_shot, abs=0.01)
    assert np.mean(after) == pytest.approx(mean, abs=tolerance)
