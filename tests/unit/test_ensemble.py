"""LFA's mean over a data set's templates: its features, and the run that is given them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from craft.blackbox.text.ensemble import TemplateMean
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import Prompts, PromptTokens
from craft.files.descriptions import read_dataset
from craft.files.records import RunRecord
from craft.files.suite import JobRun
from craft.fit.__main__ import main
from tests.unit.small_model import NAMES, RUN_FOLDER, arguments, text_weights, write_inputs

ROOT = Path(__file__).resolve().parents[2]


def towers(count: int, width: int = 512, classes: int = 47) -> list[TextTower]:
    weights = text_weights(width=width, heads=8, positions=12)
    names = tuple(f"class {k}" for k in range(classes))
    suffixes = tuple((3 + k % 16, 19) for k in range(classes))
    return [
        TextTower(weights, PromptTokens("a {}.", names, 0, tuple(range(1, 1 + words)), suffixes))
        for words in range(count)
    ]


def test_features_are_the_mean_of_unit_features_at_unit_length() -> None:
    each = towers(8)  # contexts of 0 to 7 words
    mean = TemplateMean(each)
    texts = [t.encode(torch.zeros(1, t.context_length, t.context_width))[0] for t in each]
    expected = F.normalize(sum(texts) / 8, dim=1)
    found = mean.encode(torch.zeros(2, 0, 512))
    assert found.shape == (2, 47, 8)
    for row in found:
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-6)
    assert (mean.context_length, mean.context_width) == (0, 512)
    assert mean.positions == sum(tower.positions for tower in each)


def test_it_has_no_context_to_change() -> None:
    mean = TemplateMean(towers(2, width=16, classes=2))
    with pytest.raises(ValueError, match="context"):
        mean.with_context(torch.zeros(3, 16))
    with pytest.raises(ValueError, match="context"):
        mean.leading(1)


def test_imagenet_names_eight_templates_and_no_other_set_any() -> None:
    found = {
        path.stem: read_dataset(path)["templates"] for path in (ROOT / "config/datasets").iterdir()
    }
    eight = found.pop("ImageNet")
    assert len(set(eight)) == 8 and eight[0] == "a photo of a {}."
    assert not any(found.values())


@pytest.mark.parametrize("learner", ["lfa:LFA", "cbbt:CBBT"])
def test_a_run_of_lfa_alone_is_given_the_mean(learner: str, tmp_path: Path) -> None:
    write_inputs(tmp_path)
    path = tmp_path / "prompts.json"

    def predictions(out: str) -> tuple[bytes, RunRecord]:
        options = {"iterations": 0, "shrinkage": 1.0}  # the box's own scores
        options = options if "lfa" in learner else {"epochs": 1, "directions": 2}
        run = JobRun(1, 1, options, ("toy",))
        main([*arguments(tmp_path, learner, run), "--out", str(tmp_path / out)])
        folder = tmp_path / out / RUN_FOLDER.format(1, 1)
        made = (folder / "predictions.safetensors").read_bytes()
        return made, RunRecord.read(folder / "record.json")

    alone, before = predictions("alone")
    prompts = Prompts.read(path)
    suffixes = tuple((9 - k, 19) for k in range(len(NAMES)))
    other = PromptTokens("the {} art.", NAMES, 0, (2,), suffixes)
    replace(prompts, ensemble=(other, other)).write(path)
    averaged, after = predictions("averaged")
    assert (averaged != alone) == ("lfa" in learner)
    assert before.queries == after.queries
    assert len(json.loads(path.read_text())["ensemble"]) == 2
