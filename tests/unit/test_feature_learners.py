"""LFA and CBBT where the result is known: no step taken, and an adapter without a share."""

from __future__ import annotations

import torch

from craft.learner.cbbt import CBBT, Adapter
from craft.learner.lfa import LFA
from craft.learner.procrustes import orthogonal_map, shrunk
from tests.conformance.toy import ToyFeatureBox


def test_an_adapter_without_a_share_is_the_identity() -> None:
    features = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
    generator = torch.Generator().manual_seed(1)
    adapter = Adapter(8, CBBT(adapter_ratio=0.0).options, generator)
    torch.testing.assert_close(adapter(features), features)
    shared = Adapter(8, CBBT(adapter_ratio=0.5).options, generator)
    assert (shared(features) - features).abs().max() > 1e-3


def test_lfa_without_a_step_is_the_shrunk_closed_form() -> None:
    box = ToyFeatureBox()
    labels = box.labels["train"]
    learner = LFA(iterations=0, shrinkage=0.3).fit(box, labels, seed=1)
    (texts,) = next(box.text_features(torch.zeros(1, 1, 4)))
    aligned = orthogonal_map(box.image_features("train"), texts[labels])
    torch.testing.assert_close(learner.weight_, shrunk(aligned, 0.3).float())
