"""What a plan counts, on the paper's design and with speeds that are given and not measured."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from craft.config.load import load
from craft.design.runs import ZERO_SHOT, Design, Run
from craft.plan.__main__ import learner_of, make
from craft.plan.cost import Cost, images_of, of_run, to_fetch, weights_of
from craft.plan.dry_run import Pending
from craft.plan.measure import Speed, line
from craft.plan.summary import duration, page, size

SUITE = load("config/config.yaml")
DESIGN = Design(SUITE)
#: A context takes a second alone and half a second among others; all else nothing.
TEXT_ALONE = Speed(
    machine="a machine of numbers",
    population=40,
    text={name: dict.fromkeys(SUITE["facts"], (1.0, 0.5)) for name in SUITE["backbones"]},
    gradient=3.0,
    generation=0.0,
    search=(0.0, 0.0),
    scored=(0.0, 0.0),
    step=(0.0, 0.0),
    image=dict.fromkeys(SUITE["backbones"], 0.0),
    start=(0.0, 0.0),
)
NOTHING = dataclasses.replace(
    TEXT_ALONE,
    text={name: dict.fromkeys(SUITE["facts"], (0.0, 0.0)) for name in SUITE["backbones"]},
)


def record(run: Run) -> str:
    return f"{SUITE['results']}/runs/{run.folder}/record.json"


def left(*runs: Run, other: tuple[str, ...] = (), **jobs: int) -> Pending:
    return Pending(jobs, frozenset([*map(record, runs), *other]))


def cost(method: str, dataset: str, shots: int, speed: Speed = TEXT_ALONE) -> Cost:
    run = Run(method, "RN50", dataset, shots, 1)
    return of_run(run, learner_of(DESIGN, run), DESIGN, 1024, speed)


def test_the_papers_queries_are_counted_by_method() -> None:
    plan = make(SUITE, "all", left(*DESIGN.all_runs), NOTHING, cores=2, gpus=0)
    assert sum(plan.runs.values()) == plan.total_runs == len(DESIGN.all_runs)
    for method, total in plan.fits.items():
        searches = method.partition("@")[0] in {"bbt", "craft", "sequential", "alternate"} | {
            "no-residual",
            "linear",
        }
        assert total.search == (8000 * plan.runs[method] if searches else 0), method
        assert bool(total.other) == (not method.startswith("coop")), method


def test_a_run_is_counted_as_it_will_be_metered() -> None:
    # 200 contexts to refine with; 20 points of five test sets; its own training images at the
    # untouched context and at the end.
    assert (cost("craft", "ImageNet", 16).search, cost("craft", "ImageNet", 16).other) == (
        8000,
        200 + 20 * 5 + 2,
    )
    assert cost("craft", "EuroSAT", 1).other == 200 + 20 + 2
    assert cost("bbt", "EuroSAT", 1).other == 20 + 2
    assert cost("refine", "EuroSAT", 1).other == 1 + 1 + 2
    assert cost(ZERO_SHOT, "EuroSAT", 0).other == 1


def test_seconds_follow_the_counts() -> None:
    assert cost("bbt", "EuroSAT", 1).seconds == 8000 * 0.5 + 22
    # 200 epochs of 5 batches of 32 of the 160 images; one prediction of the test set, two of the
    # training set.
    assert cost("coop-16", "EuroSAT", 16).seconds == 200 * 5 * 3.0 + 3
    images = dataclasses.replace(NOTHING, search=(0.0, 1.0))
    asked = 20 * SUITE["facts"]["EuroSAT"]["counts"]["test"] * 10 / 40
    assert cost("bbt", "EuroSAT", 16, images).seconds == 200 * 160 * 10 + asked
    steps = dataclasses.replace(NOTHING, step=(1.0, 0.0))
    assert cost("craft", "DTD", 16, steps).seconds == 200 * 3  # 752 images in batches of 256


def test_what_is_done_costs_nothing() -> None:
    runs = DESIGN.runs("ablation_residual")
    some = make(SUITE, "t", left(*runs[:10]), TEXT_ALONE, cores=2, gpus=0)
    every = make(SUITE, "t", left(*runs), TEXT_ALONE, cores=2, gpus=0)
    assert sum(some.runs.values()) == 10
    assert sum(every.runs.values()) == len(runs) == 495
    assert some.busy < every.busy / 10


def test_time_is_shared_by_cores_down_to_the_longest_run() -> None:
    runs = [Run("craft", "RN50", "EuroSAT", 16, seed) for seed in (1, 2, 3)]

    def wall(cores: int, gpus: int = 0) -> float:
        return make(SUITE, "t", left(*runs), TEXT_ALONE, cores=cores, gpus=gpus).wall

    one = cost("craft", "EuroSAT", 16).seconds
    assert wall(1) == pytest.approx(3 * one)
    assert wall(2) == pytest.approx(1.5 * one)
    assert wall(64) == pytest.approx(one)
    assert wall(64, gpus=1) == pytest.approx(3 * one)


def test_images_to_encode_are_those_that_are_left() -> None:
    features = f"{SUITE['results']}/features/ViT-B-16/EuroSAT"
    todo = left(other=(f"{features}/test.safetensors", f"{features}/train-view-1.safetensors"))
    speed = dataclasses.replace(NOTHING, image={"ViT-B-16": 2.0})
    plan = make(SUITE, "t", todo, speed, cores=1, gpus=0)
    assert plan.images == 8100 + 13500
    assert plan.features.seconds == 2 * plan.images
    assert plan.features.bytes > plan.images * 512 * 4
    # Of ImageNet only what splits draw: five numbers of shots, three seeds.
    assert images_of(DESIGN, "ImageNet", "train") == (1 + 2 + 4 + 8 + 16) * 1000 * 3


def test_gigabytes_are_those_of_data_sets_that_are_not_there(tmp_path: Path) -> None:
    suite = SUITE | {"data": str(tmp_path)}
    names = ["EuroSAT", "SUN397", "ImageNet", "FGVCAircraft"]
    found = {item.dataset: item for item in to_fetch(suite, names)}
    assert found["EuroSAT"].fetched == 94658721
    assert (found["SUN397"].fetched, found["SUN397"].kept) == (39077296924, 16000000000)
    assert found["ImageNet"].by_hand and found["ImageNet"].fetched is None
    assert found["FGVCAircraft"].fetched is None and not found["FGVCAircraft"].by_hand
    (tmp_path / "eurosat/2750").mkdir(parents=True)
    assert [item.dataset for item in to_fetch(suite, names)] == names[1:]


def test_weights_that_are_not_here_are_counted() -> None:
    local = SUITE["backbone_facts"]["RN101"] | {"weights": "/w.safetensors"}
    unknown = SUITE["backbone_facts"]["ViT-B-32"] | {"parameters": None}
    facts = SUITE["backbone_facts"] | {"RN101": local, "ViT-B-32": unknown}
    found = weights_of(SUITE | {"backbone_facts": facts}, ["RN50", "RN101", "ViT-B-32"])
    assert found == {"RN50": 4 * 102007137, "ViT-B-32": None}
    tower = f"{SUITE['results']}/backbones/ViT-B-32/text.safetensors"
    plan = make(SUITE | {"backbone_facts": facts}, "t", left(other=(tower,)), NOTHING, 1, 0)
    assert "and weights of ViT-B-32, whose size is not known" in page(plan, NOTHING)
    assert "weights of" not in page(make(SUITE, "t", left(), NOTHING, 1, 0), NOTHING)


def test_the_page_says_it_in_words() -> None:
    marker = f"{SUITE['results']}/fetched/SUN397.json"
    tower = f"{SUITE['results']}/backbones/RN50/text.safetensors"
    runs = [Run("craft", "RN50", "EuroSAT", 16, seed) for seed in (1, 2, 3)]
    todo = left(*runs, other=(marker, tower), fit=3, fetch=1)
    shown = page(make(SUITE, "results/t.csv", todo, TEXT_ALONE, cores=2, gpus=0), TEXT_ALONE)
    assert "Plan of results/t.csv (suite paper) on 2 cores" in shown
    assert "4 jobs to run" in shown
    assert f"3 of {len(DESIGN.all_runs):,} runs to make" in shown
    assert "24,000" in shown and "666" in shown
    assert "fetch  39.1 GB" in shown and "16.0 GB of images" in shown
    assert "and 408.0 MB of weights" in shown
    assert len(shown.splitlines()) < 40
    assert max(map(len, shown.splitlines())) <= 100


def test_units_are_a_readers() -> None:
    assert [duration(s) for s in (0.0, 0.4, 30, 600, 7200, 864000)] == [
        "0 s",
        "0.4 s",
        "30 s",
        "10.0 min",
        "2.0 h",
        "10.0 days",
    ]
    assert [size(count) for count in (0, 2e3, 2.5e6, 3.21e9)] == [
        "0 kB",
        "2 kB",
        "2.5 MB",
        "3.2 GB",
    ]


def test_a_speed_survives_its_file() -> None:
    again = Speed(**json.loads(TEXT_ALONE.to_json()))
    run = Run("craft", "RN50", "EuroSAT", 16, 1)
    assert of_run(run, learner_of(DESIGN, run), DESIGN, 1024, again) == cost("craft", "EuroSAT", 16)


def test_a_line_never_promises_less_than_nothing() -> None:
    assert line((100, 1.0), (1100, 2.0)) == pytest.approx((0.9, 0.001))
    assert line((100, 2.0), (1100, 1.0)) == (2.0, 0.0)
    assert line((100, 0.1), (1100, 2.0))[0] == 0.0
