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
from craft.config.load import ConfigError, check_files, load, typed
from craft.config.schema import SCHEMAS
from craft.design.runs import Design
from craft.files import strict_yaml

MINI = yaml.safe_load(Path("config/mini.yaml").read_text())
Config = dict[str, Any]


def problems(change: Callable[[Config], None]) -> tuple[str, ...]:
    """What is wrong with the mini suite once it is changed."""
    config = deepcopy(MINI)
    change(config)
    with pytest.raises(ConfigError) as caught:
        load(config, source="suite.yaml")
    return caught.value.problems


@pytest.mark.parametrize("path", ["config/mini.yaml", "config/config.yaml"])
def test_the_suites_are_right(path: str) -> None:
    config = load(path)
    assert set(config["backbones"]) == set(config["backbone_facts"])
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


WRONG: dict[str, tuple[Callable[[Config], Any], tuple[str, ...]]] = {
    "unknown key": (
        lambda c: c.update(bugdet=1, sede=[1]),
        ("suite.yaml: sede = [1]", "did you mean 'seeds'?"),
    ),
    "missing key": (lambda c: c.pop("seeds"), ("seeds is missing",)),
    "type": (lambda c: c.update(results=3), ("results = 3: accepted: string",)),
    "range": (lambda c: c.update(seeds=[0]), ("seeds[0] = 0: accepted: at least 1",)),
    "repeated": (lambda c: c.update(seeds=[1, 1]), ("seeds = [1, 1]: accepted: entries that",)),
    "some seeds in a job": (
        lambda c: c.update(runs_per_job=2),
        ("runs_per_job = 2: accepted: one, seeds, shots",),
    ),
    "data set": (
        lambda c: c["datasets"].append("digts"),
        ("datasets: unknown name 'digts'; did you mean 'digits'?",),
    ),
    "backbone": (
        lambda c: c["backbones"].append("RN5"),
        ("backbones: unknown name 'RN5'; did you mean 'RN50'?",),
    ),
    "shifted set as few-shot set": (
        lambda c: c["datasets"].append("objects-v2"),
        ("datasets: objects-v2 is a shifted test set of objects",),
    ),
    "few-shot set as shifted set": (
        lambda c: c["shift"]["targets"].append("digits"),
        ("shift.targets: digits is no shifted test set of objects",),
    ),
    "another's shifted set": (
        lambda c: c["shift"].update(source="digits"),
        ("shift.targets: objects-v2 is no shifted test set of digits",),
    ),
    "shift is missing": (lambda c: c.pop("shift"), ("artefacts.robustness needs shift",)),
    "artefact": (
        lambda c: c["artefacts"].update(architecture={"shots": [1]}),
        ("artefacts: unknown name 'architecture'; did you mean 'architectures'?",),
    ),
    "backbone of an artefact": (
        lambda c: c["artefacts"]["architectures"].update(backbones=["mini-m"]),
        ("artefacts.architectures.backbones: unknown name 'mini-m'; did you mean 'mini-rn'?",),
    ),
    "artefact of a method": (
        lambda c: c["methods"]["craft"].update(artefacts=["robustnes"]),
        ("methods.craft.artefacts: unknown name 'robustnes'; did you mean 'robustness'?",),
    ),
    "shots are missing": (
        lambda c: c["artefacts"].update(architectures={}),
        ("artefacts.architectures.shots is missing",),
    ),
    "key of another artefact": (
        lambda c: c["artefacts"]["architectures"].update(option="lambda1"),
        ("artefacts.architectures.option = 'lambda1': accepted in architectures:",),
    ),
    "too many shots": (
        lambda c: c["artefacts"]["architectures"].update(shots=[33]),
        ("artefacts.architectures.shots: 33: accepted for digits: at most 32",),
    ),
    "learner's module": (
        lambda c: c["methods"]["craft"].update(learner="craft.learner.carft:CraFT"),
        ("methods.craft.learner: expected module:Class of a learner", "there is no module"),
    ),
    "learner's class": (
        lambda c: c["methods"]["craft"].update(learner="craft.learner.collaborative:Collaborate"),
        ("did you mean 'Collaborative'?",),
    ),
    "option of the suite": (
        lambda c: c["options"].update(budgte=1),
        ("options.budgte: expected an option of the learner (did you mean 'budget'?), got 1",),
    ),
    "option of another learner": (
        lambda c: c["methods"]["craft"].update(options={"context_tokens": 4}),
        ("methods.craft.options.context_tokens: expected an option of the learner",),
    ),
    "options of CoOp": (
        lambda c: c["methods"]["coop-4"]["options"].update(
            epochs=0, context_tokens=500, init_std=-1, momentum=1.5, warmup_rate=-1.0
        ),
        (
            "methods.coop-4.options.epochs: expected at least 1 and at most 100,000, or null",
            "methods.coop-4.options.context_tokens: expected at least 1 and at most 73",
            "methods.coop-4.options.init_std: expected at least 0",
            "methods.coop-4.options.momentum: expected at least 0 and at most 1",
            "methods.coop-4.options.warmup_rate: expected at least 0",
        ),
    ),
    "no context token": (
        lambda c: c["methods"]["coop-4"]["options"].update(context_tokens=0),
        ("methods.coop-4.options.context_tokens: expected at least 1 and at most 73, got 0",),
    ),
    "more than a machine holds": (
        lambda c: c["options"].update(views=2_000_000_000, hidden=2**40, intrinsic_dim=2**30),
        (
            "options.views: expected at least 0 and at most 1,000, got 2000000000",
            "options.hidden: expected at least 1 and at most 8,192, got 1099511627776",
            "options.intrinsic_dim: expected at least 2 and at most 4,096, got 1073741824",
        ),
    ),
    "released values of a suite": (
        lambda c: c["options"]["released"].update(views=1001),
        ("options.released.views: expected at least 0 and at most 1,000, got 1001",),
    ),
    "option of a method on one data set": (
        lambda c: c["methods"]["coop-4"].update(dataset_options={"digits": {"epoch": 1}}),
        ("methods.coop-4.dataset_options.digits.epoch: expected an option of the learner",),
    ),
    "option of a method on an unknown data set": (
        lambda c: c["methods"]["coop-4"].update(dataset_options={"digit": {"epochs": 1}}),
        ("methods.coop-4.dataset_options: unknown name 'digit'; did you mean 'digits'?",),
    ),
    "type of an option": (
        lambda c: c["options"].update(budget="many"),
        ("options.budget: expected int, got 'many'",),
    ),
    "a number that YAML reads as text": (
        lambda c: c["options"].update(learning_rate="1e-3"),
        ("options.learning_rate: expected float, got '1e-3'",),
    ),
    "a number where yes or no is asked": (
        lambda c: c["methods"]["no-residual"].update(options={"residual": 0}),
        ("methods.no-residual.options.residual: expected bool, got 0",),
    ),
    "value of an option": (
        lambda c: c["options"].update(mode="papre"),
        ("options.mode: expected one of paper, released, got 'papre'",),
    ),
    "budget under one population": (
        lambda c: c["options"].update(budget=20),
        ("budget: expected at least one population of 40 queries, got 20",),
    ),
    "budget under a method's population": (
        lambda c: c["methods"]["craft"].update(options={"population": 4000}),
        ("options of craft, craft@", "budget: expected at least one population of 4000 queries"),
    ),
    "option on an unknown data set": (
        lambda c: c.update(dataset_options={"digit": {"sigma": 1.0}}),
        ("dataset_options: unknown name 'digit'; did you mean 'digits'?",),
    ),
    "swept option": (
        lambda c: c["artefacts"]["ablation_lambda1"].update(option="lambda3"),
        ("artefacts.ablation_lambda1.option: unknown name 'lambda3'; did you mean 'lambda",),
    ),
    "swept method": (
        lambda c: c["artefacts"]["ablation_lambda1"].update(method="crft"),
        ("artefacts.ablation_lambda1.method: unknown name 'crft'; did you mean 'craft'?",),
    ),
    "swept value": (
        lambda c: c["artefacts"]["ablation_lambda1"].update(values=[-1.0]),
        ("artefacts.ablation_lambda1.values.lambda1: expected at least 0 and at most",),
    ),
    "a class that is no learner": (
        lambda c: c["methods"]["craft"].update(learner="craft.learner.options:Options"),
        ("methods.craft.learner: expected module:Class of a learner, got", "does not derive"),
    ),
    "a number that is none": (
        lambda c: c["options"].update(learning_rate=float("nan")),
        ("options.learning_rate = nan: accepted: a finite number",),
    ),
    "a whole number written as 1.0": (
        lambda c: c["artefacts"]["architectures"].update(shots=[1.0]),
        ("artefacts.architectures.shots[0] = 1.0: accepted: integer",),
    ),
    "two wrong entries of a list": (
        lambda c: c.update(datasets=[1, 2]),
        ("datasets[0] = 1: accepted: string", "datasets[1] = 2: accepted: string"),
    ),
    "braces in a path": (
        lambda c: c.update(results="results/{dataset}"),
        ("results = 'results/{dataset}': accepted: text that matches",),
    ),
    "text of two lines": (
        lambda c: c["methods"]["craft"].update(label="Cra\nFT"),
        ("methods.craft.label = 'Cra\\nFT': accepted: text that matches",),
    ),
    "published": (
        lambda c: c.update(published="config/publshed"),
        ("published = 'config/publshed': accepted: a folder that exists",),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_named_with_what_is_accepted(case: str) -> None:
    change, expected = WRONG[case]
    text = "\n".join(problems(change))
    for part in expected:
        assert part in text


def test_all_problems_come_at_once() -> None:
    def change(config: Config) -> None:
        config["sede"] = 1
        config["datasets"].append("nowhere")
        config["options"]["budgt"] = 1
        config["artefacts"]["architectures"]["shots"] = ["x"]
        del config["backbones"]

    found = problems(change)
    assert len(found) == 5
    assert all(problem.startswith("suite.yaml: ") for problem in found)


FOLLOWED: dict[str, tuple[Callable[[Config], Any], str]] = {
    "a backbone's name": (
        lambda c: c.update(backbones=["mini-RN", "mini-vit"]),
        "backbones: unknown name 'mini-RN'; did you mean 'mini-rn'?",
    ),
    "a data set's name": (
        lambda c: c.update(datasets=["digts", *c["datasets"][1:]], dataset_options={"digits": {}}),
        "datasets: unknown name 'digts'; did you mean 'digits'?",
    ),
    "a name for a list": (
        lambda c: c.update(datasets="objects", dataset_options={"objects": {}}),
        "datasets = 'objects': accepted: array",
    ),
    "a list without an entry": (
        lambda c: c.update(backbones=[]),
        "backbones = []: accepted: 1 or more entries",
    ),
    "the source of shifted sets": (
        lambda c: c["shift"].update(source="Objects"),
        "shift.source: unknown name 'Objects'; did you mean 'objects'?",
    ),
    "a shifted set": (
        lambda c: c["shift"]["targets"].append("objects-v3"),
        "shift.targets: unknown name 'objects-v3'; did you mean 'objects-v2'?",
    ),
    "a shift that is none": (
        lambda c: c.update(shift="objects"),
        "shift = 'objects': accepted: object or null",
    ),
    "a method without a learner": (
        lambda c: c["methods"]["craft"].pop("learner"),
        "methods.craft: learner is missing",
    ),
    "shots that are no list": (
        lambda c: c["artefacts"]["ablation_lambda1"].update(shots=16),
        "artefacts.ablation_lambda1.shots = 16: accepted: array",
    ),
    "a swept option out of range": (
        lambda c: c["options"].update(lambda1=-1),
        "options.lambda1: expected at least 0",
    ),
}


@pytest.mark.parametrize("case", FOLLOWED)
def test_what_follows_from_one_mistake_alone_is_no_problem_of_its_own(case: str) -> None:
    change, expected = FOLLOWED[case]
    (problem,) = problems(change)
    assert problem.startswith(f"suite.yaml: {expected}")


def test_a_name_that_nothing_declares_is_told_beside_a_wrong_one() -> None:
    def change(config: Config) -> None:
        config["backbones"][0] = "mini-RN"
        config["artefacts"]["efficiency"]["backbones"] = ["mini-m"]

    assert len(problems(change)) == 2


@pytest.mark.parametrize(
    ("name", "most"), [("Caltech101", 16), ("StanfordCars", 19), ("ImageNet", 732), ("SUN397", 40)]
)
def test_more_shots_than_the_smallest_class_has_are_told(name: str, most: int) -> None:
    paper = yaml.safe_load(Path("config/config.yaml").read_text())
    for shots, count in ((most, 0), (most + 1, 1)):
        config = deepcopy(paper)
        config["artefacts"] = {"few_shot_curves": {"datasets": [name], "shots": [shots]}}
        found: tuple[str, ...] = ()
        try:
            load(config, source="suite.yaml")
        except ConfigError as error:
            found = error.problems
        assert len(found) == count, found
        expected = f"few_shot_curves.shots: {shots}: accepted for {name}: at most {most}, as its"
        assert all(expected in problem for problem in found)


PLACES = {
    "a file": ({"results": "README.md"}, "results = 'README.md': cannot be written: "),
    "below a file": ({"data": "README.md/x"}, "data = 'README.md/x': cannot be written: "),
    "the folder above": ({"results": ".."}, "results = '..': accepted: a folder that does not"),
    "the project": ({"data": "."}, "data = '.': accepted: a folder that does not hold the proj"),
    "everything": ({"data": "/."}, "data = '/.': accepted: a folder that does not hold the proj"),
    "sources": ({"results": "craft"}, "results = 'craft': accepted: a folder outside craft/"),
    "below sources": ({"results": "config/mine"}, "results = 'config/mine': accepted: a folder ou"),
    "in a roundabout way": ({"data": "x/../docs"}, "data = 'x/../docs': accepted: a folder outsi"),
    "one for both": (
        {"results": "results/a", "data": "results/x/../a"},
        "data = 'results/x/../a': accepted: another folder than results",
    ),
    "a long name": ({"results": "x" * 300}, "accepted: a path of 1000 bytes, names of 255"),
}


@pytest.mark.parametrize("case", PLACES)
def test_folders_that_cannot_be_used_are_told(case: str) -> None:
    given, expected = PLACES[case]
    (problem,) = problems(lambda config: config.update(given))
    assert problem.startswith("suite.yaml: ") and expected in problem


def test_folders_anywhere_else_are_right(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk").mkdir()
    for results in ("results/mini", str(tmp_path), str(tmp_path / "link/a/b"), "results/../out"):
        assert load(MINI | {"results": results, "data": f"{results}/data"})


def test_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "unplugged")
    (problem,) = problems(lambda config: config.update(results=str(tmp_path / "link/results")))
    assert problem.endswith(f"cannot be written: {tmp_path}/link is no folder")


def test_a_folder_that_takes_nothing_new_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write anywhere, so that permissions alone would not show it.
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != str(tmp_path))
    results, data = str(tmp_path / "results"), str(tmp_path)
    lacking, problem = sorted(problems(lambda config: config.update(results=results, data=data)))
    assert f"data = {data!r}: expected a folder that can be written" in lacking
    assert "digits" in lacking
    assert problem.endswith(f"cannot be written: {tmp_path} takes nothing new from this user")


def test_a_fact_file_is_validated_too(tmp_path: Path) -> None:
    for folder, names in (("datasets", MINI["datasets"]), ("backbones", MINI["backbones"])):
        (tmp_path / "config" / folder).mkdir(parents=True)
        for name in [*names, *(MINI["shift"]["targets"] if folder == "datasets" else ())]:
            text = Path(f"config/{folder}/{name}.yaml").read_text()
            (tmp_path / f"config/{folder}/{name}.yaml").write_text(text)
    digits = tmp_path / "config/datasets/digits.yaml"
    digits.write_text(digits.read_text().replace("name: digits", "name: digit"))
    objects = tmp_path / "config/datasets/objects.yaml"
    objects.write_text(objects.read_text().replace("template:", "templat:"))
    textures = tmp_path / "config/datasets/textures.yaml"
    textures.write_text(textures.read_text() + "\ncrop_scale: [0.9, 0.5]\n")
    with pytest.raises(ConfigError) as caught:
        load(MINI, tmp_path)
    text = "\n".join(caught.value.problems)
    assert "config/datasets/digits.yaml: name = 'digit': accepted: digits" in text
    assert "config/datasets/objects.yaml: templat = " in text
    assert "did you mean 'template'?" in text
    assert "textures.yaml: crop_scale = [0.9, 0.5]: accepted: the smaller share first" in text


def test_a_key_that_is_there_twice_is_no_choice(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text("seeds: [1]\noptions:\n  budget: 80\n  sigma: 1\n  budget: 8000\n")
    for read in (load, lambda path: check_files([path])):
        with pytest.raises(
            ConfigError, match=r"suite\.yaml: .*line 5: key 'budget' is there twice"
        ):
            read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("options:\n  budget: 02000", "line 2: '02000' is 1024 to YAML: write 2000"),
        ("seeds:\n- 1\n- [010]", "line 3: '010' is 8 to YAML: write 10, or put it in quotes"),
        ("budget: -0_7", "line 1: '-0_7' is -7 to YAML: write -7"),
        ("budget: 40:00", "line 1: '40:00' is 2400 to YAML: write it without colons"),
        ("sigma: 1:30.5", "line 1: '1:30.5' is 90.5 to YAML: write it without colons"),
        ("sigma: 00.5", "line 1: '00.5' is 0.5 to YAML: write 0.5"),
    ],
)
def test_numbers_that_yaml_reads_in_eights_or_sixties_are_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert f"suite.yaml: not a readable YAML file ({said}" in problem


