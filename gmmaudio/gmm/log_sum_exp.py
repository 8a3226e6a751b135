"""The one log-sum-exp: exponentials of log-densities relative to the largest of each frame, and the logs of their sums.

Conventions. Frames are columns, components rows.
"""

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray

LOG_NEGLIGIBLE = -50.0
"""In float32, components this far (in nats) below the best of a frame are raised to here, a share of 2e-22: smaller
exponentials are denormal numbers or become so in products, which makes the statistics twenty times slower."""


def exponentiate(log_densities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Replace each column by its exponentials relative to the column's maximum; return the maxima and the sums."""
    maxima = log_densities.max(axis=0)
    np.subtract(log_densities, maxima, out=log_densities)
    if log_densities.dtype == np.float32:
        np.maximum(log_densities, LOG_NEGLIGIBLE, out=log_densities)
    np.exp(log_densities, out=log_densities)
    return maxima, log_densities.sum(axis=0)


def log_sum_exp(maxima: FloatArray, sums: FloatArray) -> Float64Array:
    """Return ``log Σ exp`` of the columns from what `exponentiate` returned, in float64."""
    return np.asarray(maxima.astype(np.float64) + np.log(sums.astype(np.float64)))
