"""Receipts, the index of checksums, and which files of a graph are made again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from craft.evaluation.staleness import Graph
from craft.files import receipts
from craft.files.receipts import Index, problem, receipt_of


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A file that was made from two others by a job with key k."""
    for name in ("a", "b", "out"):
        (tmp_path / name).write_text(name)
    job = receipts.Job("k", "python -m making")
    receipts.write([tmp_path / "out"], job, [tmp_path / "a", tmp_path / "b"], ["images"])
    return tmp_path


def found(folder: Path, key: str = "k", images: str | None = "images") -> str | None:
    inputs = [str(folder / name) for name in ("b", "a")]
    return problem(folder / "out", key, inputs, [images], Index())


def test_a_file_of_its_receipt_has_no_problem(made: Path) -> None:
    assert found(made) is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: receipt_of(folder / "out").unlink(), "no receipt"),
        (lambda folder: receipt_of(folder / "out").write_text("{}"), "no receipt"),
        (lambda folder: (folder / "out").write_text("tuo"), "edited"),
        (lambda folder: (folder / "a").write_text("other"), "made from"),
        (lambda folder: (folder / "b").unlink(), "made from"),
        (lambda folder: shutil.copy(folder / "a", folder / "out"), "edited"),
    ],
)
def test_a_file_of_anything_else_has_one(
    made: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    damage(made)
    assert reason in str(found(made))


@pytest.mark.parametrize("changed", [{"key": "other"}, {"images": "other"}, {"images": None}])
def test_so_has_one_of_another_job_or_other_images(made: Path, changed: dict[str, Any]) -> None:
    assert found(made, **changed) is not None


def test_an_index_opens_nothing_that_has_not_changed(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "_SETTLED", -60.0)  # as if the files were old
    kept = made / "cache/index.json"
    kept.parent.mkdir()

    def check() -> str | None:
        index = Index(kept)
        wrong = problem(made / "out", "k", [str(made / "a"), str(made / "b")], ["images"], index)
        index.save()
        return wrong

    assert check() is None
    with monkeypatch.context() as patched:
        for name in ("sha256", "read_sealed"):
            patched.setattr(receipts, name, lambda path: pytest.fail(f"{path} was opened"))
        assert check() is None
    before = (made / "out").stat()
    (made / "out").write_text("tuo")  # as long, and its time is put back
    os.utime(made / "out", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert check() is not None


def test_a_file_that_has_just_changed_is_read_again(made: Path) -> None:
    kept = made / "cache/index.json"
    kept.parent.mkdir()
    index = Index(kept)
    assert index.sha256(made / "a") and index.passes([made / "a"], 1, lambda: None) is None
    index.save()
    again = Index(kept)
    assert again.passes([made / "a"], 1, lambda: "asked") == "asked"


def test_an_index_that_cannot_be_read_is_none(made: Path) -> None:
    kept = made / "index.json"
    for content in ("", "[]", '{"sha256": 1, "passed": []}'):
        kept.write_text(content)
        assert Index(kept).sha256(made / "a") == Index().sha256(made / "a")


# --- a graph ---


def chain(folder: Path, *names: str, wrong: str = "", present: str = "") -> Graph:
    """Files each made from the next; ``wrong`` fails its check, the last is asked to be there."""
    graph = Graph(Index())
    paths = [str(folder / name) for name in names]
    for path, behind in zip(paths, [*paths[1:], None], strict=True):
        name = Path(path).name
        behind_it = [behind] if behind else []
        graph.add(
            path,
            [] if name == present else behind_it,
            lambda name=name: "wrong" if name == wrong else None,
            behind_it if name == present else [],
        )
    return graph


@pytest.mark.parametrize(
    ("there", "wrong", "expected"),
    [
        ("abc", "", {}),
        ("", "", {}),  # Snakemake makes all of it
        ("c", "", {}),
        ("ab", "", {"c": "it is missing"}),
        ("ac", "", {"b": "it is missing"}),
        ("abc", "b", {"b": "wrong"}),
        ("bc", "b", {"b": "wrong"}),
        ("ac", "c", {"b": "it is missing", "c": "wrong"}),
    ],
)
def test_what_is_wrong_or_missing_behind_a_target_is_made_again(
    tmp_path: Path, there: str, wrong: str, expected: dict[str, str]
) -> None:
    for name in there:
        (tmp_path / name).write_text(name)
    graph = chain(tmp_path, "a", "b", "c", wrong=wrong)
    stale = graph.stale(str(tmp_path / "a"))
    assert {Path(path).name: why for path, why in stale.items()} == expected
    assert graph.stale(str(tmp_path / "a")) == {}  # each is named once


def test_what_is_only_to_be_there_is_made_again_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    graph = chain(tmp_path, "a", "b", present="a")
    assert graph.stale(str(tmp_path / "a")) == {str(tmp_path / "b"): "it is missing"}


def test_a_target_of_nobody_is_left_alone(tmp_path: Path) -> None:
    assert chain(tmp_path, "a").stale("elsewhere") == {}
