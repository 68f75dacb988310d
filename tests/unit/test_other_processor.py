"""What another processor would compute: this one, told to leave its newer instructions unused.

A fit on digits and the embedded suite's convolutional backbone, here and in a process whose
libraries take the kernels of a processor of 2008.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from craft.blackbox.backbones.description import read_backbone
from craft.blackbox.backbones.export_side import text_side
from craft.blackbox.backbones.pretrained import load
from craft.blackbox.images.encode import Encoder
from craft.blackbox.images.preprocess import Preprocess
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import PromptTokens
from craft.learner.collaborative import Collaborative
from craft.mini import render as tasks

ROOT = Path(__file__).resolve().parents[2]
#: PyTorch's own kernels, oneDNN's and MKL's, in this order.
OLD = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
}
SEEDS = (1, 2)


def measure(out: Path) -> None:
    """Write features, zero-shot scores, losses of the first generations, and accuracies."""
    config = read_backbone(ROOT / "config/backbones/mini-rn.yaml")
    backbone = load(config, ROOT / config["weights"])
    encoder = Encoder(backbone.model, Preprocess.of(config["image"]))
    sets, labels = {}, {}
    for part, every in (("train", 2), ("test", 4)):
        images, found = tasks.render("digits", part)
        sets[part] = torch.from_numpy(encoder(images[::every])[0])
        labels[part] = torch.from_numpy(found[::every])
    tokens = PromptTokens.tokenise(backbone.tokenizer, tasks.classes("digits"))
    tower = TextTower(text_side(backbone), tokens)
    made = {"features": sets["train"].numpy(), "cpu": torch.backends.cpu.get_cpu_capability()}
    box = LocalBox(tower, sets)
    offset = torch.zeros(1, box.context_length, box.context_width)
    made["scores"] = torch.cat(list(box.predict("test", offset)))[0].numpy()
    losses, reached = [], []
    for seed in SEEDS:
        learner = Collaborative(budget=600, population=20, intrinsic_dim=32, hidden=32)
        learner.fit(LocalBox(tower, sets), labels["train"], seed=seed)
        losses.append([row["search_loss_best"] for row in learner.history_[:3]])
        right = learner.predict(box, "test").argmax(dim=1) == labels["test"]
        reached.append(100 * right.double().mean().item())
    np.savez(out, losses=losses, reached=reached, **made)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, dict]:
    """What is measured here, and there."""
    folder, threads = tmp_path_factory.mktemp("both"), torch.get_num_threads()
    command = [sys.executable, "-m", __name__, str(folder / "there.npz")]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | OLD) as there:
        torch.set_num_threads(1)
        try:
            measure(folder / "here.npz")
        finally:
            torch.set_num_threads(threads)
    assert there.returncode == 0
    return tuple(dict(np.load(folder / f"{name}.npz")) for name in ("here", "there"))


def test_features_and_scores_agree_to_rounding(both: tuple[dict, dict]) -> None:
    here, there = both
    if here["cpu"] == there["cpu"]:
        pytest.skip(f"this processor has no newer instructions: {here['cpu']}")
    assert not np.array_equal(here["features"], there["features"])  # other kernels it was
    np.testing.assert_allclose(here["features"], there["features"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(here["scores"], there["scores"], rtol=0, atol=1e-4)


def test_fits_begin_alike_and_end_within_the_tolerance(both: tuple[dict, dict]) -> None:
    here, there = both
    np.testing.assert_allclose(here["losses"][:, 0], there["losses"][:, 0], rtol=1e-4)
    # As in pipeline/test_regression.py: points, of an average.
    assert abs(here["reached"].mean() - there["reached"].mean()) <= 1.5


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure(Path(sys.argv[1]))
