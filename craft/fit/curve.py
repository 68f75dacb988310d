"""The curve of a run: test predictions at evenly spread numbers of queries, and at its end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from craft.files.run_predictions import Predictions
from craft.fit.boxes import Box
from craft.fit.run_inputs import RunInputs
from craft.learner.base import Learner


class CurveRecorder:
    """A learner's ``progress``: predicts the unlabelled test images at points of its budget.

    The option ``curve_points`` spreads points evenly over the search budget. A learner without
    search queries has only the final point.
    """

    def __init__(self, inputs: RunInputs, box: Box, own: Mapping[str, Any]) -> None:
        """Predict by ``box``; ``own`` holds further keywords of ``predict``."""
        self._inputs, self._box, self._own = inputs, box, own
        options = inputs.learner.options
        points = np.linspace(0, options.budget, options.curve_points + 1)[1:-1]
        self._due = [int(point) for point in points]
        self._queries: list[int] = []
        self._labels: dict[str, list[np.ndarray]] = {name: [] for name in inputs.tests}
        self._classes = {
            name: np.array(features.classes, dtype=np.int32)
            for name, features in inputs.tests.items()
        }
        self.seconds = 0.0  # spent predicting, not fitting
        self._last = 0.0  # of them, for the last point

    def __call__(self, learner: Learner) -> None:
        """Predict if the next point has been reached."""
        if self._due and learner.queries_ >= self._due[0]:
            self._due = [point for point in self._due if point > learner.queries_]
            self._predict(learner)

    def finish(self, learner: Learner) -> Predictions:
        """Predict with the fitted learner; return all points, the last one final.

        The final point replaces an earlier one at the same number of queries: from the last
        generation, or from a refiner that trained on after the search.
        """
        if self._queries and self._queries[-1] == learner.queries_:
            self._queries.pop()
            self.seconds -= self._last
            for rows in self._labels.values():
                rows.pop()
        final = self._predict(learner)
        return Predictions(
            queries=np.array(self._queries, dtype=np.int64),
            labels={name: np.stack(rows) for name, rows in self._labels.items()},
            log_probabilities=final,
            classes=self._classes,
            manifests={name: test.manifest_sha256 for name, test in self._inputs.tests.items()},
        )

    def state(self) -> dict[str, torch.Tensor]:
        """Return the points so far: queries (T,), and labels (T, N) by number of the test set."""
        if not self._queries:
            return {}
        state = {"queries": torch.tensor(self._queries)}
        for n, rows in enumerate(self._labels.values()):
            state[f"labels.{n}"] = torch.from_numpy(np.stack(rows))
        return state

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over the points of a :meth:`state`."""
        if not state:
            return
        self._queries = state["queries"].tolist()
        self._due = [point for point in self._due if point > self._queries[-1]]
        for n, name in enumerate(self._labels):
            self._labels[name] = list(state[f"labels.{n}"].numpy())

    def _predict(self, learner: Learner) -> dict[str, np.ndarray]:
        """Predict every test set; return logarithms (N, C) of probabilities in half precision.

        Classes are those that the test set's task covers.
        """
        start, found = time.perf_counter(), {}
        self._queries.append(learner.queries_)
        for name, classes in self._classes.items():
            logits = learner.predict(self._box, f"test/{name}", **self._own)  # (N, K)
            scores = logits[:, torch.from_numpy(classes).long().to(logits.device)]  # (N, C)
            self._labels[name].append(classes[scores.argmax(dim=1).cpu().numpy()])
            logs = scores.log_softmax(dim=1).clamp(min=torch.finfo(torch.half).min)
            found[name] = logs.half().cpu().numpy()
        self._last = time.perf_counter() - start
        self.seconds += self._last
        return found
