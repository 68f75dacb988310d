"""Boxes over logits that real models gave once, from the files of a folder that the user names.

The folder holds ``NAME_test.npz`` and ``NAME_train.npz`` with logits (N, K), labels (N,), classes
(K,). Where a data set has no training part the first half of its test part stands in, and its
second half is the test set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from craft.protocol import QueryMeter, check_question

#: Logits (N, K) and labels (N,) of a part.
Part = tuple[torch.Tensor, torch.Tensor]


class RecordedBox:
    """Answers at its initial context alone, with logits that a model gave once."""

    context_length, context_width, embedding_std = 4, 512, 0.015

    def __init__(self, class_names: tuple[str, ...], logits: dict[str, torch.Tensor]) -> None:
        self.class_names, self._logits = class_names, logits
        self.image_sets = {name: len(rows) for name, rows in logits.items()}
        self.meter = QueryMeter(budget=0)

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield the logits (1, N, K) for each offset of zeros; raises ValueError for another."""
        check_question(self, image_set, context_offsets)
        if context_offsets.any():
            raise ValueError("only the initial context has recorded logits")
        self.meter.charge(purpose, len(context_offsets))
        yield self._logits[image_set].expand(len(context_offsets), -1, -1)


def _read(path: Path) -> tuple[Part, tuple[str, ...]]:
    with np.load(path, allow_pickle=False) as file:
        logits, labels = (torch.from_numpy(file[key]) for key in ("logits", "labels"))
        return (logits, labels), tuple(map(str, file["classes"]))


def parts(folder: Path, name: str) -> tuple[Part, Part, tuple[str, ...]]:
    """Return training part, test part and class names of a model on a data set.

    Raises ValueError where both parts name other classes.
    """
    test, classes = _read(folder / f"{name}_test.npz")
    path = folder / f"{name}_train.npz"
    if path.exists():
        train, named = _read(path)
        if named != classes:
            raise ValueError(f"{path}: expected the classes of {name}_test.npz, got others")
        return train, test, classes
    half = len(test[1]) // 2
    (first, last) = (
        tuple(each[rows] for each in test) for rows in (slice(half), slice(half, None))
    )
    return first, last, classes  # type: ignore[return-value]


def names(folder: Path) -> list[str]:
    """Return what the folder has logits of, in alphabetical order."""
    return sorted(path.name.removesuffix("_test.npz") for path in folder.glob("*_test.npz"))
