"""`dtype: auto`: bfloat16 in the search of learners that rank, float32 in all else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from craft.files.records import RunRecord
from craft.files.suite import JobRun
from craft.fit import arithmetic
from craft.fit.__main__ import load_learner, main
from craft.fit.arithmetic import TextDtypes, has_bfloat16
from tests.unit.small_model import OPTIONS, RUN_FOLDER, arguments, write_inputs

RANKING = ["collaborative:Collaborative", "prompt_only:PromptOnly", "yu:Yu"]
OTHERS = ["gauss_newton:GaussNewton", "zip:ZIP", "refine_only:RefineOnly", "lfa:LFA"]


@pytest.fixture(params=[True, False], ids=["with bfloat16", "without"])
def processor(request, monkeypatch) -> bool:
    capabilities = {"avx2": True, "avx512_bf16": request.param}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    return request.param


@pytest.mark.parametrize("learner", RANKING + OTHERS)
def test_auto_is_bfloat16_where_losses_are_only_ranked(processor, learner):
    cls = load_learner(f"craft.learner.{learner}")
    fast = processor and learner in RANKING
    found = TextDtypes.of("auto", cls, "cpu")
    assert found == TextDtypes(search="bfloat16" if fast else "float32", rest="float32")


@pytest.mark.parametrize("asked", ["float32", "bfloat16", "float16"])
def test_a_named_type_is_that_of_everything(processor, asked):
    cls = load_learner("craft.learner.collaborative:Collaborative")
    assert TextDtypes.of(asked, cls, "cpu") == TextDtypes(search=asked, rest=asked)
    assert has_bfloat16(torch.device("cpu")) == processor


def record_of(folder: Path, dtype: str, learner: str) -> tuple[RunRecord, bytes]:
    """The record of a fit, and its history."""
    run = JobRun(1, 1, OPTIONS, ("toy",))
    out = folder / dtype
    main([*arguments(folder, learner, run), "--dtype", dtype, "--out", str(out)])
    place = out / RUN_FOLDER.format(1, 1)
    return RunRecord.read(place / "record.json"), (place / "history.csv").read_bytes()


def test_only_the_search_is_in_bfloat16_and_the_record_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(arithmetic, "has_bfloat16", lambda device: True)
    write_inputs(tmp_path)
    auto, history = record_of(tmp_path, "auto", "collaborative:Collaborative")
    exact, expected = record_of(tmp_path, "float32", "collaborative:Collaborative")
    assert (auto.machine["search_dtype"], auto.machine["text_dtype"]) == ("bfloat16", "float32")
    assert (exact.machine["search_dtype"], exact.machine["text_dtype"]) == ("float32", "float32")
    assert auto.queries == exact.queries
    assert auto.initial_accuracy == exact.initial_accuracy, "asked outside the search"
    rows = [line.split(b",") for line in (history.splitlines()[1], expected.splitlines()[1])]
    assert rows[0] != rows[1], "losses of the search are rounded"
    asked, _ = record_of(tmp_path, "auto", "refine_only:RefineOnly")
    assert asked.machine["search_dtype"] == "float32"
