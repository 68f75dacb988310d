"""Quality of probabilities: calibration error and negative log-likelihood."""

from __future__ import annotations

import numpy as np

#: Bins of equal width of the calibration error (Guo et al., ICML 2017).
BINS = 15


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the mean difference of confidence and accuracy over the images, in points.

    ``confidence`` (N,) is the probability of the predicted class, ``right`` (N,) whether it is the
    true one. Images are binned by confidence, in ``BINS`` bins that are open below.
    """
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)  # (N,)
    gap = np.bincount(number, weights=confidence - right, minlength=BINS)  # (BINS,)
    return 100.0 * float(np.abs(gap).sum()) / len(confidence)


def negative_log_likelihood(log_probabilities: np.ndarray, columns: np.ndarray) -> float:
    """Return the mean over images of -log p, in nats, p the probability of the true class.

    ``log_probabilities`` is (N, C); ``columns`` (N,) are those of the true classes.
    """
    found = log_probabilities[np.arange(len(columns)), columns]
    return -float(found.astype(np.float64).mean()) + 0.0
