"""p-values that follow a stream: how strange a score is among those that the same stream has given before.

Conventions. Each score is judged by those before it and then remembered. `arrays` is all that changes.
"""

import math
from typing import Protocol

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array

WARM_UP = 100.0
"""Scores that are remembered before any is judged."""

LIMIT = 5.0
"""−log10 p beyond which a score is remembered as one there: a fault blunts later p-values by a bounded amount."""

N_LARGEST = 20


class RunningTail(Protocol):
    """A memory of scores that tells p-values."""

    arrays: dict[str, AnyArray]

    def follow(self, score: Float64Array) -> Float64Array:
        """Return −log10 p of the next scores; NaN where there is none, or too few are remembered."""
        ...


class WindowTail:
    """Ranks among the last scores, and an exponential law for their largest fiftieth.

    Parameters
    ----------
    memory : int
        Number of scores that are remembered.

    Examples
    --------
    >>> tail = WindowTail(1000)
    >>> p = tail.follow(np.random.default_rng(0).exponential(size=5000))
    >>> round(float(np.mean(p[100:] >= 2)), 3)
    0.01
    """

    def __init__(self, memory: int) -> None:
        names = {"ring": memory, "ordered": memory, "count": 1}
        self.arrays: dict[str, AnyArray] = {name: np.zeros(size) for name, size in names.items()}

    def follow(self, score: Float64Array) -> Float64Array:
        """Return −log10 p of the next scores; NaN where there is none, or too few are remembered."""
        from gmmaudio.anomaly import _calibration_kernels

        out, a = np.empty(len(score)), self.arrays
        _calibration_kernels.follow_window(score, a["ring"], a["ordered"], a["count"], WARM_UP, LIMIT, out)
        return out

    def level(self, neg_log10_p: float) -> float:
        """Return the score that would get this p-value next; infinity while too few are remembered."""
        from gmmaudio.anomaly import _calibration_kernels

        n = min(int(self.arrays["count"][0]), len(self.arrays["ring"]))
        if n < WARM_UP:
            return math.inf
        return float(_calibration_kernels.window_level(self.arrays["ordered"], n, neg_log10_p))

    def replace(self, count: float) -> None:
        """Forget the scores that were remembered since there were so many; those before them take their place."""
        from gmmaudio.anomaly import _calibration_kernels

        a = self.arrays
        _calibration_kernels.replace_latest(a["ring"], a["ordered"], a["count"], int(a["count"][0] - count))


class RecordTail:
    """An exponential law above the 20th largest score of the whole stream; below it only p <= 1 is known."""

    def __init__(self) -> None:
        self.arrays: dict[str, AnyArray] = {"largest": np.full(N_LARGEST, -np.inf), "count": np.zeros(1)}

    def follow(self, score: Float64Array) -> Float64Array:
        """Return −log10 p of the next scores; NaN where there is none, or too few are remembered."""
        from gmmaudio.anomaly import _calibration_kernels

        out, a = np.empty(len(score)), self.arrays
        _calibration_kernels.follow_records(score, a["largest"], a["count"], WARM_UP, out)
        return out
