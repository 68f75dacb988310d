"""The suite's smallest run, from rendered images to tables, figures and report."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from rocrate.rocrate import ROCrate

from craft.blackbox.backbones.description import architecture, complete
from craft.config.load import load
from craft.console.watch import running
from craft.design.artefacts import comparisons
from craft.design.runs import Design
from craft.files.records import Score
from craft.plan.cost import of_run
from craft.runtime.progress import read_line
from tests import run_crate
from tests.pipeline.conftest import ROOT, SHELL, Checkout
from tests.suites import tiny

TINY = ("--configfile", "tiny.yaml")
#: Every job's command names it.
RESULTS = f"results/{SHELL}"


@pytest.fixture(scope="module")
def finished(checkout: Checkout) -> Checkout:
    """A checkout in which the smallest suite has run."""
    artefacts = {
        "architectures": {"shots": [1]},
        "efficiency": {"shots": [1]},
        "few_shot_curves": {"shots": [1, 2]},
        "dataset_statistics": {},
    }
    methods = ("zero-shot", "craft", "coop-4")
    config = tiny(methods, artefacts, results=RESULTS, data=f"{RESULTS}/data")
    config["methods"]["coop-4"]["options"] |= {"epochs": 1}
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    checkout.snakemake("all", *TINY)  # no --cores: the default profile is found
    return checkout


def results(checkout: Checkout) -> Path:
    return checkout.folder / RESULTS


def test_every_artefact_is_there(finished: Checkout) -> None:
    folder = results(finished)
    for name in ("architectures", "efficiency", "dataset_statistics"):
        for suffix in ("csv", "md", "tex", "html"):
            assert (folder / f"{name}.{suffix}").stat().st_size
    for suffix in ("pdf", "png", "csv"):
        assert (folder / f"figures/few_shot_curves.{suffix}").stat().st_size
    assert len((folder / "runs.csv").read_text().splitlines()) == 1 + 1 + 2 * 2 * 2


def test_no_shell_runs_what_the_folder_is_called(finished: Checkout) -> None:
    assert {path.name for path in (finished.folder / "results").iterdir()} == {SHELL}
    assert not [*finished.folder.rglob("pwned")]


def test_a_run_states_what_it_spent(finished: Checkout) -> None:
    run = results(finished) / "runs/craft/mini-rn/digits/shots-1/seed-2"
    score = Score.read(run / "score.json")
    assert score.record["queries"]["search"] == 40
    assert score.record["train_images"] == 10
    assert (score.record["machine"]["device"], score.record["machine"]["threads"]) == ("cpu", "1")
    assert (results(finished) / "benchmarks/fit_learner/craft/mini-rn/digits.tsv").exists()


def test_costs_are_those_of_the_records(finished: Checkout) -> None:
    with (results(finished) / "efficiency.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert all(row["mean"] and not row["note"] for row in rows)
    assert len({row["measured_on"] for row in rows}) == 1
    mean = {(row["method"], row["column"]): float(row["mean"]) for row in rows}
    model = 1203565 * 4 / 2**20
    assert mean["zero-shot", "deployed_mb"] == 0
    assert model < mean["coop-4", "deployed_mb"] < model * 1.01
    assert 0 < mean["craft", "deployed_mb"] < model / 100
    assert mean["craft", "queries_search"] == 40
    assert mean["craft", "training_seconds"] > 0 and mean["craft", "peak_memory_mb"] > 50


def test_the_bytes_depend_on_no_cores_threads_or_sharing_of_jobs(
    finished: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Checkout(tmp_path)
    shutil.copy(finished.folder / "tiny.yaml", tmp_path)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "3")
    made = [f"architectures.{end}" for end in ("csv", "md", "tex", "html")]
    alone = ("--cores", "1", "--config", "runs_per_job=seeds", "encode_together=False")
    other.snakemake(f"{RESULTS}/{made[0]}", *TINY, *alone)
    runs = [*results(other).glob("runs/**/learner.safetensors")]
    assert len(runs) == 1 + 2 * 2
    for name in (*made, *(path.relative_to(results(other)) for path in runs)):
        assert (results(finished) / name).read_bytes() == (results(other) / name).read_bytes(), name


def test_every_number_can_be_traced(finished: Checkout) -> None:
    found = json.loads((results(finished) / "provenance.json").read_text())
    assert not found["missing"] and found["seeds"] == [1, 2]
    assert len(found["runs"]) == 1 + 2 * 2 * 2
    # Methods differ in their code, and in nothing else here.
    fitted = [each for each in found["environments"] if "commit" in each]
    assert len(fitted) == 3
    for environment in fitted:
        assert environment["commit"] is None  # a copy without git
        assert environment["versions"]["torch"] and environment["machine"]["processor"]
    one, other = (found["runs"][f"craft/mini-rn/digits/shots-1/seed-{seed}"] for seed in (1, 2))
    assert one["config_hash"] != other["config_hash"]
    assert one["inputs"]["tower"] == other["inputs"]["tower"]
    assert one["inputs"]["tower"]["path"] == "backbones/mini-rn/text.safetensors"


def test_every_file_behind_a_table_is_traced_to_what_a_person_wrote(finished: Checkout) -> None:
    found = json.loads((results(finished) / "provenance.json").read_text())
    made = {path: action for action in found["actions"] for path in action["wrote"]}
    shown = [path for each in found["artefacts"].values() for path in each["files"]]
    assert len(shown) == 3 * 4 + 3
    behind, todo = set(), list(shown)
    while todo:
        path = todo.pop()
        behind.add(path)
        todo += [each for each in made.get(path, {"read": []})["read"] if each not in behind]
    sources = {path for path in behind if path not in made}
    requests = {f"gathered/{name}.json" for name in found["artefacts"]}
    described = {f"config/backbones/mini-rn.{end}" for end in ("yaml", "safetensors")}
    assert sources == requests | {os.path.relpath(path, RESULTS) for path in described}
    for path in behind - sources | requests:
        file = results(finished) / path
        assert found["files"][path] == hashlib.sha256(file.read_bytes()).hexdigest()
    for path, action in made.items():
        assert action.get("started", "") <= action["ended"], path
        assert all(
            made[each]["ended"] <= action["ended"] for each in action["read"] if each in made
        )


def test_the_crate_is_a_provenance_run_crate(finished: Checkout) -> None:
    assert run_crate.problems(results(finished)) == []
    crate = ROCrate(results(finished))
    assert crate.mainEntity.id == "workflow/Snakefile"
    files = {entity.id for entity in crate.get_entities() if entity.type == "File"}
    assert {"architectures.tex", "figures/few_shot_curves.png", "runs.csv"} <= files
    fits = [
        each for each in crate.get_by_type("CreateAction") if "craft.fit" in each["instrument"].id
    ]
    assert len(fits) == 1 + 2 * 2 * 2
    assert {each.id for each in crate.get("#tool/craft.fit")["softwareRequirements"]} >= {
        f"#torch-{version('torch')}"
    }


@pytest.mark.parametrize("damage", run_crate.DAMAGE, ids=lambda damage: damage.__name__)
def test_a_crate_that_lacks_something_required_is_none(
    finished: Checkout, tmp_path: Path, damage: Callable[[dict[str, Any]], Any]
) -> None:
    graph = json.loads((results(finished) / "ro-crate-metadata.json").read_text())
    damage({entity["@id"]: entity for entity in graph["@graph"]})
    assert run_crate.problems(results(finished), graph)


def test_nothing_is_left_to_do(finished: Checkout) -> None:
    assert finished.plan("all", *TINY) == {}


def test_a_plan_leaves_out_what_is_done(finished: Checkout) -> None:
    assert finished.craft("plan", *TINY).startswith("Nothing to do")
    run = results(finished) / "runs/zero-shot/mini-rn/digits/shots-0/seed-0"
    # A missing run is missed by what is still to be made from it only.
    gone = [run / "record.json", run / "score.json"]
    gone += [results(finished) / f"{folder}architectures.csv" for folder in ("", "gathered/")]
    for path in gone:
        path.rename(path.with_suffix(".aside"))
    try:
        output = finished.craft("plan", "all", *TINY)
    finally:
        for path in gone:
            path.with_suffix(".aside").rename(path)
    assert "1 of 9 runs to fit" in output
    assert re.search(r"^  zero-shot +1 +0 +1 ", output, re.M), output
    assert not re.search(r"^  craft", output, re.M), output
    assert "8 finished runs" in output


def test_a_plan_counts_the_queries_that_runs_make(finished: Checkout) -> None:
    suite = load(finished.folder / "tiny.yaml", finished.folder)
    design = Design(suite)
    backbone = architecture(complete(suite["backbone_facts"]["mini-rn"]))
    for run in design.all_runs:
        record = Score.read(results(finished) / "runs" / run.folder / "score.json").record
        cost = of_run(design, run, backbone)
        counted = record["queries"]
        assert cost.search == counted.get("search", 0), run
        assert cost.search + cost.other == sum(counted.values()), run


def test_every_job_that_ended_logged_its_end(finished: Checkout) -> None:
    logs = [*(results(finished) / "logs").rglob("*.log")]
    found = [state for log in logs for line in log.open() if (state := read_line(line))]
    assert {state.what.split()[0] for state in found} >= {"fit", "encoding", "rendering"}
    fits = [state for state in found if state.what.startswith("fit ") and not state.running]
    assert len(fits) == 1 + 2 * 2 * 2
    assert all(state.done == state.total for state in fits if state.total is not None)
    assert running(results(finished)) == []


def test_the_report_needs_no_network(finished: Checkout) -> None:
    finished.snakemake("all", *TINY, "--report", "report.html")
    report = (finished.folder / "report.html").read_text()
    assert "few_shot_curves" in report
    assert '<script src="http' not in report
    start = report.index("{", report.index('var results = {"'))
    results, _ = json.JSONDecoder().raw_decode(report, start)
    # Of two labels with two values each, the page makes a switch and then finds no result.
    assert results and all(len(entry["labels"]) == 1 for entry in results.values())


def test_a_change_of_the_figures_fits_nothing_again(finished: Checkout) -> None:
    code = finished.folder / "craft/report/figures/__main__.py"
    before = code.read_text()
    try:
        code.write_text(before + "\nCHANGED = True\n")
        drawn = {"draw_figure": 1, "trace_suite": 1, "write_crate": 1}
        assert finished.plan("all", *TINY) == {"all": 1, **drawn, "total": 4}
    finally:
        code.write_text(before)


def test_a_change_of_one_learner_fits_its_methods_again(finished: Checkout) -> None:
    code = finished.folder / "craft/whitebox/coop.py"
    before = code.read_text()
    try:
        code.write_text(before + "\nCHANGED = True\n")
        assert finished.plan("all", *TINY)["fit_learner"] == 1  # both shots of its only method
    finally:
        code.write_text(before)


def test_a_change_of_a_label_fits_nothing_again(finished: Checkout) -> None:
    config = finished.folder / "tiny.yaml"
    before = config.read_text()
    try:
        config.write_text(before.replace("label: CraFT", "label: ours"))
        assert not any(rule.startswith("fit") for rule in finished.plan("all_tables", *TINY))
    finally:
        config.write_text(before)


def test_one_file_and_one_line_make_a_row_in_every_table(
    finished: Checkout, tmp_path: Path
) -> None:
    """As docs/adding-a-method.md says, in a suite that has run: what is there stays."""
    page = (ROOT / "docs/adding-a-method.md").read_text(encoding="utf-8")

    def block(language: str) -> str:
        return re.search(rf"```{language}\n(.*?)```", page, re.DOTALL).group(1)

    checkout = Checkout(tmp_path)
    shutil.copytree(finished.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "craft/learner/random_search.py").write_text(block("python"))
    line = yaml.safe_load(block("yaml"))["methods"]
    for path in (tmp_path / "config/mini.yaml", tmp_path / "tiny.yaml"):
        config = yaml.safe_load(path.read_text())
        config["methods"] |= line
        path.write_text(yaml.safe_dump(config, sort_keys=False))
    # One plan of all, whose jobs say what they wait for.
    only_plan = ("-n", "-q", "host", "--configfile", "config/mini.yaml")
    plan = checkout.snakemake("all", *only_plan)
    for artefact in comparisons():
        reason = re.search(rf"Gather what {artefact} is made from\n(.*)", plan).group(1)
        assert "/runs/random-search/" in reason, artefact

    target = (f"{RESULTS}/architectures.csv", *TINY)
    jobs = checkout.plan(*target)
    made = dict.fromkeys(
        ("write_request", "gather_runs", "make_table", "fit_learner", "score_runs"), 1
    )
    assert jobs == made | {"total": 5}
    checkout.snakemake(*target)
    with (tmp_path / target[0]).open() as stream:
        rows = [row for row in csv.DictReader(stream) if row["method"] == "random-search"]
    assert {row["label"] for row in rows} == {"random search"}
    assert all(0 < float(row["mean"]) <= 100 for row in rows)
