"""The work of a fit, known before it runs: for estimates of cost, checked against the meter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """Counts of a fit's expensive operations; a query is one context scored on one image set.

    ``generations`` (for CoOp: epochs) is the number of rows of the history. ``scored`` search
    queries go through the refiner, and ``passes`` over the training images train it. ``gradients``
    counts white-box steps through the text tower. ``images`` counts image encodings by the service
    for search and refinement, ``contexts`` its text encodings; None means one for each query,
    including predictions. ``predict`` and ``predict_images`` are not part of the fit: the queries
    of one prediction of an image set, and how often each of its images is encoded for it. If an
    image set is predicted in parts, ``at_once`` is the number of images in a part.
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
