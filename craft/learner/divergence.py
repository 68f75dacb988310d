"""Divergence: numbers that are not finite end a fit and name the options to lower."""

from __future__ import annotations

import torch

from craft.learner.options import Options

#: Cause of a loss that is not finite if no parameter is trained before it.
BOX = "the black box's predictions are not finite"


class Diverged(FloatingPointError):
    """A loss or a score of a fit is not finite; the fit ends without a result."""


def lower(what: str, options: Options, *names: str) -> str:
    """Return the message that ``what`` has diverged, with the options ``names`` to lower."""
    values = ((name, getattr(options, name)) for name in names)
    given = ", ".join(f"{name} = {value:g}" for name, value in values if value)
    return f"{what} has diverged: lower one of the options {given}"


def require_finite(numbers: torch.Tensor, about: str, cause: str) -> torch.Tensor:
    """Return the numbers, of any shape, if all are finite; else raise Diverged with ``about``."""
    if not torch.isfinite(numbers).all():
        raise Diverged(f"{about} are not finite: {cause}")
    return numbers
