"""Benchmarks at their smallest: that they measure what they say, not how long it takes."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest
import torch

from benchmarks import measure

SPLIT_FILES = {"DTD": "DescribableTextures", "Flowers102": "OxfordFlowers"}


@pytest.mark.parametrize("name", measure.class_names())
def test_class_names_are_those_of_the_published_splits(name):
    folder = os.environ.get("CRAFT_SPLITS")
    if not folder:
        pytest.skip("set CRAFT_SPLITS to a folder with CoOp's split_zhou_*.json files")
    path = Path(folder) / f"split_zhou_{SPLIT_FILES.get(name, name)}.json"
    parts = json.loads(path.read_text(encoding="utf-8")).values()
    published = {label: each for part in parts for _, label, each in part}
    assert measure.class_names()[name] == [published[n] for n in range(len(published))]


def test_class_names_are_seven_data_sets():
    counts = {name: len(names) for name, names in measure.class_names().items()}
    assert sum(counts.values()) == 593 and len(counts) == 7
    assert counts["StanfordCars"] == 196


def test_invented_names_differ():
    names = measure.invented_names(500)
    assert len(set(names)) == 500 and names[:7] == measure.invented_names(7)


def test_exponents_and_means():
    assert measure.exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
    assert measure.geometric_mean([2, 8]) == pytest.approx(4)


def test_a_child_that_fails_says_what_it_wrote():
    with pytest.raises(RuntimeError, match="invalid choice: 'sundial'"):
        measure.child("benchmarks.text_tower", 1, ["--clock", "sundial"])


@pytest.mark.parametrize(
    ("given", "named"), [({}, "cpu"), ({"device": "cpu"}, "cpu"), ({"device": "cuda"}, "Abacus 9")]
)
def test_figures_name_the_card_that_they_were_measured_on(given, named, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Abacus 9")
    done = measure.write({}, argparse.Namespace(threads=1, json=None, **given))
    assert done["machine"]["device"].partition(",")[0] == named


@pytest.mark.exhaustive  # three processes that start torch and a server
def test_service(tmp_path):
    from benchmarks.service import main

    done = main(["--smoke", "--json", str(tmp_path / "service.json")])
    assert [row["part"] for row in done["rows"]] == ["overhead", "memory"]
    assert done["overhead"]["HTTP, s"] > 0 and done["overhead"]["here, s"] > 0
    assert done["memory"]["answer, MB"] == pytest.approx(4 * 4 * 30 * 50 / 2**20)
    from benchmarks.page import measured

    assert "### A service" in measured(tmp_path)


def test_the_page_says_what_a_service_adds():
    from benchmarks.page import _service

    took = {"here, s": 1.0, "HTTP, s": 1.02, "longer by": 0.02, "limit": 0.1}
    memory = {"answer, MB": 2441.4, "server, MB": 651.0, "client, MB": 555.0}
    said = _service({"overhead": took, "memory": memory})
    assert "1.02 s over HTTP" in said and "**+2.0%**" in said
    assert "**651 MB** of the server" in said and "**555 MB** of the client" in said


def test_images(tmp_path):
    from benchmarks.images import main

    done = main(["--smoke", "--threads", "2", "--json", str(tmp_path / "x.json")])
    assert done["largest difference"] < 1e-5 and done["same bits by one worker"]
    assert [row["side"] for row in done["rows"]][2] == "files to features"
    assert all(row["images per s"] > 0 for row in done["rows"])
    from benchmarks.page import measured

    (tmp_path / "x.json").rename(tmp_path / "images.json")
    assert "| files to features |" in measured(tmp_path)


@pytest.mark.exhaustive
def test_precision(tmp_path):
    from benchmarks.page import measured
    from benchmarks.precision import main

    done = main(["--smoke", "--json", str(tmp_path / "precision.json")])
    assert [row["precision"] for row in done["rows"]] == ["fp32", "bf16", "fp16"]
    assert all(row["lowest cosine"] > 0.999 for row in done["rows"])
    assert "### Precision" in measured(tmp_path)


def test_image_tower(tmp_path):
    from benchmarks.image_tower import main

    done = main(["--smoke", "--candidates", "2", "--images", "3", "--json", f"{tmp_path}/x.json"])
    assert done["largest difference"] < 1e-5 and done["ratio"] > 0
    assert [row["side"] for row in done["rows"]] == ["open_clip", "own"]
    from benchmarks.page import measured

    (tmp_path / "x.json").rename(tmp_path / "image_tower.json")
    assert "### Image tower" in measured(tmp_path)


def test_text_tower(tmp_path):
    from benchmarks.text_tower import main

    options = ["--smoke", "--rounds", "1", "--population", "4"]
    options += ["--datasets", "EuroSAT", "OxfordPets"]
    done = main([*options, "--json", str(tmp_path / "x.json")])
    assert done["largest difference"] < 1e-5
    assert {row["data set"]: row["positions"] for row in done["rows"]} == {
        "EuroSAT": 49,
        "OxfordPets": 157,
    }
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["rows"] == done["rows"] and written["machine"]["device"] == "cpu"


def test_scoring():
    from benchmarks.scoring import SMALL, main

    (row,) = main(["--smoke"])["rows"]
    assert 0 < row["peak GB"] < 4
    held = 4 * SMALL["population"] * SMALL["images"] * SMALL["classes"]
    assert row["scores held whole, GB"] == pytest.approx(held / 2**30)


def test_whole_run():
    from benchmarks.whole_run import main

    done = main(["--smoke"])
    assert done["queries"] == {"search": 16, "refine": 2, "evaluate": 3}
    seconds = {row["part"]: row["seconds"] for row in done["rows"]}
    assert min(seconds.values()) > 0
    assert sum(seconds.values()) == pytest.approx(done["wall s"])
    parts = {"text forward", "CMA-ES", "refiner", "curve", "start-up and files"}
    assert parts < set(seconds)


def test_growth(tmp_path):
    from benchmarks.growth import main

    done = main(["--smoke", "--plot", str(tmp_path / "plot.png")])
    assert [row["axis"] for row in done["rows"]] == [
        axis for axis in ("classes", "images", "population") for _ in range(2)
    ]
    assert set(done["exponents"]) == {"classes", "images", "population"}
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_gpu_on_a_cpu(tmp_path):
    from benchmarks.gpu import STEPS, main

    rows = main(["--smoke", "--device", "cpu", "--json", str(tmp_path / "gpu.json")])["rows"]
    by_step = {step: [row for row in rows if row["step"] == step] for step in (*STEPS, "parity")}
    exact = [row for row in by_step["parity"] if row["dtype"] == "float32"]
    half = [row for row in by_step["parity"] if row["dtype"] == "bfloat16"]
    assert max(row["feature"] for row in exact) < 1e-6 < min(row["feature"] for row in half)
    assert max(row["loss"] for row in half) < 0.1
    runs = {row["size"]: row for row in rows if row["step"] == "whole run"}
    assert set(runs) == {"EuroSAT", "ImageNet"}
    again = [row for row in rows if row["step"] == "again"]
    assert all(row["same bits"] and row["same bits resumed"] for row in again) and len(again) == 2
    assert json.loads((tmp_path / "gpu.json").read_text())["rows"] == rows


def test_gpu_says_what_it_had_no_time_for(tmp_path):
    from benchmarks.gpu import main

    rows = main(["--smoke", "--device", "cpu", "--limit", "0"])["rows"]
    assert [row["step"] for row in rows] == ["out of time"] and rows[0]["left"] == "rates"


def test_gpu_without_one(capsys):
    from benchmarks.gpu import main

    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(SystemExit, match="1"):
        main(["--smoke"])
    assert "nothing was measured" in capsys.readouterr().err


def test_the_page_shows_the_figures_that_are_there():
    from benchmarks.page import PAGE, filled

    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "python -m benchmarks --only writes it up again"


def test_a_page_without_its_markers_is_refused():
    from benchmarks.page import filled

    with pytest.raises(ValueError, match="once each"):
        filled("# Performance")


def test_the_picture_of_a_tree_counts_what_the_tower_runs(tmp_path):
    from benchmarks.pictures import NAMES, token_tree
    from craft.blackbox.text.token_tree import pack

    counted = token_tree(tmp_path / "tree.png")
    packing = pack(measure.tokens(NAMES).suffix_ids, context_length=4, width=512)
    assert counted == {"plain": 77 * len(NAMES), "tree": packing.tokens}
    assert (tmp_path / "tree.png").read_bytes().startswith(b"\x89PNG")


def test_the_roofline_is_drawn_from_the_figures(tmp_path):
    from benchmarks.page import FIGURES
    from benchmarks.pictures import draw

    draw(FIGURES, tmp_path)
    assert (tmp_path / "roofline.png").read_bytes().startswith(b"\x89PNG")
