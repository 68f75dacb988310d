from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from craft.config.load import load
from craft.design.artefacts import ARTEFACTS, comparisons
from craft.design.option_layers import Variant, spelled
from craft.design.request import request
from craft.design.runs import ZERO_SHOT, Design, Run
from craft.learner.options import Options

CONFIG = load("config/mini.yaml")


@pytest.fixture
def config() -> dict[str, Any]:
    return deepcopy(CONFIG)


def test_a_folder_spells_the_design() -> None:
    varied = Variant("craft", changes=(("lambda1", 0.03),))
    run = Run(varied.id, "RN50", "EuroSAT", 16, 2, varied, "m:L", Options())
    assert run.folder == "craft@lambda1=0.03/RN50/EuroSAT/shots-16/seed-2"


def test_artefacts_come_in_the_papers_order(config: dict[str, Any]) -> None:
    config["artefacts"] = dict(reversed(config["artefacts"].items()))
    names = Design(config).artefacts()
    assert names == tuple(name for name in ARTEFACTS if name in config["artefacts"])


def test_zero_shot_is_one_run_whatever_the_seeds(config: dict[str, Any]) -> None:
    design = Design(config)
    (run,) = design.cell(ZERO_SHOT, "mini-rn", "digits", 16)
    assert run.folder == "zero-shot/mini-rn/digits/shots-0/seed-0"
    assert len(design.cell("craft", "mini-rn", "digits", 16)) == len(config["seeds"])


def test_a_run_named_by_two_artefacts_is_listed_once(config: dict[str, Any]) -> None:
    design = Design(config)
    runs = design.all_runs
    assert len(runs) == len(set(runs))
    shared = set(design.runs("architectures")) & set(design.runs("few_shot_curves"))
    assert shared
    named = sum(len(design.runs(name)) for name in design.artefacts())
    assert len(runs) < named


def test_a_method_is_in_the_artefacts_that_it_names(config: dict[str, Any]) -> None:
    design = Design(config)
    assert "coop-4" in design.methods("robustness")
    assert "coop-4" not in design.methods("architectures")


def test_a_new_method_appears_in_every_comparison(config: dict[str, Any]) -> None:
    config["methods"]["new"] = {"learner": "craft.learner.prompt_only:PromptOnly"}
    design = Design(config)
    for artefact in set(comparisons()) & set(design.artefacts()):
        assert "new" in design.methods(artefact)


def test_the_swept_value_that_a_method_has_anyway_is_its_own_run(config: dict[str, Any]) -> None:
    # digits has 10 classes: 0.1 / 10 is the default of both lambdas.
    def stored(value: float) -> str:
        design = Design(config)
        variant = design.variants("ablation_lambda1")[spelled(value)]
        return design.cell(variant.id, "mini-rn", "digits", 16)[0].method

    assert stored(0.01) == "craft"
    assert stored(0.03) == "craft@lambda1=0.03"
    config["options"]["lambda1"] = 0.03
    assert stored(0.03) == "craft"


def test_swept_values_are_run_and_named_exactly(config: dict[str, Any]) -> None:
    values = [1e-5, 0.1234567, 0.12345671, 0.0, 2]
    config["artefacts"]["ablation_lambda1"]["values"] = values
    design = Design(config)
    rows = design.variants("ablation_lambda1")
    runs = [design.cell(variant.id, "mini-rn", "digits", 16)[0] for variant in rows.values()]
    assert len({run.folder for run in runs}) == len(values)
    assert [run.options.lambda1 for run in runs] == values
    assert [float(row) for row in rows] == values
    assert [run.method for run in runs] == [f"craft@lambda1={row}" for row in rows]


def test_one_number_is_one_run_however_it_is_written(config: dict[str, Any]) -> None:
    whole = Design(config).cell("craft", "mini-rn", "digits", 16)[0].options
    config["options"]["sigma"] = 1
    assert Design(config).cell("craft", "mini-rn", "digits", 16)[0].options.as_dict() == (
        whole.as_dict()
    )
    assert type(Design(config).options("craft", "digits", 16).sigma) is float


def test_later_options_win(config: dict[str, Any]) -> None:
    config["options"] = {"sigma": 1.0, "bound": 1.0, "hidden": 8, "layers": 2}
    config["dataset_options"] = {"digits": {"bound": 2.0, "hidden": 16, "layers": 3}}
    config["methods"]["craft"]["options"] = {"hidden": 32, "layers": 4}
    config["artefacts"]["discrepancies"]["differences"] = [{"layers": 5}]
    design = Design(config)
    varied = design.variants("discrepancies")["layers=5"]
    options = design.options(varied.id, "digits", 16)
    assert (options.sigma, options.bound, options.hidden, options.layers) == (1.0, 2.0, 32, 5)
    assert design.options("craft", "objects", 16).bound == 1.0


def test_shifted_test_sets_belong_to_the_runs_of_their_table(config: dict[str, Any]) -> None:
    design = Design(config)
    source, targets = config["shift"]["source"], tuple(config["shift"]["targets"])
    shown = design.runs("robustness")[-1]
    assert design.tests_of(shown) == (source, *targets)
    other = design.cell("linear", "mini-rn", source, 1)[0]
    assert design.tests_of(other) == (source,)
    del config["artefacts"]["robustness"]
    assert Design(config).tests_of(shown) == (source,)


