"""What a plan counts, on the paper's design; what finished runs correct of its seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from craft.blackbox.backbones.description import architecture, complete
from craft.config.load import load
from craft.design.runs import ZERO_SHOT, Design, Run
from craft.files.paths import FETCHED, at
from craft.plan.cost import Cost, Pace, images_of, of_run, starts, to_fetch, weights_of
from craft.plan.dry_run import Pending
from craft.plan.plan import make_plan
from craft.plan.summary import Plan, size, summary

SUITE = load("config/config.yaml")
DESIGN = Design(SUITE)
RN50 = architecture(complete(SUITE["backbone_facts"]["RN50"]))


def left(*runs: Run, other: tuple[str, ...] = (), suite: Any = SUITE, **jobs: int) -> Pending:
    records = [f"{suite['results']}/runs/{run.folder}/record.json" for run in runs]
    return Pending(jobs, frozenset([*records, *other]), suite)


def plan(todo: Pending, at_a_time: int = 1) -> Plan:
    return make_plan(["a_target"], todo, at_a_time)


def run_of(method: str, backbone: str, dataset: str, shots: int, seed: int) -> Run:
    runs = DESIGN.cell(method, backbone, dataset, shots)
    return next(run for run in runs if run.seed == seed or not run.shots)


def cost(method: str, dataset: str, shots: int) -> Cost:
    return of_run(DESIGN, run_of(method, "RN50", dataset, shots, 1), RN50)


def test_the_papers_queries_are_counted_by_method() -> None:
    made = plan(left(*DESIGN.all_runs))
    assert sum(made.runs.values()) == made.total_runs == len(DESIGN.all_runs)
    budget = dict.fromkeys(
        ("bbt", "craft", "sequential", "alternate", "no-residual", "linear"), 8000
    )
    budget |= dict.fromkeys(("zero-shot", "refine", "coop-4", "coop-16"), 0)
    for method, total in made.fits.items():
        if (name := method.partition("@")[0]) in budget:
            assert total.search == budget[name] * made.runs[method], method
        assert bool(total.other) == (not method.startswith("coop")), method
    assert {method.partition("@")[0] for method in made.fits} >= set(budget)


def test_a_run_is_counted_as_it_will_be_metered() -> None:
    # 200 contexts to refine with; 20 points of five test sets; its own training images at the
    # untouched context and at the end.
    on_imagenet = cost("craft", "ImageNet", 16)
    assert (on_imagenet.search, on_imagenet.other) == (8000, 200 + 20 * 5 + 2)
    assert cost("craft", "EuroSAT", 1).other == 200 + 20 + 2
    assert cost("bbt", "EuroSAT", 1).other == 20 + 2
    assert cost("refine", "EuroSAT", 1).other == 1 + 1 + 2
    assert cost(ZERO_SHOT, "EuroSAT", 0).other == 1


def test_images_that_a_fit_has_encoded_are_counted_with_their_hours() -> None:
    (run, *_) = DESIGN.cell("bpt-vlm", "ViT-B-16", "EuroSAT", 16)
    built = architecture(complete(SUITE["backbone_facts"]["ViT-B-16"]))
    prompted = of_run(DESIGN, run, built)
    # 8,000 candidates on 160 images; the test images and the shots at the end.
    assert prompted.encoded == 8000 * 160 + 8100 + 160
    (plain, *_) = DESIGN.cell("bbt", "ViT-B-16", "EuroSAT", 16)
    assert of_run(DESIGN, plain, built).encoded == 0
    (both, *_) = DESIGN.cell("craft-vp", "ViT-B-16", "EuroSAT", 16)
    assert of_run(DESIGN, both, built).encoded == prompted.encoded + 200 * 160
    assert prompted.seconds > 100 * of_run(DESIGN, plain, built).seconds
    pixels = tuple(
        f"{SUITE['results']}/pixels/ViT-B-16/EuroSAT/{part}.safetensors"
        for part in ("test", "train")
    )
    made = plan(left(run, other=pixels))
    assert made.pixels.bytes == (8100 + 3 * 160) * 3 * 224**2
    assert f"{prompted.encoded:,}" in summary(made)


def test_an_encoders_images_and_weights_are_those_of_its_runs() -> None:
    (run, *_) = DESIGN.cell("blackvip", "ViT-B-16", "EuroSAT", 16)
    built = architecture(complete(SUITE["backbone_facts"]["ViT-B-16"]))
    table = of_run(DESIGN, run, built)
    # 5,000 steps, ten uploads of 128 images each; 8,100 test images and the shots by the hundred.
    assert (table.search, table.encoded) == (50_000, 5000 * 10 * 128 + 8100 + 160)
    assert table.other == 81 + 2 + 1
    assert table.scorings == table.encoded + 160
    # Ten class names through the text tower once: a thousandth of what a second of images is.
    images_alone = 0.27 * table.encoded + 0.05 * 5000
    assert table.seconds == pytest.approx(images_alone + 10 * 2.6e-3, rel=1e-9)
    codes = f"{SUITE['results']}/features/MAE-ViT-B-16/EuroSAT/train.safetensors"
    made = plan(left(run, other=(codes,)))
    # Drawn images alone: five numbers of shots, three seeds.
    assert made.images == (1 + 2 + 4 + 8 + 16) * 10 * 3
    assert made.features.bytes > made.images * 768 * 4
    assert made.weights == {"MAE-ViT-B-16": 4 * 111_907_840}


def test_a_run_of_eurosats_size_takes_what_was_measured() -> None:
    # benchmarks/figures/whole_run.json: 147 s on two cores of a Xeon, most of it the text forward.
    measured = json.loads(Path("benchmarks/figures/whole_run.json").read_text())["wall s"]
    assert measured / 2 < cost("craft", "EuroSAT", 16).seconds < 2 * measured


def test_seconds_follow_classes_and_gradients() -> None:
    assert cost("bbt", "ImageNet", 1).seconds > 50 * cost("bbt", "EuroSAT", 1).seconds
    assert cost("coop-16", "EuroSAT", 16).seconds > 2 * cost("coop-16", "EuroSAT", 4).seconds > 0


def test_only_runs_that_are_left_cost() -> None:
    runs = DESIGN.runs("ablation_residual")
    some, every = plan(left(*runs[:10])), plan(left(*runs))
    assert sum(some.runs.values()) == 10
    assert sum(every.runs.values()) == len(runs) == 495
    assert some.busy < every.busy / 10


def test_time_is_shared_by_jobs_down_to_the_longest_run() -> None:
    todo = left(
        *(run_of("craft", "RN50", "EuroSAT", 16, seed) for seed in (1, 2, 3)), fit_learner=3
    )
    one = cost("craft", "EuroSAT", 16).seconds
    assert plan(todo).wall == pytest.approx(3 * one + starts(todo.jobs))
    assert plan(todo, 2).wall == pytest.approx((3 * one + starts(todo.jobs)) / 2)
    assert plan(todo, 64).wall == pytest.approx(one)


def test_finished_runs_correct_the_seconds(tmp_path: Path) -> None:
    suite = SUITE | {"results": str(tmp_path)}
    design = Design(suite)
    done, other = (run_of("craft", "RN50", "EuroSAT", 16, seed) for seed in (1, 2))
    record = tmp_path / "runs" / done.folder / "record.json"
    record.parent.mkdir(parents=True)
    table = cost("craft", "EuroSAT", 16).seconds
    record.write_text(json.dumps({"fit_seconds": 2.5 * table, "predict_seconds": 0.5 * table}))
    pace = Pace(design, {"RN50": RN50})
    assert pace.records == 1
    assert pace.of(other) == pytest.approx(3)
    made = plan(left(other, suite=suite))
    assert made.longest == pytest.approx(3 * table) and made.records == 1
    record.write_text("{")  # it will be made again
    assert Pace(design, {"RN50": RN50}).of(other) == 1


def test_records_of_the_same_method_and_backbone_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {
        run_of("craft", "RN50", "EuroSAT", 16, 1): 2,
        run_of("bbt", "RN50", "EuroSAT", 16, 1): 4,
    }
    for run, factor in runs.items():
        record = tmp_path / "runs" / run.folder / "record.json"
        record.parent.mkdir(parents=True)
        seconds = factor * of_run(DESIGN, run, RN50).seconds
        record.write_text(json.dumps({"fit_seconds": seconds, "predict_seconds": 0}))
    pace = Pace(Design(SUITE | {"results": str(tmp_path)}), {"RN50": RN50})
    assert pace.of(run_of("craft", "RN50", "DTD", 1, 2)) == pytest.approx(2)
    assert pace.of(run_of("bbt", "RN50", "DTD", 1, 2)) == pytest.approx(4)
    assert 2 < pace.of(run_of("linear", "RN50", "DTD", 1, 2)) < 4
    assert 2 < pace.of(run_of("craft", "RN101", "DTD", 1, 2)) < 4


def test_images_to_encode_are_those_that_are_left() -> None:
    features = f"{SUITE['results']}/features/ViT-B-16/EuroSAT"
    names = ("test.safetensors", "train-view-1.safetensors")
    made = plan(left(other=tuple(f"{features}/{name}" for name in names)))
    assert made.images == 8100 + 13500
    assert made.features.seconds > 0
    assert made.features.bytes > made.images * 512 * 4
    # Of ImageNet only what splits draw: five numbers of shots, three seeds.
    assert images_of(DESIGN, "ImageNet", "train") == (1 + 2 + 4 + 8 + 16) * 1000 * 3


def test_gigabytes_are_those_of_data_sets_that_are_missing(tmp_path: Path) -> None:
    suite = SUITE | {"data": str(tmp_path)}
    names = ["EuroSAT", "SUN397", "ImageNet", "FGVCAircraft"]
    found = to_fetch(suite, names)
    assert found["EuroSAT"]["bytes"] == 94658721
    assert (found["SUN397"]["bytes"], found["SUN397"]["unpacked"]) == (39077296924, 16000000000)
    assert found["ImageNet"]["kind"] == "manual"
    (tmp_path / "eurosat/2750").mkdir(parents=True)
    assert [*to_fetch(suite, names)] == names[1:]


def test_weights_from_the_hub_are_counted() -> None:
    local = SUITE["backbone_facts"]["RN101"] | {"weights": "/w.safetensors"}
    unknown = SUITE["backbone_facts"]["ViT-B-32"] | {"parameters": None}
    facts = SUITE["backbone_facts"] | {"RN101": local, "ViT-B-32": unknown}
    found = weights_of(SUITE | {"backbone_facts": facts}, ["RN50", "RN101", "ViT-B-32"])
    assert found == {"RN50": 4 * 102007137, "ViT-B-32": None}


def test_the_page_shows_all_that_was_counted() -> None:
    fetched = ("SUN397", "ImageNet", "FGVCAircraft")
    markers = [at(SUITE["results"], FETCHED, dataset=name) for name in fetched]
    tower = f"{SUITE['results']}/backbones/RN50/text.safetensors"
    runs = [run_of("craft", "RN50", "EuroSAT", 16, seed) for seed in (1, 2, 3)]
    shown = summary(plan(left(*runs, other=(*markers, tower), fit=3, fetch=1), 2))
    counts = ("4 jobs", f"3 of {len(DESIGN.all_runs):,} runs", "24,000", "666")
    sizes = ("39.1 GB of data sets", "16.0 GB of images", "408.0 MB of weights")
    others = ("ImageNet by hand", "FGVCAircraft (unknown size)")
    assert all(part in shown for part in (*counts, *sizes, *others))
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 kB"), (2e3, "2 kB"), (2.5e6, "2.5 MB"), (3.21e9, "3.2 GB")]
)
def test_sizes_are_in_decimal_units(count: float, shown: str) -> None:
    assert size(count) == shown
