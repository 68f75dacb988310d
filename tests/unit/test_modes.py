"""Modes: what the released code sets per data set and shots, one difference at a time, checked."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from craft.config.load import ConfigError, load
from craft.config.option_checks import check_block, check_learner_options, differing
from craft.design import option_layers
from craft.design.learner_options import learner_options
from craft.design.runs import Design
from craft.learner.options import RELEASED

PAPER = load("config/config.yaml")
MINI = yaml.safe_load(Path("config/mini.yaml").read_text())


@pytest.fixture
def config() -> dict[str, Any]:
    return deepcopy(PAPER)


def stored(config: dict[str, Any], method: str, dataset: str = "EuroSAT", shots: int = 16) -> str:
    return Design(config).cell(method, "RN50", dataset, shots)[0].method


@pytest.mark.parametrize(("shots", "budget"), [(1, 2000), (2, 4000), (4, 4000), (8, 8000)])
def test_released_values_go_by_shots(config: dict[str, Any], shots: int, budget: int) -> None:
    assert Design(config).options("craft@mode=released", "EuroSAT", shots)["budget"] == budget
    assert "budget" not in Design(config).options("craft", "EuroSAT", shots)


def test_released_values_go_by_data_set() -> None:
    design = Design(PAPER)
    pets = design.options("craft@mode=released", "OxfordPets", 16)
    imagenet = design.options("craft@mode=released", "ImageNet", 16)
    assert (pets["batch_size"], pets["hidden"], pets["context_rule"]) == (64, 256, "fresh-mean")
    assert (imagenet["lambda1"], imagenet["hidden"], imagenet["context_rule"]) == (0, 512, "best")
    assert (imagenet["budget"], imagenet["projection"]) == (4000, "uniform")
    assert "batch_size" not in imagenet


def test_a_suite_in_released_mode_sets_it_for_every_method_but_coop(config: dict[str, Any]) -> None:
    config["options"]["mode"] = "released"
    design = Design(config)
    assert design.options("bbt", "DTD", 16)["projection_std"] == 1
    assert design.options("alternate", "DTD", 16)["lambda1"] == 0  # the method's own
    assert "projection_std" not in design.options("coop-16", "DTD", 16)
    assert "mode" not in design.options("zero-shot", "DTD", 0)


def test_given_options_win_over_released_ones(config: dict[str, Any]) -> None:
    def hidden() -> int:
        return Design(config).options("craft@mode=released", "EuroSAT", 16)["hidden"]

    seen = [hidden()]
    config["facts"]["EuroSAT"]["released"]["hidden"] = 1
    seen.append(hidden())
    config["options"]["hidden"] = 2
    seen.append(hidden())
    config["options"]["released"] = {"hidden": {"16": 3}}
    seen.append(hidden())
    config["dataset_options"] = {"EuroSAT": {"hidden": 4}}
    seen.append(hidden())
    config["dataset_options"]["EuroSAT"]["released"] = {"hidden": 5}
    seen.append(hidden())
    config["methods"]["craft"]["options"] = {"hidden": 6}
    seen.append(hidden())
    config["methods"]["craft"]["options"]["released"] = {"hidden": 7}
    seen.append(hidden())
    config["methods"]["craft"]["dataset_options"] = {"EuroSAT": {"hidden": {"16": 8}}}
    seen.append(hidden())
    config["methods"]["craft"]["dataset_options"]["EuroSAT"]["released"] = {"hidden": 9}
    seen.append(hidden())
    assert seen == [256, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert Design(config).options("craft@mode=released@hidden=6", "EuroSAT", 16)["hidden"] == 6
    assert Design(config).options("craft", "EuroSAT", 16)["hidden"] == 8
    assert Design(config).options("craft", "DTD", 16)["hidden"] == 6


def test_a_data_sets_file_sets_options_of_one_learner(config: dict[str, Any]) -> None:
    coop = "craft.whitebox.coop:CoOp"
    config["facts"]["ImageNet"]["learner_options"] = {
        coop: {"epochs": {"1": 50, "16": 60}, "batch_size": 8}
    }
    design = Design(config)
    there = design.options("coop-16", "ImageNet", 16)
    assert (there["epochs"], there["batch_size"]) == (60, 8)
    assert design.options("coop-4", "ImageNet", 1)["epochs"] == 50
    assert "epochs" not in design.options("coop-16", "DTD", 16)
    assert not {"epochs", "batch_size"} & set(design.options("craft", "ImageNet", 16))
    assert "epochs" not in design.options("zero-shot", "ImageNet", 0)
    config["methods"]["coop-16"]["options"]["epochs"] = 7
    assert design.options("coop-16", "ImageNet", 16)["epochs"] == 7


def test_released_values_of_one_learner_reach_no_other(config: dict[str, Any]) -> None:
    refine = "craft.learner.refine_only:RefineOnly"
    config["options"]["mode"] = "released"
    config["facts"]["DTD"]["learner_options"] = {refine: {"released": {"learning_rate": 0.5}}}
    design = Design(config)
    assert design.options("refine", "DTD", 16)["learning_rate"] == 0.5
    assert "learning_rate" not in design.options("craft", "DTD", 16)
    config["options"]["mode"] = "paper"
    assert "learning_rate" not in design.options("refine", "DTD", 16)


def test_a_method_chooses_its_mode_for_one_data_set(config: dict[str, Any]) -> None:
    config["methods"]["craft"]["dataset_options"] = {"DTD": {"mode": "released"}}
    design = Design(config)
    assert design.options("craft", "DTD", 16)["feature_norm"] == "raw"
    assert "feature_norm" not in design.options("craft", "EuroSAT", 16)


def test_the_order_of_keys_is_no_part_of_a_suite() -> None:
    def reverse(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reverse(value[key]) for key in reversed(value)}
        return value

    suite = yaml.safe_load(Path("config/config.yaml").read_text())
    other = {
        key: value if key == "methods" else reverse(value) for key, value in reversed(suite.items())
    }
    other["methods"] = {name: reverse(spec) for name, spec in suite["methods"].items()}
    here, there = Design(load(suite)), Design(load(other))
    for artefact in here.artefacts():
        assert json.dumps(here.restrict(artefact)) == json.dumps(there.restrict(artefact))
    for run in here.all_runs:
        key = (run.method, run.dataset, run.shots)
        assert json.dumps(here.options(*key)) == json.dumps(there.options(*key))


def test_released_as_a_value_is_the_modes_value_there(config: dict[str, Any]) -> None:
    design = Design(config)
    assert design.options("craft@lambda1=released", "DTD", 16)["lambda1"] == 0.001
    assert design.options("craft@budget=released", "DTD", 1)["budget"] == 2000
    assert design.options("craft@hidden=released", "DTD", 16)["hidden"] == RELEASED["hidden"]
    # Released mode says nothing of it: what the suite says stays.
    assert design.options("craft@population=released", "DTD", 16)["population"] == 40


def test_equal_options_share_a_run(config: dict[str, Any]) -> None:
    assert stored(config, "craft@mode=paper") == "craft"
    assert stored(config, "craft@lambda1=released") == "craft"  # 0.01 = 0.1 / 10 classes
    assert stored(config, "craft@lambda1=released", "DTD") == "craft@lambda1=0.001"
    assert stored(config, "craft@mode=paper@hidden=released") == "craft@hidden=256"
    assert stored(config, "craft@hidden=released", "ImageNet") == "craft"
    assert stored(config, "craft@budget=released") == "craft"
    assert stored(config, "craft@budget=released", shots=4) == "craft@budget=4000"
    assert stored(config, "coop-4@learning_rate=0.001") == "coop-4@learning_rate=0.001"
    assert stored(config, "coop-4@learning_rate=0.002") == "coop-4"  # its own default


def test_a_suite_in_released_mode_has_paper_mode_as_the_other_one(config: dict[str, Any]) -> None:
    config["options"]["mode"] = "released"
    assert stored(config, "craft@mode=released") == "craft"
    assert stored(config, "craft@mode=paper") == "craft@mode=paper"
    told = stored(config, "craft@mode=paper@hidden=released")
    assert told == "craft@mode=paper@hidden=256"
    design = Design(config)
    assert design.options(told, "EuroSAT", 16)["hidden"] == 256
    assert "feature_norm" not in design.options(told, "EuroSAT", 16)


@pytest.mark.parametrize(
    "value", [None, True, False, 3, -2, 0.1, 1e-3, 0.02552, 1 / 3, "fresh-mean", "a||b"]
)
def test_ids_spell_values_that_can_be_read_back(value: Any) -> None:
    assert option_layers.parsed(option_layers.spelled(value)) == value


def test_every_option_that_released_mode_sets_is_one_difference() -> None:
    named = [name for names in option_layers.DIFFERENCES.values() for name in names]
    assert len(named) == len(set(named))
    assert set(RELEASED) <= set(named)
    in_files = [fact.get("released", {}) for fact in PAPER["facts"].values()]
    assert {name for block in in_files for name in block} <= set(named)
    few_shot = [PAPER["facts"][name]["released"] for name in PAPER["datasets"]]
    assert all({"budget", "sigma", "lambda1", "lambda2"} <= set(block) for block in few_shot)


def test_views_that_a_run_reads() -> None:
    assert option_layers.copies({}) == ()
    assert option_layers.copies({"views": 2}) == (1, 2)
    assert option_layers.copies({"views": 2, "search_view": 1}) == (1, 2)
    assert option_layers.copies({"search_view": 3}) == (3,)


def test_a_design_that_went_through_json_says_the_same(config: dict[str, Any]) -> None:
    there = Design(json.loads(json.dumps(config)))
    assert there.options("craft@mode=released", "EuroSAT", 1)["budget"] == 2000
    assert there.runs("discrepancies") == Design(config).runs("discrepancies")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"sigm": 1}, "released.sigm = 1: unknown name 'sigm'; did you mean 'sigma'?"),
        ({"mode": "paper"}, "released.mode = 'paper': unknown name"),
        ({"mode": {"1": "paper"}}, "released.mode = {'1': 'paper'}: expected one mode"),
        ({"learning_rate": 1.0}, "released.learning_rate = 1.0: unknown name"),
        ({"hidden": "wide"}, "released.hidden = 'wide': accepted: int"),
        ({"context_rule": "last"}, "released.context_rule = 'last': accepted: mean, fresh-mean"),
        ({"budget": {"1": "few"}}, "released.budget = 'few': accepted: int"),
        ({"budget": {"one": 80}}, "released.budget: 'one': accepted: a number of shots"),
        ({"budget": {"0": 80}}, "released.budget: '0': accepted: a number of shots, in quotes"),
        ({"budget": {}}, "released.budget = {}: accepted: a value, or one for each"),
    ],
)
def test_a_wrong_released_block_is_named(block: dict[str, Any], message: str) -> None:
    known = differing(learner_options("craft.learner.options:Options"))
    assert message in "\n".join(check_block(block, known, "released"))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"craft.whitebox.coop:CoOpp": {}}, "learner_options.craft.whitebox.coop:CoOpp: class"),
        ({"craft.whitebox.cop:CoOp": {}}, "learner_options.craft.whitebox.cop:CoOp: module"),
        ({"craft.whitebox.coop:CoOp": {"epoch": 1}}, "CoOp.epoch = 1: unknown name 'epoch'; did"),
        ({"craft.whitebox.coop:CoOp": {"epochs": {"16": 0}}}, "CoOp.epochs = 0: accepted: at"),
        ({"craft.whitebox.coop:CoOp": {"mode": "paper"}}, "CoOp.mode = 'paper': unknown name"),
        ({"craft.whitebox.coop:CoOp": {"released": 3}}, "CoOp.released = 3: expected options"),
        (
            {"craft.whitebox.coop:CoOp": {"released": {"epochs": "all"}}},
            "CoOp.released.epochs = 'all': accepted: int",
        ),
    ],
)
def test_a_wrong_block_of_a_learners_options_is_named(block: dict[str, Any], message: str) -> None:
    assert message in "\n".join(check_learner_options(block))


def problems(**changes: Any) -> str:
    """What is wrong with the mini suite with these keys instead."""
    with pytest.raises(ConfigError) as caught:
        load(deepcopy(MINI) | changes, source="suite.yaml")
    return "\n".join(caught.value.problems)


def test_shots_without_a_released_value_stop_the_suite_that_needs_it() -> None:
    by_shots = {"options": MINI["options"] | {"released": {"budget": {"1": 400, "4": 800}}}}
    assert load(deepcopy(MINI) | by_shots | {"artefacts": {"dataset_statistics": {}}})
    found = problems(**by_shots)
    assert "options.released.budget: expected a value for 16 shots, got values for 1, 4" in found


def test_options_are_checked_with_what_released_mode_adds() -> None:
    found = problems(options=MINI["options"] | {"released": {"budget": {"16": 20}}})
    assert "budget: 20 queries are less than one population of 40" in found
    found = problems(options=MINI["options"] | {"mode": "released", "lambda2_share": 3.0})
    assert "lambda2_share = 3.0: accepted: at least 0 and at most 1" in found


def test_coop_has_no_released_mode() -> None:
    methods = deepcopy(MINI["methods"])
    methods["coop-4"]["options"]["mode"] = "released"
    assert "methods.coop-4.options.mode = 'released': accepted: paper" in problems(methods=methods)
    del methods["coop-4"]["options"]["mode"]
    found = problems(methods=methods, options=MINI["options"] | {"mode": "released"})
    assert "methods.coop-4.mode = 'released': accepted: paper" in found


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"shots": [16]}, "artefacts.discrepancies.method is missing"),
        ({"shots": [16], "method": "crft"}, "discrepancies.method: unknown name 'crft'; did you"),
        (
            {"shots": [16], "method": "craft", "differences": ["hiden"]},
            "discrepancies.differences: unknown name 'hiden'; did you mean 'hidden'?",
        ),
        (
            {"shots": [16], "method": "craft", "differences": ["layer=3"]},
            "discrepancies.differences: layer=3: unknown name 'layer'; did you mean 'layers'?",
        ),
        (
            {"shots": [16], "method": "craft", "differences": ["layers=1"]},
            "craft@layers=1.layers = 1: accepted: at least 2",
        ),
        (
            {"shots": [16], "method": "craft", "values": [1.0]},
            "discrepancies.values = [1.0]: accepted in discrepancies: backbones, datasets, diff",
        ),
    ],
)
def test_a_wrong_table_of_differences_is_named(spec: dict[str, Any], message: str) -> None:
    assert message in problems(artefacts={"discrepancies": spec})


def test_coop_has_fifty_epochs_on_imagenet_at_every_number_of_shots() -> None:
    design = Design(PAPER)
    for method in ("coop-4", "coop-16"):
        for shots in (1, 2, 4, 8, 16):
            assert design.options(method, "ImageNet", shots)["epochs"] == 50
            assert "epochs" not in design.options(method, "DTD", shots)
    assert "epochs" not in design.options("craft", "ImageNet", 16)
