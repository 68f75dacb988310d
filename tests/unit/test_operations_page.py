"""The page of promises names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NAMED = sorted(
    set(re.findall(r"`((?:\w+/)?test_\w+\.py(?:::\w+)?)`", Path("docs/operations.md").read_text()))
)


@pytest.mark.parametrize("named", NAMED)
def test_a_named_test_exists(named: str) -> None:
    file, _, name = named.partition("::")
    path = Path("tests", file if "/" in file else f"unit/{file}")
    assert f"def {name or 'test_'}" in path.read_text()
