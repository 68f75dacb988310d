"""What a fit will take, known before it runs: for a plan's cost, checked against the meter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """How often a fit does what takes time; queries are contexts that a black box is asked about.

    ``generations`` (epochs, for CoOp) are the rows that its history will have. ``scored`` search
    queries go through the refiner, ``passes`` over the training images train it; ``gradients``
    counts the white-box steps through the text tower. ``images`` are encodings of the service for
    search and refinement. ``contexts`` are those whose texts it encodes; None: one for each query,
    those of predictions too. ``predict`` and ``predict_images`` are no part of the fit: the queries
    of one prediction of one image set, and how often each of its images is encoded for them. Where
    an image set is predicted in parts, ``at_once`` is the images of one.
    """

    generations: int = 0
    search: int = 0
    refine: int = 0
    scored: int = 0
    passes: int = 0
    gradients: int = 0
    images: int = 0
    contexts: int | None = None
    predict: int = 1
    predict_images: int = 0
    at_once: int | None = None

    def predictions(self, images: int) -> int:
        """Return the queries of one prediction of ``images``: more than of one part at a time."""
        return self.predict * (-(-images // self.at_once) if self.at_once else 1)
