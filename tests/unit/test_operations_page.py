"""The page of promises names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_named_test_exists() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)?test_\w+\.py(?:::\w+)?)`", page))
    assert len(named) > 20
    missing = []
    for entry in sorted(named):
        file, _, name = entry.partition("::")
        path = ROOT / "tests" / (file if "/" in file else f"unit/{file}")
        if not path.is_file() or (name and f"def {name}(" not in path.read_text(encoding="utf-8")):
            missing.append(entry)
    assert not missing