def test_what_an_artefact_asks_for_does_not_change_with_other_methods(
    config: dict[str, Any],
) -> None:
    before = request(Design(config), "ablation_residual")
    config["methods"]["coop-4"]["label"] = "something else"
    config["artefacts"]["architectures"]["shots"] = [1]
    assert request(Design(config), "ablation_residual") == before


# --- methods that are not run everywhere, and runs that have images encoded ---


def test_a_method_is_run_on_the_backbones_and_data_sets_that_it_names(config) -> None:
    config["methods"]["bpt-vlm"] |= {"backbones": ["mini-vit"], "datasets": ["digits", "textures"]}
    design = Design(config)
    for artefact in ("blackbox_assumptions", "blackbox_methods"):
        runs = [run for run in design.runs(artefact) if run.method == "bpt-vlm"]
        assert {run.backbone for run in runs} == {"mini-vit"}
        named = set(design.datasets(artefact)) & {"digits", "textures"}
        assert {run.dataset for run in runs} == named
        cells = [cell for cell in request(design, artefact)["cells"] if cell[0] == "bpt-vlm"]
        assert {cell[1] for cell in cells} == {"mini-vit"}
        assert len(cells) == len(runs)
    assert {run.backbone for run in design.runs("blackbox_assumptions")} > {"mini-vit"}


def test_runs_that_have_images_encoded_read_pixels_and_the_image_tower(config) -> None:
    design = Design(config)
    (run, *_) = design.cell("craft-vp", "mini-vit", "digits", 16)
    inputs = design.inputs(run)
    assert inputs["image-tower"] == "backbones/mini-vit/image.safetensors"
    assert inputs["pixels/train"] == "pixels/mini-vit/digits/train.safetensors"
    assert inputs["pixels/test/digits"] == "pixels/mini-vit/digits/test.safetensors"
    (plain, *_) = design.cell("craft", "mini-vit", "digits", 16)
    assert not [role for role in design.inputs(plain) if role.startswith(("pixels", "image"))]


def test_yus_settings_by_data_set_hold_in_mode_released_alone() -> None:
    paper = load("config/config.yaml")
    for mode, budgets in (
        ("paper", {"DTD": 8000, "OxfordPets": 8000, "Flowers102": 8000}),
        ("released", {"DTD": 36_000, "OxfordPets": 3600, "Flowers102": 25_200}),
    ):
        paper["options"]["mode"] = mode
        design = Design(paper)
        for dataset, budget in budgets.items():
            options = design.options("bpt-vlm", dataset, 16)
            assert (options.budget, options.intrinsic_dim) == (budget, 500)
            assert options.population == (40 if mode == "paper" else 30)
            assert (options.context_tokens, options.visual_tokens) == (8, 5)
            assert (options.context_rule, options.search_view) == ("best", 0)
        assert design.options("craft-vp", "DTD", 16).access == "visual-prompts"


def test_runs_with_an_encoder_read_its_features_of_their_own_images(config) -> None:
    design = Design(config)
    (run, *_) = design.cell("blackvip", "mini-vit", "digits", 16)
    inputs = design.inputs(run)
    assert inputs["codes/train"] == "features/mini-rn/digits/train.safetensors"
    assert inputs["codes/test/digits"] == "features/mini-rn/digits/test.safetensors"
    assert inputs["train"] == "features/mini-vit/digits/train.safetensors"
    assert "pixels/train" in inputs and "pixels/codes/train" not in inputs
    (plain, *_) = design.cell("craft-vp", "mini-vit", "digits", 16)
    assert not [role for role in design.inputs(plain) if role.startswith("codes")]


def test_blackvips_length_holds_in_both_modes_and_its_settings_in_one() -> None:
    """Steps: 521,500 over the eleven data sets; crops of every image in mode released alone."""
    paper = load("config/config.yaml")
    for mode in ("paper", "released"):
        paper["options"]["mode"] = mode
        design, steps = Design(paper), 0
        for dataset in paper["datasets"]:
            options = design.options("blackvip", dataset, 16)
            images = {"OxfordPets": 592, "SUN397": 6352, "ImageNet": 16_000}.get(dataset)
            images = images or 16 * paper["facts"][dataset]["counts"]["classes"]
            steps += options.epochs * max(1, images // options.batch_size)
            tuned = options.momentum, options.step_decay, options.step, options.prompt_scale
            if mode == "paper":
                assert tuned == (0.9, 0.2, 0.01, 0.3) and options.copies == ()
            elif dataset == "Flowers102":
                assert tuned == (0.5, 0.2, 0.02, 1.0)
                assert options.copies == tuple(f"crop-{n}" for n in range(1, 11))
        assert steps == 521_500
    (run, *_) = design.cell("blackvip", "ViT-B-16", "DTD", 16)
    role = "codes/train-crop-10"
    assert design.inputs(run)[role] == "features/MAE-ViT-B-16/DTD/train-crop-10.safetensors"


def test_cbbts_own_copies_are_those_of_mode_released() -> None:
    paper = load("config/config.yaml")
    for mode, copies in (("paper", ()), ("released", tuple(f"cutout-{n}" for n in range(1, 11)))):
        paper["options"]["mode"] = mode
        design = Design(paper)
        assert design.options("cbbt", "DTD", 16).copies == copies
        (run, *_) = design.cell("cbbt", "ViT-B-16", "DTD", 16)
        assert ("train-cutout-10" in design.inputs(run)) == (mode == "released")
