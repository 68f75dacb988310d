"""craft predict where the backbone is behind a service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from craft.apply.predict import predict
from craft.apply.tune import tune
from craft.client.connection import ServiceError
from craft.files.atomic import read_sealed, write_json, write_sealed
from tests.service.server import Running
from tests.unit.tuned import Tuned


def test_a_service_gives_the_answers_of_this_process(
    server: Running, by_default: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = server.key("applies")
    monkeypatch.setenv("CRAFT_API_KEY", key)
    here, there = (
        predict(by_default.out, by_default.tested, server=url) for url in (None, server.url)
    )
    np.testing.assert_array_equal(there.probabilities, here.probabilities)
    facts = server.connection(key).model()
    assert not [name for name in facts["image_sets"] if name.startswith("predict-")]
    assert server.connection(key).usage()["queries"]["spent"] == 8  # Probe asks at 8 contexts


def test_a_service_of_another_backbone_is_refused(
    server: Running, by_default: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRAFT_API_KEY", server.key("elsewhere"))
    for path in by_default.out.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    content = read_sealed(tmp_path / "model.json")
    content["backbone"]["sha256"] = "0" * 64
    write_sealed(tmp_path / "model.json", content)
    with pytest.raises(ServiceError, match="expected the backbone that the model was tuned on"):
        predict(tmp_path, by_default.tested, server=server.url)


def test_a_model_that_is_tuned_through_a_service_is_the_one_that_is_tuned_here(
    server: Running, by_default: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHAPES_KEY", server.key("tunes"))
    description = {"name": "shapes", "label": "shapes", "kind": "http"}
    description |= {"url": server.url, "key": "SHAPES_KEY"}
    write_json(tmp_path / "config/backbones/shapes.yaml", description)
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "model"
    tune(replace(by_default.task, backbone="shapes"), out)
    learner = (out / "learner.safetensors").read_bytes()
    assert learner == (by_default.out / "learner.safetensors").read_bytes()
    here, there = (predict(folder, by_default.tested) for folder in (by_default.out, out))
    np.testing.assert_array_equal(there.probabilities, here.probabilities)
    assert "SHAPES_KEY" in (out / "model.json").read_text()  # its name, not the key
    assert server.secrets["tunes"] not in (out / "model.json").read_text()
