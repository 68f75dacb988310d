"""What the workflow would run: from the configuration alone, with no data, weights or network."""

from __future__ import annotations

import json
import re
import resource

import pytest

from craft.config.load import load
from craft.design.runs import Design
from tests.pipeline.conftest import ROOT, Checkout

MINI = ("--configfile", "config/mini.yaml")
LEASE = re.compile(r"craft\.runtime\.gpu_lease cuda ([\w.]+)")
PAPER = Design(load(ROOT / "config/config.yaml", ROOT))
SUITES = {"paper": (), "mini": MINI}


def fits(*artefacts: str) -> int:
    """Distinct runs of the paper's artefacts."""
    return len({run for name in artefacts for run in PAPER.runs(name)})


# `make test` has linted the paper's before it calls pytest.
@pytest.mark.parametrize("suite", [pytest.param("paper", marks=pytest.mark.exhaustive), "mini"])
def test_lint_finds_nothing(checkout: Checkout, suite: str) -> None:
    assert "good condition" in checkout.snakemake("--lint", *SUITES[suite])


@pytest.mark.exhaustive
def test_the_whole_paper_is_planned_in_20_processor_seconds(checkout: Checkout) -> None:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    checkout.plan("results/ablation_lambda1.csv")  # byte code is compiled once
    start = spent()
    checkout.plan("all", anew=True)
    # Of processor time, as tests share their cores (docs/operations.md).
    assert spent() - start < 20


def test_the_whole_paper_takes_the_runs_of_its_artefacts(checkout: Checkout) -> None:
    jobs = checkout.plan("all")
    assert jobs["fit_learner"] == fits(*PAPER.artefacts())
    own = {"access", "accuracy_by_queries"}
    assert (
        fits(*{*PAPER.artefacts()} - own) == 1683 + 44 + 72 + 99
    )  # zero-shot; LFA, CBBT; the others
    assert jobs["write_manifest"] == 15
    assert jobs["make_table"] + jobs["draw_figure"] == len(PAPER.artefacts())
    assert jobs["gather_runs"] == len(PAPER.artefacts()) and jobs["gather_suite"] == 1
    assert jobs["trace_suite"] == jobs["write_crate"] == 1


def test_one_table_takes_its_own_runs_only(checkout: Checkout) -> None:
    jobs = checkout.plan("results/ablation_residual.csv")
    assert jobs["fit_learner"] == fits("ablation_residual") == 3 * 11 * 5 * 3
    assert jobs["export_text_tower"] == 1
    # CraFT's 16-shot run on ImageNet is the one of the robustness table, with its four test sets.
    assert jobs["write_manifest"] == 11 + 4


def test_runs_shared_by_two_artefacts_are_fitted_once(checkout: Checkout) -> None:
    both = ("ablation_residual", "ablation_components")
    jobs = checkout.plan(*(f"results/{name}.csv" for name in both))
    assert jobs["fit_learner"] == fits(*both) < sum(fits(name) for name in both)


def test_tables_of_costs_and_of_methods_share_their_runs(checkout: Checkout) -> None:
    new = ("efficiency", "blackbox_assumptions", "blackbox_methods", "training_time")
    jobs = checkout.plan(*(f"results/{name}.csv" for name in new))
    assert jobs["make_table"] == len(new)
    # Table 9's, EuroSAT, ImageNet, zero-shot; LFA and CBBT; BlackVIP, Yu et al. and CraFT+vp
    assert jobs["fit_learner"] == fits(*new) == 2 * 11 * 3 + 2 * 3 + 2 * 3 + 1 + 72 + 3 * 11 * 3


def test_codes_are_encoded_for_the_runs_that_start_from_them(checkout: Checkout) -> None:
    run = "ViT-B-16/EuroSAT/shots-16/seed-1/fitted.json"
    coded = checkout.plan(f"results/runs/blackvip/{run}")
    # Training and test images: features of both, codes of both, both decoded.
    assert (coded["encode_images"], coded["decode_images"], coded["export_image_tower"]) == (
        4,
        2,
        1,
    )
    assert coded["export_text_tower"] == 1  # the encoder has none
    plain = checkout.plan(f"results/runs/craft/{run}")
    assert plain["encode_images"] == 2
    assert not {"decode_images", "export_image_tower"} & plain.keys()


