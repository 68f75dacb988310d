"""A configuration: read by one reader, validated in two steps, with problems of one structure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from craft.config.__main__ import main
from craft.config.load import load, merged, typed
from craft.config.problems import NOTHING, ConfigError, Problem
from craft.design.runs import Design
from craft.files import yaml12
from craft.files.descriptions import SCHEMAS
from tests.suites import tiny

MINI = yaml12.read("config/mini.yaml")
Config = dict[str, Any]


def problems(change: Callable[[Config], Any]) -> tuple[Problem, ...]:
    """What is wrong with the mini suite once it is changed."""
    config = deepcopy(MINI)
    change(config)
    with pytest.raises(ConfigError) as caught:
        load(config, source="suite.yaml")
    return caught.value.problems


def keys(found: tuple[Problem, ...]) -> set[tuple[str, Any]]:
    """Path and refused value of each problem."""
    return {(problem.path, problem.value) for problem in found}


def test_a_problem_is_worded_as_key_expectation_and_value() -> None:
    problem = Problem("options.budget", "int", "many", "a hint", "suite.yaml")
    assert str(problem) == "suite.yaml: options.budget: expected int, got 'many'; a hint"
    assert str(Problem("seeds", "a list", NOTHING)) == "seeds: expected a list, got nothing"
    assert str(ConfigError([problem, problem])) == f"1 problem in the configuration\n- {problem}"


@pytest.mark.parametrize("path", ["config/mini.yaml", "config/config.yaml"])
def test_the_suites_are_right(path: str) -> None:
    config = load(path)
    models = {*config["backbones"], *config["encoders"]}
    assert models == set(config["backbone_facts"])
    assert set(config["datasets"]) <= set(config["facts"])


def test_defaults_are_filled_in() -> None:
    config = deepcopy(MINI)
    for key in ("results", "data", "runs_per_job"):
        del config[key]
    full = load(config)
    assert (full["results"], full["data"], full["published"]) == ("results", "data", None)
    assert full["runs_per_job"] == "one"
    assert full["facts"]["digits"]["encode"] == "pool"
    assert full["facts"]["digits"]["crop_scale"] == [0.5, 1.0]


def test_only_the_named_files_are_read() -> None:
    assert set(load(MINI)["backbone_facts"]) == {"mini-rn", "mini-vit"}
    assert "EuroSAT" not in load(MINI)["facts"]


def test_the_given_mapping_is_left_as_it_is() -> None:
    given = deepcopy(MINI)
    load(given)
    assert given == MINI


#: A change -> path and value of each problem that it makes.
WRONG: dict[str, tuple[Callable[[Config], Any], set[tuple[str, Any]]]] = {
    "unknown keys": (
        lambda c: c.update(bugdet=1, sede="x"),
        {("bugdet", 1), ("sede", "x")},
    ),
    "missing key": (lambda c: c.pop("seeds"), {("seeds", NOTHING)}),
    "type": (lambda c: c.update(results=3), {("results", 3)}),
    "range": (lambda c: c.update(seeds=[0]), {("seeds[0]", 0)}),
    "a text for a choice": (lambda c: c.update(runs_per_job=2), {("runs_per_job", 2)}),
    "a whole number written as 1.0": (
        lambda c: c["artefacts"]["architectures"].update(shots=[1.0]),
        {("artefacts.architectures.shots[0]", 1.0)},
    ),
    "two wrong entries of a list": (
        lambda c: c.update(datasets=[1, 2]),
        {("datasets[0]", 1), ("datasets[1]", 2)},
    ),
    "braces in a path": (
        lambda c: c.update(results="results/{dataset}"),
        {("results", "results/{dataset}")},
    ),
    "text of two lines": (
        lambda c: c["methods"]["craft"].update(label="Cra\nFT"),
        {("methods.craft.label", "Cra\nFT")},
    ),
    "a shift that is none": (lambda c: c.update(shift="objects"), {("shift", "objects")}),
    "a method without a learner": (
        lambda c: c["methods"]["craft"].pop("learner"),
        {("methods.craft.learner", NOTHING)},
    ),
    "a method's name": (
        lambda c: c["methods"].update({"a b": c["methods"]["craft"]}),
        {("methods.a b", "a b")},
    ),
    "data set": (lambda c: c["datasets"].append("digts"), {("datasets", "digts")}),
    "backbone": (lambda c: c["backbones"].append("RN5"), {("backbones", "RN5")}),
    "a backbone that others name rightly": (
        lambda c: c.update(backbones=["mini-RN", "mini-vit"]),
        {("backbones", "mini-RN")},
    ),
    "encoder": (lambda c: c.update(encoders=["MAE"]), {("encoders", "MAE")}),
    "an encoder that is a backbone": (
        lambda c: c.update(encoders=["mini-rn"]),
        {("encoders", "mini-rn")},
    ),
    "a model without a text side": (
        lambda c: c["backbones"].append("MAE-ViT-B-16"),
        {("backbones", "MAE-ViT-B-16")},
    ),
    "codes of a backbone that is not named": (
        lambda c: c["methods"].update(
            blackvip={
                "learner": "craft.learner.blackvip:BlackVIP",
                "options": {"encoder": "MAE-ViT-B-16"},
                "artefacts": ["blackbox_methods"],
            }
        ),
        {("options of blackvip: encoder", "MAE-ViT-B-16")},
    ),
    "shifted set as few-shot set": (
        lambda c: c["datasets"].append("objects-v2"),
        {("datasets", "objects-v2")},
    ),
    "few-shot set as shifted set": (
        lambda c: c["shift"]["targets"].append("digits"),
        {("shift.targets", "digits")},
    ),
    "another's shifted set": (
        lambda c: c["shift"].update(source="digits"),
        {("shift.targets", name) for name in MINI["shift"]["targets"]},
    ),
    "a source that is not there": (
        lambda c: c["shift"].update(source="Objects"),
        {("shift.source", "Objects")},
    ),
    "a shifted set that is not there": (
        lambda c: c["shift"]["targets"].append("objects-v3"),
        {("shift.targets", "objects-v3")},
    ),
    "shift is missing": (lambda c: c.pop("shift"), {("shift", None)}),
    "artefact": (
        lambda c: c["artefacts"].update(architecture={"shots": [1]}),
        {("artefacts", "architecture")},
    ),
    "backbone of an artefact": (
        lambda c: c["artefacts"]["architectures"].update(backbones=["mini-m"]),
        {("artefacts.architectures.backbones", "mini-m")},
    ),
    "artefact of a method": (
        lambda c: c["methods"]["craft"].update(artefacts=["robustnes"]),
        {("methods.craft.artefacts", "robustnes")},
    ),
    "shots are missing": (
        lambda c: c["artefacts"].update(architectures={}),
        {("artefacts.architectures.shots", NOTHING)},
    ),
    "key of another artefact": (
        lambda c: c["artefacts"]["architectures"].update(option="lambda1"),
        {("artefacts.architectures.option", "lambda1")},
    ),
    "too many shots": (
        lambda c: c["artefacts"]["architectures"].update(shots=[33], datasets=["digits"]),
        {("artefacts.architectures.shots", 33)},
    ),
    "learner's module": (
        lambda c: c["methods"]["craft"].update(learner="craft.learner.carft:CraFT"),
        {("methods.craft.learner", "craft.learner.carft:CraFT")},
    ),
    "a class that is no learner": (
        lambda c: c["methods"]["craft"].update(learner="craft.learner.options:Options"),
        {("methods.craft.learner", "craft.learner.options:Options")},
    ),
    "backbone of a method": (
        lambda c: c["methods"]["craft"].update(backbones=["mini-m"], datasets=["digit"]),
        {("methods.craft.backbones", "mini-m"), ("methods.craft.datasets", "digit")},
    ),
    "visual prompts of a ResNet": (
        lambda c: c["methods"]["craft-vp"].pop("backbones"),
        {("methods.craft-vp.backbones", "mini-rn")},
    ),
    "more folds than shots": (
        lambda c: c["methods"]["bpt-vlm"]["options"].update(search_folds=17),
        {("options of bpt-vlm: search_folds", 17)},
    ),
    "folds that the best candidate is chosen over": (
        lambda c: c["methods"]["bpt-vlm"]["options"].update(context_rule="best"),
        {("options of bpt-vlm: search_folds", 8)},
    ),
    "option of the suite": (lambda c: c["options"].update(budgte=1), {("options.budgte", 1)}),
    "option of another learner": (
        lambda c: c["methods"]["craft"].update(options={"init_std": 0.1}),
        {("methods.craft.options.init_std", 0.1)},
    ),
    "options of CoOp": (
        lambda c: c["methods"]["coop-4"]["options"].update(
            epochs=0, context_tokens=500, init_std=-1, momentum=1.5, warmup_rate=-1.0
        ),
        {
            ("methods.coop-4.options.epochs", 0),
            ("methods.coop-4.options.context_tokens", 500),
            ("methods.coop-4.options.init_std", -1),
            ("methods.coop-4.options.momentum", 1.5),
            ("methods.coop-4.options.warmup_rate", -1.0),
        },
    ),
    "more than a machine holds": (
        lambda c: c["options"].update(views=2_000_000_000, hidden=2**40, intrinsic_dim=2**30),
        {
            ("options.views", 2_000_000_000),
            ("options.hidden", 2**40),
            ("options.intrinsic_dim", 2**30),
        },
    ),
    "released values of a suite": (
        lambda c: c["options"]["released"].update(views=1001),
        {("options.released.views", 1001)},
    ),
    "option of a method on one data set": (
        lambda c: c["methods"]["coop-4"].update(dataset_options={"digits": {"epoch": 1}}),
        {("methods.coop-4.dataset_options.digits.epoch", 1)},
    ),
    "option of a method on an unknown data set": (
        lambda c: c["methods"]["coop-4"].update(dataset_options={"digit": {"epochs": 1}}),
        {("methods.coop-4.dataset_options", "digit")},
    ),
    "type of an option": (
        lambda c: c["options"].update(budget="many"),
        {("options.budget", "many")},
    ),
    "a number where yes or no is asked": (
        lambda c: c["methods"]["no-residual"].update(options={"residual": 0}),
        {("methods.no-residual.options.residual", 0)},
    ),
    "value of an option": (
        lambda c: c["options"].update(mode="papre"),
        {("options.mode", "papre")},
    ),
    "option on an unknown data set": (
        lambda c: c.update(dataset_options={"digit": {"sigma": 1.0}}),
        {("dataset_options", "digit")},
    ),
    "swept option": (
        lambda c: c["artefacts"]["ablation_lambda1"].update(option="lambda3"),
        {("artefacts.ablation_lambda1.option", "lambda3")},
    ),
    "swept method": (
        lambda c: c["artefacts"]["ablation_lambda1"].update(method="crft"),
        {("artefacts.ablation_lambda1.method", "crft")},
    ),
    "swept value": (
        lambda c: c["artefacts"]["ablation_lambda1"].update(values=[-1.0]),
        {("artefacts.ablation_lambda1.values.lambda1", -1.0)},
    ),
    "published": (
        lambda c: c.update(published="config/publshed"),
        {("published", "config/publshed")},
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_named_by_its_key(case: str) -> None:
    change, expected = WRONG[case]
    found = problems(change)
    assert keys(found) == expected
    assert all(problem.expected and problem.source == "suite.yaml" for problem in found)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (lambda c: c.update(sede=[1]), "'seeds'"),
        (lambda c: c.update(datasets=["digts"]), "'digits'"),
        (lambda c: c["methods"]["craft"].update(learner="craft.learner.collaborative:C"), "no C"),
    ],
)
def test_a_name_that_is_nearly_right_gets_a_hint(
    change: Callable[[Config], Any], hint: str
) -> None:
    assert any(hint in problem.hint for problem in problems(change))


def test_options_that_contradict_each_other_name_the_methods_that_have_them() -> None:
    (found,) = problems(lambda c: c["options"].update(budget=20))
    assert found.path.startswith("options of ") and found.path.endswith(": budget")
    assert found.value == 20
    (found,) = problems(lambda c: c["methods"]["craft"].update(options={"population": 4000}))
    assert "craft" in found.path and found.value == 2000


def test_all_problems_of_a_step_come_at_once() -> None:
    def spoil_meaning(config: Config) -> None:
        config["datasets"].append("nowhere")
        config["options"]["budgt"] = 1
        config["artefacts"]["efficiency"]["backbones"] = ["mini-m"]
        config["results"] = "craft"

    def spoil_all(config: Config) -> None:
        spoil_meaning(config)
        config["sede"] = 1
        config["artefacts"]["architectures"]["shots"] = ["x"]
        del config["backbones"]

    assert keys(problems(spoil_all)) == {
        ("sede", 1),
        ("artefacts.architectures.shots[0]", "x"),
        ("backbones", NOTHING),
    }
    assert keys(problems(spoil_meaning)) == {
        ("datasets", "nowhere"),
        ("options.budgt", 1),
        ("artefacts.efficiency.backbones", "mini-m"),
        ("results", "craft"),
    }


@pytest.mark.parametrize(
    ("name", "most"), [("Caltech101", 16), ("StanfordCars", 19), ("ImageNet", 732), ("SUN397", 40)]
)
def test_more_shots_than_the_smallest_class_has_are_named(name: str, most: int) -> None:
    paper = yaml12.read("config/config.yaml")
    for shots, wrong in ((most, False), (most + 1, True)):
        config = deepcopy(paper)
        config["artefacts"] = {"few_shot_curves": {"datasets": [name], "shots": [shots]}}
        found: tuple[Problem, ...] = ()
        try:
            load(config)
        except ConfigError as error:
            found = error.problems
        assert keys(found) == ({("artefacts.few_shot_curves.shots", shots)} if wrong else set())


PLACES: dict[str, tuple[dict[str, str], str]] = {
    "a file": ({"results": "README.md"}, "results"),
    "below a file": ({"data": "README.md/x"}, "data"),
    "the folder above": ({"results": ".."}, "results"),
    "the project": ({"data": "."}, "data"),
    "everything": ({"data": "/."}, "data"),
    "sources": ({"results": "craft"}, "results"),
    "below sources": ({"results": "config/mine"}, "results"),
    "in a roundabout way": ({"data": "x/../docs"}, "data"),
    "one for both": ({"results": "results/a", "data": "results/x/../a"}, "data"),
}


@pytest.mark.parametrize("case", PLACES)
def test_folders_that_cannot_be_used_are_named(case: str) -> None:
    given, key = PLACES[case]
    assert keys(problems(lambda config: config.update(given))) == {(key, given[key])}


def test_folders_anywhere_else_are_right(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    for results in ("results/mini", str(tmp_path), str(tmp_path / "link/a/b"), "results/../out"):
        assert load(MINI | {"results": results, "data": f"{results}/data"})


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "unplugged")
    (problem,) = problems(lambda config: config.update(results=str(tmp_path / "link/results")))
    assert problem.path == "results" and f"{tmp_path}/link is no folder" in problem.expected


def test_a_folder_that_takes_nothing_new_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so that permissions alone would not show it.
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))
    results, data = str(tmp_path / "results"), str(tmp_path)
    found = problems(lambda config: config.update(results=results, data=data))
    assert keys(found) == {("results", results), ("data", data)}
    assert any("digits" in problem.expected for problem in found)


def test_descriptions_are_validated_in_the_same_two_steps(tmp_path: Path) -> None:
    def spoil(name: str, old: str, new: str) -> None:
        path = tmp_path / f"config/datasets/{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = Path(f"config/datasets/{name}.yaml").read_text()
        path.write_text(whole.replace(old, new) if old else whole + new)

    spoil("digits", "name: digits", "name: digit")
    spoil("textures", "", "\ncrop_scale: [0.9, 0.5]\n")
    with pytest.raises(ConfigError) as caught:
        load(MINI, tmp_path)
    assert {(problem.source, problem.path) for problem in caught.value.problems} == {
        ("config/datasets/digits.yaml", "name"),
        ("config/datasets/textures.yaml", "crop_scale"),
    }
    spoil("objects", "template:", "templat:")
    spoil("objects-v2", "", "\n{")
    with pytest.raises(ConfigError) as caught:
        load(MINI, tmp_path)
    found = [(problem.source, problem.path) for problem in caught.value.problems]
    assert ("config/datasets/objects.yaml", "templat") in found
    assert ("config/datasets/objects.yaml", "template") in found


# --- files ----------------------------------------------------------------------------------------


def value_of(text: str, path: Path) -> Any:
    path.write_text(f"x: {text}")
    return yaml12.read(path)["x"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("-0.5E+2", -50.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("40:00", "40:00"),
        ("1_000", "1_000"),
        ("2020-01-01", "2020-01-01"),
        (".nan", ".nan"),
        ("-.inf", "-.inf"),
        ("'010'", "010"),
        ("!!str 10", "10"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: Any) -> None:
    found = value_of(text, tmp_path / "x.yaml")
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("path", sorted(Path("config").rglob("*.yaml")), ids=str)
def test_shipped_files_read_alike_by_yaml_1_1(path: Path) -> None:
    assert yaml12.read(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


BROKEN: dict[str, tuple[bytes | None, str, str]] = {
    "no file": (None, "", "No such file"),
    "Latin-1": ("suite: mini\nlabel: caf\xe9".encode("latin-1"), "line 2", "UTF-8"),
    "UTF-16": ("suite: mini".encode("utf-16"), "line 1", "UTF-8"),
    "a tab": (b"suite: mini\nshift:\n\tsource: x", "line 3, column 1", "cannot start any token"),
    "nesting": (b"suite: mini\n  seeds: [1]", "line 2, column 8", "mapping values"),
    "a colon": (b"label: BBT: mine", "line 1, column 11", "mapping values"),
    "nothing": (b"# to be written\n", "", "not a mapping"),
    "a duplicate key": (b"a: 1\nb:\n  c: 1\n  c: 2\n", "line 4, column 3", "duplicate key 'c'"),
    "a key that is a number": (b"1: 2", "line 1, column 1", "not a line of text"),
    "an object": (b"a: !!python/object/apply:os.getcwd []", "line 1, column 4", "os.getcwd"),
    "a date by its tag": (b"a: !!timestamp 2020-01-01", "line 1, column 4", "timestamp"),
    "a control character": (b'a: "\\0"', "line 1, column 4", "control characters"),
    "half a character": (b'a: "\\ud800"', "", ""),
    "an endless number": (b"a: 1e999", "line 1, column 4", "no float"),
    "a number of many digits": (b"a: " + b"9" * 5000, "line 1, column 4", "no int"),
    "itself": (b"a: &a [*a]", "line 1, column 4", "recursive"),
    "a deep nest": (b"[" * 100_000, "line 1, column 101", "100 deep"),
    "two documents": (b"a: 1\n---\nb: 1", "line 2, column 1", "another document"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_no_yaml_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    content, where, why = BROKEN[case]
    path = tmp_path / "suite.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        main([str(path), str(tmp_path)])
    problem, folder = caught.value.problems
    assert (problem.source, folder.source) == (str(path), str(tmp_path))
    assert problem.path.startswith(where) and why in problem.value
    assert str(problem).isprintable()


def test_files_are_merged_key_by_key_below_the_command_lines_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    above = tmp_path / "above.yaml"
    # Learner and artefacts of the method stay those of the file below.
    above.write_text("methods: {craft: {label: mine}}\nseeds: [7]\n")
    whole = merged(["config/mini.yaml", above], {"options": {"sigma": "0.5"}})
    assert whole["options"] == MINI["options"] | {"sigma": 0.5}
    assert whole["methods"]["craft"] == MINI["methods"]["craft"] | {"label": "mine"}
    main(["config/mini.yaml", str(above)])
    runs = len(Design(load(MINI | {"seeds": [7]})).all_runs)
    assert f"({len(MINI['artefacts'])} artefacts, {runs} runs)" in capsys.readouterr().out
    above.write_text("options: {hidden: 0}\n")
    with pytest.raises(ConfigError) as caught:
        main(["config/mini.yaml", str(above)])
    assert keys(caught.value.problems) == {("options.hidden", 0)}


def test_the_command_ends_with_the_problems_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text("suite: [")
    command = [sys.executable, "-m", "craft.config", str(tmp_path / "suite.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: 1 problem in the configuration\n- ")
    assert "Traceback" not in done.stderr


def test_a_backbone_of_open_clip_is_four_lines_and_a_label() -> None:
    schema = yaml12.read(SCHEMAS / "backbone.schema.yaml")
    validator = Draft202012Validator(schema)
    line = {"name": "x", "label": "X", "kind": "open_clip", "model": "ViT-B-32", "pretrained": "y"}
    assert validator.is_valid(line) and validator.is_valid(line | {"precision": "bf16"})
    assert not validator.is_valid(line | {"precision": "int8"})
    assert not validator.is_valid(line | {"text": "slow"})
    mini = yaml12.read("config/backbones/mini-rn.yaml")
    assert validator.is_valid(mini)
    assert not validator.is_valid(mini | {"precision": "bf16"})
    assert not validator.is_valid(mini | {"image": {"size": 32}})


@pytest.mark.parametrize("name", ["config", "dataset", "backbone"])
def test_every_key_of_a_schema_is_described_and_unknown_ones_are_refused(name: str) -> None:
    schema = yaml12.read(SCHEMAS / f"{name}.schema.yaml")

    def visit(node: Any) -> None:
        if not isinstance(node, dict):
            return
        for key, entry in node.get("properties", {}).items():
            shared = schema.get("$defs", {}).get(entry.get("$ref", "").rpartition("/")[2], {})
            assert entry.get("description") or shared.get("description"), key
            visit(entry)
        if "properties" in node:
            assert node.get("additionalProperties") is False
        visit(node.get("additionalProperties"))

    visit(schema)


def test_values_of_the_command_line_get_their_type() -> None:
    given = {"seeds": ["7"], "shift": "null", "options": {"sigma": "0.5", "mode": "paper"}}
    assert typed({"budget": "0800", "label": "[1", "x": "[1]"}) == {
        "budget": 800,
        "label": "[1",
        "x": "[1]",
    }
    assert typed(given) == {
        "seeds": [7],
        "shift": None,
        "options": {"sigma": 0.5, "mode": "paper"},
    }


def test_a_suite_is_checked_without_torch_or_pandas() -> None:
    code = (
        "import json, sys; from craft.config.load import load; load('config/config.yaml');"
        "print(json.dumps([m for m in ('torch', 'pandas', 'open_clip') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_a_learner_of_texts_is_refused_before_any_job() -> None:
    suite = tiny(("zero-shot",), {"architectures": {"shots": [1]}})
    texts = {"learner": "craft.learner.text_probe:TextProbe", "label": "texts", "components": []}
    suite["methods"]["texts"] = texts | {"artefacts": ["architectures"]}
    with pytest.raises(ConfigError) as caught:
        load(suite)
    assert [problem.path for problem in caught.value.problems] == ["methods.texts.learner"]
