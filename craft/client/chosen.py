"""Selections of images that a service holds: an image set, and rows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from craft.client.wire import digest

#: Access levels that a fit may ask a service for.
REMOTE = ("predictions", "features")


@dataclass(frozen=True)
class Chosen:
    """Rows of an image set of the service; None selects all."""

    image_set: str
    rows: tuple[int, ...] | None = None
    norm: str = "unit"  # or raw, which keeps the length of the features

    @property
    def name(self) -> str:
        """Return the service's name of these rows."""
        if self.rows is None and self.norm == "unit":
            return self.image_set
        return f"rows-{digest(self.image_set, str(self.rows), self.norm)[:32]}"

    def part(self, numbers: Sequence[int]) -> Chosen:
        """Return a subset of the selected rows, by their positions in the selection."""
        return replace(self, rows=tuple((self.rows or ())[number] for number in numbers))
