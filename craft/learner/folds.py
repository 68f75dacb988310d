"""Folds of the shots that take turns by generation, so that a candidate scores fewer images."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Fold(NamedTuple):
    """The upload that holds a fold's images, and their labels (n,) in its order."""

    image_set: str
    labels: torch.Tensor


def fold_numbers(labels: torch.Tensor, folds: int) -> torch.Tensor:
    """Return the fold, from 0, of each image (N,): the first images of every class are fold 0.

    Raises ValueError for more folds than a class has images.
    """
    numbers = torch.empty_like(labels)
    for label in labels.unique():
        of_class = (labels == label).nonzero().flatten()
        if len(of_class) < folds:
            raise ValueError(
                f"search_folds: expected at most {len(of_class)}, the shots of a class, got {folds}"
            )
        ranks = torch.arange(len(of_class), device=labels.device)
        numbers[of_class] = ranks * folds // len(of_class)
    return numbers


def fold_sizes(shots: int, folds: int) -> list[int]:
    """Return the number of a class's ``shots`` in each fold."""
    return fold_numbers(torch.zeros(shots, dtype=torch.int64), folds).bincount().tolist()


def fold_name(image_set: str, number: int) -> str:
    """Return the name of the upload of a fold of ``image_set``."""
    return f"{image_set}/fold-{number + 1}"


def folds_of(image_set: str, labels: torch.Tensor, folds: int) -> list[Fold]:
    """Return the folds of the images of an upload, labels (N,); one fold is the upload itself."""
    if folds == 1:
        return [Fold(image_set, labels)]
    numbers = fold_numbers(labels, folds)
    return [Fold(fold_name(image_set, n), labels[numbers == n]) for n in range(folds)]
