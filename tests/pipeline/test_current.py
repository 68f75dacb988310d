"""What tables show is of this configuration, this code and these inputs, whatever was done to the
results and whatever Snakemake remembers of them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pipeline.conftest import Checkout
from tests.suites import SMALL, tiny

SUITE = ("all", "--configfile", "tiny.yaml")
STATE = ("results/tiny", ".snakemake")
RUN = "runs/craft/mini-rn/digits/shots-1/seed-1"
LEARNER = """
from pathlib import Path

from craft.learner.collaborative import Collaborative


class Failing(Collaborative):
    def fit(self, *args, **kwargs):
        if Path("fail").exists():
            raise ValueError("told to fail")
        super().fit(*args, **kwargs)
"""


@pytest.fixture(scope="module")
def made(checkout: Checkout) -> Checkout:
    """A checkout in which a suite of three fits has run."""
    (checkout.folder / "failing.py").write_text(LEARNER)
    configure(checkout)
    checkout.snakemake(*SUITE)
    for name in STATE:
        shutil.copytree(checkout.folder / name, checkout.folder / "made" / name)
    return checkout


@pytest.fixture
def suite(made: Checkout) -> Iterator[Checkout]:
    """It; results and Snakemake's memory are put back after each test."""
    configure(made)
    yield made
    for name in STATE:
        shutil.rmtree(made.folder / name)
        shutil.copytree(made.folder / "made" / name, made.folder / name)


def configure(checkout: Checkout, **changes: Any) -> None:
    shown = {"architectures": {"shots": [1]}, "dataset_statistics": {}}
    config = tiny(("zero-shot", "craft"), shown, runs_per_job="one", **changes)
    config["results"] = changes.get("results", "results/tiny")
    config["methods"]["craft"]["learner"] = "failing:Failing"
    (checkout.folder / "tiny.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def runs(checkout: Checkout, results: str = "results/tiny") -> list[dict[str, str]]:
    with open(checkout.folder / results / "runs.csv", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["method"] == "craft"]


def test_nothing_is_left_to_do(suite: Checkout) -> None:
    assert suite.plan(*SUITE) == {}


def test_a_fit_that_fails_on_a_second_run_leaves_no_old_number(suite: Checkout) -> None:
    configure(suite, options=SMALL | {"budget": 60})
    (suite.folder / "fail").touch()
    suite.snakemake(*SUITE, succeeds=False)
    (suite.folder / "fail").unlink()
    for target in ("results/tiny/architectures.csv", "all_tables", "all_runs", "all"):
        assert suite.plan(target, *SUITE[1:])["fit_learner"] == 2
    suite.snakemake(*SUITE)
    assert {row["queries_counted"] for row in runs(suite)} == {"60"}


def test_forcerun_fits_again(suite: Checkout) -> None:
    record = suite.folder / "results/tiny" / RUN / "record.json"
    before = record.stat().st_mtime_ns
    suite.snakemake(f"results/tiny/{RUN}/fitted.json", *SUITE[1:], "--forcerun", "fit_learner")
    assert record.stat().st_mtime_ns > before


def test_moved_results_of_other_options_are_made_again(suite: Checkout) -> None:
    shutil.copytree(suite.folder / "results/tiny", suite.folder / "elsewhere")
    assert not {"fit_learner", "score_runs", "encode_images"} & set(
        suite.plan(*SUITE, "--config", "results=elsewhere")
    )
    configure(suite, options=SMALL | {"budget": 60}, results="elsewhere")
    # Zero-shot too: its record states the options.
    assert suite.plan(*SUITE)["fit_learner"] == 3
    suite.snakemake(*SUITE, "--forcerun", "make_table", "gather_suite")
    assert {row["queries_counted"] for row in runs(suite, "elsewhere")} == {"60"}


@pytest.mark.parametrize("target", ["results/tiny/dataset_statistics.csv", "all_tables", "all"])
def test_a_deleted_manifest_is_made_again(suite: Checkout, target: str) -> None:
    (suite.folder / "results/tiny/manifests/digits.csv").unlink()
    assert {"write_manifest", "make_table"} <= set(suite.plan(target, *SUITE[1:]))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace("0", "1", 3))


def exchange(path: Path) -> None:
    shutil.copyfile(str(path).replace("seed-1", "seed-2"), path)


