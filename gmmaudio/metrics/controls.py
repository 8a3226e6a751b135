"""Rules without a model that a detector must beat before its figure means anything."""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.metrics.detection import check_series

GAUSSIAN_WINDOW = 6400
"""Samples that the windowed Gaussian of the Numenta benchmark looks back at."""


def detection_controls(
    values: npt.ArrayLike, *, random_state: int = 0, gaussian_window: int = GAUSSIAN_WINDOW
) -> dict[str, Float64Array]:
    """Return the scores of rules that no model stands behind, of one series.

    Parameters
    ----------
    values : array-like, shape (n_samples,)
        The series.
    random_state : int
        Seed of the rule that guesses.
    gaussian_window : int
        Samples that the Gaussian looks back at.

    Returns
    -------
    dict of str to ndarray, shape (n_samples,)
        `null` never alarms, `flag all` always does, `random` is uniform noise, `clock` alarms twenty times at even
        distances without a look at the values, and `running range` alarms where a value leaves the range of all
        earlier ones by more than a twentieth of it. These tell alarm from none by 1 and 0. `windowed Gaussian` is
        −log10 p of each value under mean and variance of the values before it (Lavin & Ahmad 2015, baseline).

    Raises
    ------
    ParameterError
        If the series is not a non-empty list of finite numbers, or the window is shorter than 2.
    """
    series = check_series(values, "values")
    if gaussian_window < 2:
        raise ParameterError(f"gaussian_window is {gaussian_window}, but at least 2 samples make a variance")
    n = len(series)
    clock = np.zeros(n)
    clock[:: max(1, n // 20)] = 1.0
    return {
        "null": np.zeros(n),
        "flag all": np.ones(n),
        "random": np.random.default_rng(random_state).random(n),
        "clock": clock,
        "running range": _outside_running_range(series, tolerance=0.05),
        "windowed Gaussian": _windowed_gaussian(series, gaussian_window),
    }


def _outside_running_range(values: Float64Array, *, tolerance: float) -> Float64Array:
    """Return 1 where a value leaves the range of the earlier ones by more than a share of it, else 0."""
    low, high = np.minimum.accumulate(values)[:-1], np.maximum.accumulate(values)[:-1]
    margin = tolerance * (high - low)
    outside = (values[1:] > high + margin) | (values[1:] < low - margin)
    return np.concatenate([[0.0], outside.astype(np.float64)])


def _windowed_gaussian(values: Float64Array, window: int) -> Float64Array:
    """Return −log10 of the two-sided p of each value under the normal law of the last values, 0 for the first two."""
    # Relative to the first value and with long accumulators, so that a large offset costs no digits.
    shifted = (values - values[0]).astype(np.longdouble)
    sums = np.concatenate([[0.0], np.cumsum(shifted)])
    squares = np.concatenate([[0.0], np.cumsum(shifted * shifted)])
    end = np.arange(2, len(values))
    start = np.maximum(0, end - window)
    n = end - start
    mean = (sums[end] - sums[start]) / n
    variance = np.maximum((squares[end] - squares[start]) / n - mean * mean, 0.0)
    deviation = np.maximum(np.sqrt(variance), 1e-6 * np.maximum(1.0, np.abs(mean)))
    z = np.abs((shifted[2:] - mean) / deviation).astype(np.float64)
    neg_log10_p = -(log_ndtr(-z) + math.log(2.0)) / math.log(10.0)
    return np.concatenate([np.zeros(min(2, len(values))), np.maximum(neg_log10_p, 0.0)])