def test_the_table_of_differences_is_planned_from_nothing(checkout: Checkout) -> None:
    jobs = checkout.plan("results/discrepancies.csv")
    assert jobs["make_table"] == jobs["export_text_tower"] == 1
    # Both modes, thirteen differences, two other readings; what is no difference on a data set
    # shares the run of paper mode.
    shared = ["budget", "lambda2_share"] * 3 + ["batch_size"] * 2 + ["lambda1", "lambda2"]
    assert jobs["fit_learner"] == fits("discrepancies") == 3 * (3 * 17 - len(shared))
    assert jobs["encode_images"] == 3 * (2 + 10)  # test, train and ten augmented copies of it
    mini = checkout.plan("results/mini/discrepancies.csv", *MINI)
    assert (mini["fit_learner"], mini["encode_images"]) == (1 + 9 + 1, 1)


def test_released_mode_is_planned_for_a_whole_suite(checkout: Checkout) -> None:
    released = ("--config", "options={mode: released}")
    jobs = checkout.plan("results/architectures.csv", *released)
    assert jobs["fit_learner"] == fits("architectures")
    assert jobs["encode_images"] == 4 * (11 * (2 + 10) + 4)  # and the shifted test sets
    assert checkout.plan("all", *MINI, *released)["fit_learner"] > 50


def test_shifted_sets_are_encoded_for_the_table_that_shows_them_only(checkout: Checkout) -> None:
    assert checkout.plan("results/robustness.csv")["write_manifest"] == 5
    run = "results/runs/{}/RN50/ImageNet/shots-16/seed-1/fitted.json"
    assert checkout.plan(run.format("craft"))["write_manifest"] == 5
    assert checkout.plan(run.format("linear"))["write_manifest"] == 1


def test_a_suite_given_by_configfile_stands_alone(checkout: Checkout) -> None:
    summary = checkout.snakemake("all", *MINI, "--summary").partition("output_file\t")[2]
    files = [line.partition("\t")[0] for line in summary.splitlines()[1:]]
    assert len(files) > 200
    assert all(file.startswith("results/mini/") for file in files)


@pytest.mark.parametrize("suite", SUITES)
def test_config_overrides_work_on_either_suite(checkout: Checkout, suite: str) -> None:
    def jobs(*overrides: str) -> dict[str, int]:
        results = "results" if suite == "paper" else "results/mini"
        table = f"{results}/ablation_lambda1.csv"
        return checkout.plan(table, *SUITES[suite], "--config", *overrides)

    one = jobs("seeds=[7]", "runs_per_job=one")
    three = jobs("seeds=[7,8,9]", "runs_per_job=one")
    folded = jobs("seeds=[7,8,9]", "runs_per_job=seeds")
    assert (one["fit_learner"], three["fit_learner"], folded["fit_learner"]) == (6, 18, 6)
    assert one["score_runs"] == three["score_runs"] == folded["score_runs"] == 6


def test_a_job_that_holds_all_shots_makes_each_run_once(checkout: Checkout) -> None:
    artefacts = ("ablation_components", "few_shot_curves", "architectures")
    targets = [f"results/mini/{name}.csv" for name in artefacts]
    targets[1] = "results/mini/figures/few_shot_curves.csv"
    planned = checkout.jobs(*targets, *MINI, "-n")
    batches = [job["wildcards"]["batch"] for job in planned if job["rule"] == "fit_learner"]
    # Data sets x methods, on one backbone except for the 16-shot runs of Table 1 on another.
    assert len(batches) == len(set(batches)) == 4 * (3 + 3 + 2 + 2)
    assert all(batch.count("/") == 2 for batch in batches)
    scored = [job["wildcards"]["batch"] for job in planned if job["rule"] == "score_runs"]
    assert sorted(scored) == sorted(batches)


@pytest.mark.parametrize("per_job", ["one", "seeds", "shots"])
def test_resources_of_fits_are_set_by_one_name(checkout: Checkout, per_job: str) -> None:
    planned = checkout.jobs(
        "results/mini/architectures.csv",
        *("-n", "--set-resources", "fit_learner:runtime=1440", "fit_learner:mem_mb=9000"),
        *(*MINI, "--config", f"runs_per_job={per_job}"),
    )
    found = [job["resources"] for job in planned if job["rule"] == "fit_learner"]
    assert len(found) >= 8 * 3
    assert {(each["runtime"], each["mem_mb"]) for each in found} == {(1440, 9000)}


def test_rules_have_the_same_names_in_every_suite(checkout: Checkout) -> None:
    listed = [checkout.snakemake("--list", *suite).splitlines()[1:] for suite in SUITES.values()]
    assert listed[0] == listed[1]
    names = [line.partition(" (")[0].strip() for line in listed[0] if line.strip()]
    assert {"fit_learner", "score_runs", "make_table", "draw_figure"} < set(names)
    assert all(line.strip().endswith(".)") for line in listed[0] if line.strip())  # described


