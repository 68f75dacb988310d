"""That the black box is black: by the text of the imports, and by running without the inside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boundary.hidden_model import HIDDEN

ROOT = Path(__file__).parents[2]


def run(*command):
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_import_contracts_hold():
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = run("-c", lint, "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout and "0 kept" not in done.stdout


def test_every_learner_fits_while_the_models_inside_cannot_be_imported():
    done = run("-m", "tests.boundary.hidden_model")
    assert done.returncode == 0, done.stderr
    fitted = json.loads(done.stdout)
    assert {"Collaborative", "PromptOnly", "RefineOnly", "Sequential", "ZeroShot"} <= set(fitted)
    assert {"LFA", "CBBT", "BlackVIP", "Yu", "TextProbe", "ZIP"} <= set(fitted)  # each level


@pytest.mark.parametrize("module", [*HIDDEN, "craft.blackbox.text", "craft.whitebox.coop"])
def test_the_hook_refuses_what_lies_behind_the_box(module):
    done = run("-m", "tests.boundary.hidden_model", module)
    assert done.returncode != 0
    assert f"{module.rpartition('.')[0] if module.count('.') == 2 else module} lies" in done.stderr
