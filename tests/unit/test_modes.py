"""Modes: what the released code sets per data set and shots, one difference at a time, checked."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from craft.config.load import ConfigError, load
from craft.config.option_checks import DIFFERING, check_block, check_learner_options
from craft.design import option_layers
from craft.design.option_layers import Variant
from craft.design.request import request
from craft.design.runs import Design
from craft.learner.options import RELEASED, Options

PAPER = load("config/config.yaml")
MINI = yaml.safe_load(Path("config/mini.yaml").read_text())


@pytest.fixture
def config() -> dict[str, Any]:
    return deepcopy(PAPER)


RELEASED_CRAFT = Variant("craft", mode="released")


def stored(
    config: dict[str, Any], variant: Variant, dataset: str = "EuroSAT", shots: int = 16
) -> str:
    return option_layers.stored(config, variant, dataset, shots).id


def options(
    config: dict[str, Any],
    dataset: str = "EuroSAT",
    shots: int = 16,
    method: str = "craft",
    mode: str | None = None,
    **changes: Any,
) -> Options:
    variant = Variant(method, mode, tuple(changes.items()))
    return option_layers.resolve(config, variant, dataset, shots)


@pytest.mark.parametrize(("shots", "budget"), [(1, 2000), (2, 4000), (4, 4000), (8, 8000)])
def test_released_values_go_by_shots(config: dict[str, Any], shots: int, budget: int) -> None:
    assert options(config, shots=shots, mode="released").budget == budget
    assert options(config, shots=shots).budget == 8000


def test_released_values_go_by_data_set() -> None:
    pets = options(PAPER, "OxfordPets", mode="released")
    imagenet = options(PAPER, "ImageNet", mode="released")
    assert (pets.batch_size, pets.hidden, pets.context_rule) == (64, 256, "fresh-mean")
    assert (imagenet.lambda1, imagenet.hidden, imagenet.context_rule) == (0, 512, "best")
    assert (imagenet.budget, imagenet.projection) == (4000, "uniform")
    assert imagenet.batch_size == 256


def test_a_suite_in_released_mode_sets_it_for_every_method_but_coop(config: dict[str, Any]) -> None:
    config["options"]["mode"] = "released"
    assert options(config, "DTD", method="bbt").projection_std == 1
    assert options(config, "DTD", method="alternate").lambda1 == 0  # the method's own
    assert options(config, "DTD", method="coop-16").projection_std is None
    assert options(config, "DTD", 0, method="zero-shot").mode == "paper"


def test_given_options_win_over_released_ones(config: dict[str, Any]) -> None:
    def hidden() -> int:
        return options(config, mode="released").hidden

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
    assert options(config, mode="released", hidden=6).hidden == 6
    assert options(config).hidden == 8
    assert options(config, "DTD").hidden == 6


def test_a_data_sets_file_sets_options_of_one_learner(config: dict[str, Any]) -> None:
    coop = "craft.whitebox.coop:CoOp"
    config["facts"]["ImageNet"]["learner_options"] = {
        coop: {"epochs": {"1": 50, "16": 60}, "batch_size": 8}
    }
    there = options(config, "ImageNet", method="coop-16")
    assert (there.epochs, there.batch_size) == (60, 8)
    assert options(config, "ImageNet", 1, method="coop-4").epochs == 50
    assert options(config, "DTD", method="coop-16").epochs is None
    assert options(config, "ImageNet").batch_size == 256
    config["methods"]["coop-16"]["options"]["epochs"] = 7
    assert options(config, "ImageNet", method="coop-16").epochs == 7


def test_released_values_of_one_learner_reach_no_other(config: dict[str, Any]) -> None:
    refine = "craft.learner.refine_only:RefineOnly"
    config["options"]["mode"] = "released"
    config["facts"]["DTD"]["learner_options"] = {refine: {"released": {"learning_rate": 0.5}}}
    assert options(config, "DTD", method="refine").learning_rate == 0.5
    assert options(config, "DTD").learning_rate == 0.001
    config["options"]["mode"] = "paper"
    assert options(config, "DTD", method="refine").learning_rate == 0.001


def test_a_learner_of_another_released_code_gets_nothing_of_crafts(config: dict[str, Any]) -> None:
    config["methods"]["other"] = {
        "learner": "tests.unit.own_learners:OfAnotherCode",
        "options": {"mode": "released", "released": {"layers": 3}},
    }
    config["options"]["released"] = {"hidden": 7}
    there = options(config, "DTD", method="other")
    assert (there.mode, there.layers, there.passes) == ("released", 3, 5)
    assert (there.hidden, there.projection_std, there.context_rule) == (512, None, "mean")


def test_a_method_chooses_its_mode_for_one_data_set(config: dict[str, Any]) -> None:
    config["methods"]["craft"]["dataset_options"] = {"DTD": {"mode": "released"}}
    assert options(config, "DTD").feature_norm == "raw"
    assert options(config).feature_norm == "unit"


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
        assert json.dumps(request(here, artefact)) == json.dumps(request(there, artefact))
    for one, other_one in zip(here.all_runs, there.all_runs, strict=True):
        assert one == other_one
        assert json.dumps(one.options.as_dict()) == json.dumps(other_one.options.as_dict())


def test_released_options_are_the_modes_values_there(config: dict[str, Any]) -> None:
    def value(option: str, dataset: str = "DTD", shots: int = 16) -> Any:
        variant = Variant("craft", released=(option,))
        return getattr(option_layers.resolve(config, variant, dataset, shots), option)

    assert value("lambda1") == 0.001
    assert value("budget", shots=1) == 2000
    assert value("hidden") == RELEASED["hidden"]
    assert value("population") == 40  # released mode says nothing of it: the suite's stays


def test_equal_options_share_a_run(config: dict[str, Any]) -> None:
    def released(*names: str, mode: str | None = None) -> Variant:
        return Variant("craft", mode, released=names)

    assert stored(config, Variant("craft", "paper")) == "craft"
    assert stored(config, released("lambda1")) == "craft"  # 0.01 = 0.1 / 10 classes
    assert stored(config, released("lambda1"), "DTD") == "craft@lambda1=0.001"
    assert stored(config, released("hidden", mode="paper")) == "craft@hidden=256"
    assert stored(config, released("hidden"), "ImageNet") == "craft"
    assert stored(config, released("budget")) == "craft"
    assert stored(config, released("budget"), shots=4) == "craft@budget=4000"
    rate = Variant("coop-4", changes=(("learning_rate", 0.001),))
    assert stored(config, rate) == "coop-4@learning_rate=0.001"
    rate = Variant("coop-4", changes=(("learning_rate", 0.002),))
    assert stored(config, rate) == "coop-4"  # its own default


def test_a_suite_in_released_mode_has_paper_mode_as_the_other_one(config: dict[str, Any]) -> None:
    config["options"]["mode"] = "released"
    assert stored(config, RELEASED_CRAFT) == "craft"
    assert stored(config, Variant("craft", "paper")) == "craft@mode=paper"
    hidden = Variant("craft", "paper", released=("hidden",))
    told = option_layers.stored(config, hidden, "EuroSAT", 16)
    assert told == Variant("craft", "paper", changes=(("hidden", 256),))
    there = option_layers.resolve(config, told, "EuroSAT", 16)
    assert (there.hidden, there.feature_norm) == (256, "unit")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (0.1, "0.1"),
        (1e-5, "1e-05"),
        (0.02552, "0.02552"),
        (0.1234567, "0.1234567"),
        (1 / 3, "0.3333333333333333"),
        (1.0, "1"),
        ("a||b", "a||b"),
    ],
)
def test_values_are_spelled_exactly(value: Any, text: str) -> None:
    assert option_layers.spelled(value) == text


def test_every_option_that_released_mode_sets_is_one_difference() -> None:
    named = [name for names in option_layers.DIFFERENCES.values() for name in names]
    assert len(named) == len(set(named))
    assert set(RELEASED) <= set(named)
    in_files = [fact.get("released", {}) for fact in PAPER["facts"].values()]
    assert {name for block in in_files for name in block} <= set(named)
    few_shot = [PAPER["facts"][name]["released"] for name in PAPER["datasets"]]
    assert all({"budget", "sigma", "lambda1", "lambda2"} <= set(block) for block in few_shot)


def test_views_that_a_run_reads() -> None:
    assert Options().copies == ()
    assert Options(views=2).copies == ("view-1", "view-2")
    assert Options(views=2, search_view=1).copies == ("view-1", "view-2")
    assert Options(search_view=3).copies == ("view-3",)


def test_a_design_that_went_through_json_says_the_same(config: dict[str, Any]) -> None:
    here, there = Design(config), Design(json.loads(json.dumps(config)))
    assert there.runs("discrepancies") == here.runs("discrepancies")
    assert [run.options for run in there.all_runs] == [run.options for run in here.all_runs]


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"sigm": 1}, "released.sigm: expected an option of the learner (did you mean 'sigma'?)"),
        ({"mode": "paper"}, "released.mode: expected one of budget, sigma"),
        ({"mode": {"1": "paper"}}, "released.mode: expected one of budget, sigma"),
        ({"learning_rate": 1.0}, "released.learning_rate: expected one of budget, sigma"),
        ({"hidden": "wide"}, "released.hidden: expected int, got 'wide'"),
        ({"context_rule": "last"}, "released.context_rule: expected one of mean, fresh-mean"),
        ({"budget": {"1": "few"}}, "released.budget: expected int, got 'few'"),
        ({"budget": {"one": 80}}, "released.budget: expected a number of shots in quotes"),
        ({"budget": {"0": 80}}, "released.budget: expected a number of shots in quotes, got '0'"),
        ({"budget": {}}, "released.budget: expected a value, or one for each"),
    ],
)
def test_a_wrong_released_block_is_named(block: dict[str, Any], message: str) -> None:
    assert message in "\n".join(map(str, check_block(block, Options, "released", names=DIFFERING)))


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"craft.whitebox.coop:CoOpp": {}}, "has no CoOpp; did you mean 'CoOp'?"),
        ({"craft.whitebox.cop:CoOp": {}}, "there is no module craft.whitebox.cop"),
        ({"craft.whitebox.coop:CoOp": {"epoch": 1}}, "CoOp.epoch: expected an option of the"),
        ({"craft.whitebox.coop:CoOp": {"epochs": {"16": 0}}}, "CoOp.epochs: expected at least 1"),
        ({"craft.whitebox.coop:CoOp": {"mode": "paper"}}, "CoOp.mode: expected one of budget"),
        ({"craft.whitebox.coop:CoOp": {"released": 3}}, "CoOp.released: expected options and v"),
        (
            {"craft.whitebox.coop:CoOp": {"released": {"epochs": "all"}}},
            "CoOp.released.epochs: expected int or null, got 'all'",
        ),
    ],
)
def test_a_wrong_block_of_a_learners_options_is_named(block: dict[str, Any], message: str) -> None:
    assert message in "\n".join(map(str, check_learner_options(block)))


def problems(**changes: Any) -> str:
    """What is wrong with the mini suite with these keys instead."""
    with pytest.raises(ConfigError) as caught:
        load(deepcopy(MINI) | changes, source="suite.yaml")
    return "\n".join(map(str, caught.value.problems))


def test_shots_without_a_released_value_stop_the_suite_that_needs_it() -> None:
    by_shots = {"options": MINI["options"] | {"released": {"budget": {"1": 400, "4": 800}}}}
    assert load(deepcopy(MINI) | by_shots | {"artefacts": {"dataset_statistics": {}}})
    found = problems(**by_shots)
    assert (
        "options.released.budget: expected a value for 16 shots, got {'1': 400, '4': 800}" in found
    )


def test_options_are_checked_with_what_released_mode_adds() -> None:
    found = problems(options=MINI["options"] | {"released": {"budget": {"16": 20}}})
    assert "budget: expected at least one population of 40 queries, got 20" in found
    found = problems(options=MINI["options"] | {"mode": "released", "lambda2_share": 3.0})
    assert "lambda2_share: expected at least 0 and at most 1, got 3.0" in found


def test_coop_has_no_released_mode() -> None:
    methods = deepcopy(MINI["methods"])
    methods["coop-4"]["options"]["mode"] = "released"
    found = problems(methods=methods)
    assert "methods.coop-4.options.mode: expected one of paper, got 'released'" in found
    del methods["coop-4"]["options"]["mode"]
    found = problems(methods=methods, options=MINI["options"] | {"mode": "released"})
    assert "options of coop-4: mode: expected one of paper, got 'released'" in found


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"shots": [16]}, "artefacts.discrepancies.method: expected a value, got nothing"),
        ({"shots": [16], "method": "crft"}, "discrepancies.method: expected one of"),
        (
            {"shots": [16], "method": "craft", "differences": ["hiden"]},
            "did you mean 'hidden'?",
        ),
        (
            {"shots": [16], "method": "craft", "differences": [{"layer": 3}]},
            "discrepancies.differences.layer: expected an option of the learner (did you mean",
        ),
        (
            {"shots": [16], "method": "craft", "differences": [{"layers": 1}]},
            "discrepancies.differences.layers: expected at least 2",
        ),
        (
            {"shots": [16], "method": "craft", "values": [1.0]},
            "discrepancies.values: expected a key of this artefact (backbones, datasets, diff",
        ),
    ],
)
def test_a_wrong_table_of_differences_is_named(spec: dict[str, Any], message: str) -> None:
    assert message in problems(artefacts={"discrepancies": spec})


def test_coop_has_fifty_epochs_on_imagenet_at_every_number_of_shots() -> None:
    for method in ("coop-4", "coop-16"):
        for shots in (1, 2, 4, 8, 16):
            assert options(PAPER, "ImageNet", shots, method=method).epochs == 50
            assert options(PAPER, "DTD", shots, method=method).epochs is None
