"""A run's predictions on its test sets, before any label is read."""

from __future__ import annotations

import os
import reprlib
from dataclasses import dataclass

import numpy as np

from craft.files.atomic import RecordError, read_tensors, write_tensors
from craft.files.typed import build

#: Arrays of predictions, one for each test set: name -> number of axes, kind of numbers.
_ANSWERS = {"labels": (2, "i"), "log_probabilities": (2, "f"), "classes": (1, "i")}


@dataclass(frozen=True)
class Predictions:
    """Predicted labels of unlabelled test sets at T points of a run, the last one final.

    Probabilities are those of the last point. Their logarithms are kept: half precision would make
    0 of a probability below 6e-8, whose log-likelihood counts.
    """

    queries: np.ndarray  # (T,) int64, search queries spent at each point
    labels: dict[str, np.ndarray]  # test set -> (T, N) int32
    log_probabilities: dict[str, np.ndarray]  # test set -> (N, C) float16
    classes: dict[str, np.ndarray]  # test set -> (C,) int32, the label of each column
    manifests: dict[str, str]  # test set -> SHA-256 of the manifest that orders its N images

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as safetensors; test-set names are data, kept in the metadata."""
        names = sorted(self.labels)
        tensors = {
            f"{what}.{n}": getattr(self, what)[name]
            for n, name in enumerate(names)
            for what in _ANSWERS
        }
        test_sets = {name: self.manifests[name] for name in names}
        write_tensors(path, tensors | {"queries": self.queries}, {"test_sets": test_sets})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Predictions:
        """Read the safetensors file; raises RecordError."""
        tensors, metadata = read_tensors(path)
        manifests = metadata.get("test_sets")
        if not isinstance(manifests, dict):
            raise RecordError(
                f"{path}: not a predictions file (test_sets: expected the SHA-256 of the manifest "
                f"of each, got {reprlib.repr(manifests)})"
            )
        expected = {"queries": (1, "i")}
        for n in range(len(manifests)):
            expected |= {f"{what}.{n}": form for what, form in _ANSWERS.items()}
        for name, (axes, kind) in expected.items():
            if name not in tensors:
                raise RecordError(f"{path}: not a predictions file (lacks {name!r})")
            array = tensors[name]
            if array.ndim != axes or array.dtype.kind != kind:
                numbers = {"i": "whole numbers", "f": "floating-point numbers"}[kind]
                raise RecordError(
                    f"{path}: {name}: expected {axes} axes of {numbers}, got shape "
                    f"{array.shape}, {array.dtype}"
                )
        value = {"queries": tensors["queries"], "manifests": manifests} | {
            what: {name: tensors[f"{what}.{n}"] for n, name in enumerate(manifests)}
            for what in _ANSWERS
        }
        return build(cls, value, path, "predictions file")