def test_braces_in_a_configuration_are_no_wildcards(checkout: Checkout) -> None:
    label = "methods={craft: {label: 'our {root} method'}}"
    assert checkout.plan("results/ablation_lambda1.csv", "--config", label)["fit_learner"] == 18
    assert checkout.plan("results/mini/runs.csv", *MINI, "--config", label)["gather_suite"] == 1


def test_all_tables_and_all_figures_are_targets(checkout: Checkout) -> None:
    tables, figures = checkout.plan("all_tables", *MINI), checkout.plan("all_figures", *MINI)
    assert tables["make_table"] == 13 and "draw_figure" not in tables
    assert figures["draw_figure"] == 3 and "make_table" not in figures


@pytest.mark.exhaustive
def test_no_command_line_grows_with_the_suite(checkout: Checkout) -> None:
    """Linux takes no argument of more than 128 kB; what is long reaches a job as a file."""
    seeds = f"seeds={list(range(1, 20))}"
    plan = checkout.snakemake("all", "-n", "-p", "--quiet", "host", "--config", seeds)
    commands = re.findall(r"python -m craft\..*$", plan, re.M)
    assert len(commands) > 5000
    assert max(map(len, commands)) < 8192


def test_a_suite_six_times_the_papers_says_what_it_asks_for(checkout: Checkout) -> None:
    seeds = f"seeds={list(range(1, 19))}"
    target = "results/gathered/few_shot_curves.json"
    checkout.snakemake(target, "--cores", "1", "--config", seeds)
    file = checkout.folder / target
    assert file.stat().st_size > 128 * 1024
    asked = json.loads(file.read_text())
    file.unlink()
    methods = {run.method for run in PAPER.runs("few_shot_curves")}
    assert set(asked["rows"]) == methods and len(asked["runs"]) > 2000


def test_the_rule_graph_shows_that_fits_see_no_test_label(checkout: Checkout) -> None:
    graph = checkout.snakemake("--rulegraph", "mermaid-js")
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", graph))
    edges = [(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", graph)]
    fitted_on = {a for a, b in edges if b == "fit_learner"}
    encoded = {"encode_images", "decode_images", "export_image_tower"}
    assert fitted_on == {"export_text_tower", "tokenise_prompts", "draw_splits", *encoded}
    assert {a for a, b in edges if b == "score_runs"} == {"write_manifest", "fit_learner"}


def test_the_dag_can_be_drawn(checkout: Checkout) -> None:
    graph = checkout.snakemake("--dag", "mermaid-js", "results/ablation_lambda1.csv")
    assert len(re.findall(r'id\d+\["?fit', graph)) == fits("ablation_lambda1")


def test_the_device_is_a_choice_of_the_configuration(checkout: Checkout) -> None:
    run = "results/runs/craft/RN50/EuroSAT/shots-1/seed-1/fitted.json"
    planned = checkout.jobs(run, "-n", "--config", "device=cuda")
    leased = {match[1] for job in planned if (match := LEASE.search(job["command"] or ""))}
    assert leased == {"craft.blackbox.images.__main__", "craft.fit"}
    # Each of their jobs, and no other, takes one of the GPUs that --resources or a profile allows.
    for job in planned:
        assert job["resources"].get("gpu", 0) == bool(LEASE.search(job["command"] or "")), job
    other = checkout.jobs(run, "-n", "--profile", "profiles/gpu", "--config", "dtype=bfloat16")
    (fit,) = (job["command"] for job in other if "craft.fit" in (job["command"] or ""))
    assert "craft.runtime.gpu_lease cpu craft.fit" in fit and "--dtype bfloat16 --tf32" in fit
    assert not any(job["resources"].get("gpu") for job in other)


def test_threads_of_a_fit_are_the_configurations_not_the_machines(checkout: Checkout) -> None:
    run = "results/runs/craft/RN50/EuroSAT/shots-1/seed-1/fitted.json"
    planned = checkout.jobs(run, "-n", "--cores", "2", "--config", "fit_threads=4")
    (fit,) = (job for job in planned if "craft.fit" in (job["command"] or ""))
    assert fit["threads"] == 2 and "--threads 4" in fit["command"]


def test_a_wrong_configuration_stops_before_any_job(checkout: Checkout) -> None:
    # Form first, then meaning: all problems of a step at once.
    steps = [("seed=3", "runs_per_job=2"), ("options={budgt: 3}",)]
    for overrides in steps:
        output = checkout.snakemake("all", *MINI, "--config", *overrides, succeeds=False)
        for override in overrides:
            assert f"config/mini.yaml: {override.partition('=')[0]}" in output
        assert "Job stats" not in output
