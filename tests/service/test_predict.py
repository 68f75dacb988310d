"""craft predict where the backbone is behind a service."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from craft.apply.predict import predict
from craft.client.connection import ServiceError
from craft.files.atomic import read_sealed, write_sealed
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
