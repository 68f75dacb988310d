"""The layout of results is spelled in one module."""

import pytest

from craft.design.option_layers import Variant
from craft.design.runs import Run
from craft.files import paths
from craft.learner.options import Options


def test_a_run_lies_where_its_design_says():
    run = Run("craft", "RN50", "DTD", 16, 3, Variant("craft"), "module:Class", Options())
    assert run.folder == "craft/RN50/DTD/shots-16/seed-3"
    found = paths.at("results/x", paths.SCORE, **vars(run))
    assert found == "results/x/runs/craft/RN50/DTD/shots-16/seed-3/score.json"
    with pytest.raises(KeyError):
        paths.at("results", paths.RUN, method="craft")