@pytest.mark.parametrize(
    ("name", "damage", "rule"),
    [
        ("score.json", edit, "score_runs"),
        ("record.json", exchange, "fit_learner"),
        ("predictions.safetensors", cut, "fit_learner"),
        *(
            pytest.param(*each, marks=pytest.mark.exhaustive)
            for each in (
                ("score.json", lambda path: path.write_text(""), "score_runs"),
                ("score.json", cut, "score_runs"),
                ("score.json", exchange, "score_runs"),
                ("record.json", edit, "fit_learner"),
                ("predictions.safetensors", exchange, "fit_learner"),
                ("learner.safetensors", Path.unlink, "fit_learner"),
                ("history.csv", edit, "fit_learner"),
            )
        ),
    ],
)
def test_a_file_of_a_run_that_was_damaged_is_made_again(
    suite: Checkout, name: str, damage: Callable[[Path], Any], rule: str
) -> None:
    damage(suite.folder / "results/tiny" / RUN / name)
    assert suite.plan("all_tables", *SUITE[1:])[rule] == 1


def test_what_is_made_again_has_the_bytes_of_before(suite: Checkout) -> None:
    exchange(suite.folder / "results/tiny" / RUN / "predictions.safetensors")
    cut(suite.folder / "results/tiny/features/mini-rn/digits/test.safetensors")
    suite.snakemake(*SUITE)
    names = ("predictions.safetensors", "learner.safetensors", "history.csv", "architectures.csv")
    before = [
        p
        for n in names
        for p in (suite.folder / "made/results/tiny").rglob(n)
        if not {"cache", "gathered"} & set(p.parts)  # what is gathered holds times too
    ]
    assert len(before) == 3 * 3 + 1
    for path in before:
        again = suite.folder / path.relative_to(suite.folder / "made")
        assert again.read_bytes() == path.read_bytes(), again
    assert suite.plan(*SUITE) == {}


def test_splits_under_each_other_s_names_are_drawn_again(suite: Checkout) -> None:
    first, second = (
        suite.folder / f"results/tiny/splits/digits/shots-1/seed-{seed}.json" for seed in (1, 2)
    )
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    assert suite.plan(*SUITE)["draw_splits"] == 1
    suite.snakemake(*SUITE)
    assert (first.read_bytes(), second.read_bytes()) == contents


def replace(path: Path) -> None:
    path.write_bytes(b"other")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("features/mini-rn/digits/train.safetensors", replace),
        ("provenance.json", Path.unlink),
        *(
            pytest.param(name, damage, marks=pytest.mark.exhaustive)
            for name, damage in (
                ("backbones/mini-rn/text.safetensors", Path.unlink),
                ("backbones/mini-rn/text.safetensors", replace),
                ("prompts/mini-rn/digits.json", Path.unlink),
                ("prompts/mini-rn/digits.json", replace),
                ("features/mini-rn/digits/train.safetensors", Path.unlink),
                ("architectures.tex", Path.unlink),
                ("architectures.tex", replace),
                ("provenance.json", replace),
                ("ro-crate-metadata.json", Path.unlink),
                ("ro-crate-metadata.json", replace),
            )
        ),
    ],
)
def test_any_other_file_that_is_missing_or_edited_is_made_again(
    suite: Checkout, name: str, damage: Callable[[Path], Any]
) -> None:
    damage(suite.folder / "results/tiny" / name)
    assert suite.plan(*SUITE)


def test_jobs_run_the_planner_s_code(
    suite: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(suite.folder / "craft", tmp_path / "craft")
    path = tmp_path / "craft/evaluation/score.py"
    path.write_text(path.read_text().replace("100.0 * int(count)", "50.0 * int(count)"))
    assert "50.0 * int(count)" in path.read_text()
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{suite.folder}")
    before = [row["accuracy"] for row in runs(suite)]
    suite.snakemake(*SUITE, "--forcerun", "score_runs", anew=True)
    assert [row["accuracy"] for row in runs(suite)] == before


def fits(plan: dict[str, int]) -> int:
    """Jobs of a plan that train runs."""
    return sum(jobs for rule, jobs in plan.items() if rule.startswith("fit"))


def test_a_fit_runs_again_exactly_when_its_own_options_change(suite: Checkout) -> None:
    configure(suite, options=dict(reversed(SMALL.items())))
    assert suite.plan(*SUITE) == {}
    path = suite.folder / "tiny.yaml"
    config = yaml.safe_load(path.read_text())
    config["methods"]["craft"]["label"] = "ours"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    assert fits(suite.plan(*SUITE)) == 0
    config["methods"]["craft"]["dataset_options"] = {"digits": {"layers": {"1": 3}}}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    described = suite.folder / "results/tiny/suite.json"
    before = described.read_bytes()
    assert fits(suite.plan(*SUITE)) == 2  # both seeds of craft, and not zero-shot
    assert described.read_bytes() == before
    suite.snakemake(*SUITE)
    assert described.read_bytes() != before
    record = json.loads((suite.folder / "results/tiny" / RUN / "record.json").read_text())
    assert record["options"]["layers"] == 3
    described.unlink()  # no input of a fit: it alone is written again
    assert set(suite.plan(*SUITE)) == {"all", "total", "write_suite", "write_crate"}
