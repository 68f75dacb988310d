"""Probe over templates, of a service that takes texts."""

from __future__ import annotations

import pytest
import torch

from craft.blackbox.text_box import FixedContextBox
from craft.learner.probe import Probe
from craft.learner.text_probe import TextProbe
from craft.protocol import TextBox
from tests.conformance.toy import ToyTextBox


def test_one_template_is_a_probe_of_a_box_that_has_no_other() -> None:
    box = ToyTextBox()
    assert isinstance(box, TextBox)
    labels = box.labels["train"]
    one = TextProbe(queries=1, templates="a {}.").fit(box, labels, seed=1)
    fixed = FixedContextBox(ToyTextBox(), "a {}.")
    other = Probe().fit(fixed, labels, seed=1)
    assert torch.equal(one.predict(box, "test"), other.predict(fixed, "test"))


def test_templates_are_queries_and_answers_use_them() -> None:
    box = ToyTextBox(per_class=16)
    labels, reached = box.labels["train"], {}
    for queries in (1, 8):
        box.meter.counts |= dict.fromkeys(box.meter.counts, 0)
        learner = TextProbe(queries=queries).fit(box, labels, seed=1)
        answers = learner.predict(box, "test")
        assert box.meter.counts == {"search": 0, "refine": queries, "evaluate": queries}
        reached[queries] = float((answers.argmax(dim=1) == box.labels["test"]).double().mean())
    assert reached[8] >= reached[1] > 0.5


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"templates": "a photo | a {}."}, "templates"),
        ({"templates": "a {} {}."}, "templates"),
        ({"templates": "a {}. | one {}.", "queries": 3}, "queries"),
    ],
)
def test_templates_without_one_place_for_a_name_are_refused(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=f"option {named}: expected"):
        TextProbe(**options)
