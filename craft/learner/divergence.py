"""Numbers that are not finite end a fit: where they came up, and which options to lower."""

from __future__ import annotations

import torch

from craft.learner.options import Options

#: The one cause of a loss that is not finite, where nothing is trained on the way to it.
BOX = "the black box's predictions are not finite"


class Diverged(FloatingPointError):
    """A loss or a score of a fit is not finite; no result is made of it."""


def lower(what: str, options: Options, *names: str) -> str:
    """Return that ``what`` has diverged, and the values of the options ``names`` to lower."""
    values = ((name, getattr(options, name)) for name in names)
    given = ", ".join(f"{name} = {value:g}" for name, value in values if value)
    return f"{what} has diverged: lower one of the options {given}"


def require_finite(numbers: torch.Tensor, about: str, cause: str) -> torch.Tensor:
    """Return the numbers, of any shape; raises Diverged with ``about``. Waits for their device."""
    if not torch.isfinite(numbers).all():
        raise Diverged(f"{about} are not finite: {cause}")
    return numbers