BROKEN = {
    "no file": (None, "not a readable YAML file (No such file or directory)"),
    "Latin-1": ("suite: mini\nlabel: caf\xe9".encode("latin-1"), "(line 2: byte 0xe9 is no UTF-8"),
    "UTF-16": ("suite: mini".encode("utf-16"), "(line 1: byte 0xff is no UTF-8: save it as UTF-8)"),
    "a tab": (
        b"suite: mini\nshift:\n\tsource: x",
        "(line 3, column 1: found character that cannot",
    ),
    "nesting": (b"suite: mini\n  seeds: [1]", "(line 2, column 8: mapping values are not allowed"),
    "a colon": (b"label: BBT: mine", "(line 1, column 11: mapping values are not allowed in this"),
    "nothing": (b"# to be written\n", "suite.yaml: holds nothing; accepted: a mapping of keys"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_no_yaml_is_told_with_its_line(tmp_path: Path, case: str) -> None:
    content, said = BROKEN[case]
    path = tmp_path / "suite.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        main([str(path), str(tmp_path)])
    problem, folder = caught.value.problems
    assert problem.startswith(f"{path}: ") and said in problem
    assert folder == f"{tmp_path}: not a readable YAML file (Is a directory)"


def test_the_command_reads_files_as_snakemake_merges_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    above = tmp_path / "above.yaml"
    # Learner and artefacts of the method stay those of the file below.
    above.write_text("methods: {craft: {label: mine}}\nseeds: [7]\n")
    main(["config/mini.yaml", str(above)])
    runs = len(Design(load(MINI | {"seeds": [7]})).all_runs)
    right = f"config/mini.yaml + {above}: right; {len(MINI['artefacts'])} artefacts of {runs} runs"
    assert capsys.readouterr().out == f"{right}\n"
    above.write_text("options: {hidden: 0}\n")
    with pytest.raises(ConfigError, match=r"above\.yaml: options\.hidden: expected at least 1"):
        main(["config/mini.yaml", str(above)])


def test_the_command_ends_with_the_problems_and_status_1(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text("suite: [")
    command = [sys.executable, "-m", "craft.config", str(tmp_path / "suite.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: 1 problem in the configuration\n- ")
    assert "Traceback" not in done.stderr


def test_zero_points_and_quotes_are_no_octal_numbers(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text("a: [0, 0.5, -0.5, '010', \"40:00\", 10]")
    assert strict_yaml.read(path) == {"a": [0, 0.5, -0.5, "010", "40:00", 10]}


def test_a_backbone_of_open_clip_is_four_lines_and_a_label() -> None:
    schema = yaml.safe_load((SCHEMAS / "backbone.schema.yaml").read_text())
    validator = Draft202012Validator(schema)
    line = {"name": "x", "label": "X", "kind": "open_clip", "model": "ViT-B-32", "pretrained": "y"}
    assert validator.is_valid(line) and validator.is_valid(line | {"precision": "bf16"})
    assert not validator.is_valid(line | {"precision": "int8"})
    assert not validator.is_valid(line | {"text": "slow"})
    mini = yaml.safe_load(Path("config/backbones/mini-rn.yaml").read_text())
    assert validator.is_valid(mini)
    assert not validator.is_valid(mini | {"precision": "bf16"})
    assert not validator.is_valid(mini | {"image": {"size": 32}})


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text("suite: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError, match=r"suite\.yaml: not a readable YAML file"):
        load(path)


@pytest.mark.parametrize("name", ["config", "dataset", "backbone"])
def test_every_key_of_a_schema_is_described_and_unknown_ones_are_refused(name: str) -> None:
    schema = yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text())

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
    assert typed({"budget": "0800", "seeds": ["010"]}) == {"budget": "0800", "seeds": ["010"]}
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
