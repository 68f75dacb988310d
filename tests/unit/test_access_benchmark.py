"""The benchmark of access: its rows, differences and bars, from made-up logits and runs."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import access
from benchmarks.load import ROOT
from benchmarks.real_logits import names, parts
from craft.config.load import load
from craft.design.runs import Design


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Logits of one model without a training part: 3 classes, 40 images each."""
    generator = np.random.default_rng(0)
    labels = np.tile(np.arange(3), 40)
    logits = generator.normal(size=(120, 3)) + 1.5 * np.eye(3)[labels]
    classes = np.array(["a", "b", "c"])
    np.savez(tmp_path / "toy_test.npz", logits=logits.astype("f4"), labels=labels, classes=classes)
    return tmp_path


def test_the_halves_of_a_test_part_stand_in_for_both(folder: Path) -> None:
    (train, train_labels), (test, test_labels), classes = parts(folder, "toy")
    assert names(folder) == ["toy"] and classes == ("a", "b", "c")
    assert len(train) == len(train_labels) == len(test) == len(test_labels) == 60


def test_real_logits_give_a_file_of_cells_and_bars(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "SHOTS", (1, 4))
    monkeypatch.setenv("CRAFT_REAL_LOGITS", str(folder))
    access.main(["--only", "real", "--smoke", "--figures", str(tmp_path)])
    found = json.loads((tmp_path / "access_real.json").read_text())
    rows = {(r["box"], r["method"], r["shots"]): r for r in found["rows"]}
    methods = (access.ZERO_SHOT, *access.REFINERS, "probe")
    assert {*rows} == {(b, m, s) for b in ("all", "toy") for m in methods for s in (1, 4)}
    least = min(rows["toy", "probe", shots]["minus zero-shot"] for shots in (1, 4))
    bars = {bar["bar"]: bar for bar in found["bars"]}
    assert bars["toy: least change from zero-shot"]["found"] == pytest.approx(least)
    assert all(bar["holds"] == (bar["found"] >= bar["least"]) for bar in bars.values())
    assert len(bars) == 1 + 2 * len(access.REFINERS) and found["seeds"] == 2 and found["date"]


def test_differences_are_paired_by_box_and_seed() -> None:
    cells = [("a", seed, 10.0 * seed, change) for seed, change in ((1, 1.0), (2, 2.0), (3, 6.0))]
    runs = pd.DataFrame(
        {"box": box, "shots": 1, "seed": seed, "method": method, "accuracy": value}
        | dict.fromkeys(access.MEASURES, 0.0)
        for box, seed, level, change in cells
        for method, value in (("old", level), ("new", level + change))
    )
    old, new = access.compared(runs, "accuracy", "old", ("box", "shots", "seed"))
    assert "error" not in old
    assert new["minus old"] == pytest.approx(3.0)
    # 1, 2, 6: standard deviation sqrt(7)
    assert new["error"] == pytest.approx((7 / 3) ** 0.5)


@pytest.mark.parametrize("part", access.MINI)
def test_suites_of_the_parts_are_valid_and_on_the_development_instance(part: str) -> None:
    config = load(access.suite(part, 2, development=True), ROOT)
    assert config["development"] is True
    assert {run.method for run in Design(config).all_runs} == {*access.MINI[part][0]}


def test_bars_of_the_gate_are_of_home_and_away() -> None:
    methods = {"zero-shot": (50, 40), "probe-open": (70, 30), "probe": (69.6, 43)}
    methods |= {"craft": (70, 38), "craft-gated": (69, 39)}
    runs = pd.DataFrame(
        {"method": name, "backbone": backbone, "shots": 16, "seed": 1, "accuracy": home}
        | {"accuracy:x": away, "accuracy:y": away + 2}
        for name, (home, away) in methods.items()
        for backbone in access.BACKBONES
    )
    bars = list(access.mini_bars("gate", runs, development=True))
    assert [round(bar["found"], 6) for bar in bars] == [-0.4, 3.0, -1.0, -1.0]
    assert [bar["holds"] for bar in bars] == [True, True, False, False]
