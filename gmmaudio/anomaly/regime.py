"""Whether a stretch that was strange is a new normal course, and where its level lies.

Conventions. Rows are standardised by what was normal: 0 is the mean that was known, 1 its standard deviation; NaN is
missing.
"""

import numpy as np

from gmmaudio._typing import Float64Array, IntArray

STABLE_SHARE = 0.1
"""Share of the shift that the level may still move by between the halves of a stable stretch."""

N_SPREADS = 2.0
SMALLEST = 0.1


def level_shift(standard: Float64Array, covariance: Float64Array, moved: IntArray) -> Float64Array:
    """Return the shift of some channels that explains the mean of rows best, the other channels being unmoved.

    With mean m and the channels split into moved (a) and unmoved (b): m_a − Σ_ab Σ_bb⁻¹ m_b, the maximum-likelihood
    shift under a Gaussian.

    Parameters
    ----------
    standard : ndarray, shape (n_samples, n_channels)
        Rows.
    covariance : ndarray, shape (n_channels, n_channels)
        Of rows that were normal.
    moved : ndarray of int
        Channels that may have moved; those without any value have not.

    Examples
    --------
    >>> level_shift(np.full((5, 2), 3.0), np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([1]))
    array([0. , 1.5])
    """
    mean = _means(standard)
    shift = np.zeros(len(mean))
    known = np.flatnonzero(~np.isnan(mean))
    a = np.intersect1d(moved, known)
    b = np.setdiff1d(known, a)
    shift[a] = mean[a]
    if len(b):
        shift[a] -= covariance[np.ix_(a, b)] @ np.linalg.solve(covariance[np.ix_(b, b)], mean[b])
    return shift


def is_stable(standard: Float64Array, shift: Float64Array, spread: Float64Array) -> bool:
    """Whether the moved channels have stopped moving: their level differs little between the halves of the rows.

    Parameters
    ----------
    standard : ndarray, shape (n_samples, n_channels)
        Rows.
    shift : ndarray, shape (n_channels,)
        How far the level of the rows is from the one that was known; 0 for channels that do not count.
    spread : ndarray, shape (n_channels,)
        Standard deviation of such levels in normal times.

    Examples
    --------
    >>> shift, spread = np.array([5.0]), np.array([0.1])
    >>> is_stable(np.full((100, 1), 5.0), shift, spread), is_stable(np.linspace(0, 10, 100)[:, None], shift, spread)
    (True, False)
    """
    half = len(standard) // 2
    change = np.abs(_means(standard[half:]) - _means(standard[:half]))
    allowed = STABLE_SHARE * np.abs(shift) + N_SPREADS * spread + SMALLEST
    return bool((change[shift != 0.0] <= allowed[shift != 0.0]).all())


def _means(rows: Float64Array) -> Float64Array:
    """Return the mean of each channel, NaN where nothing is known."""
    known = ~np.isnan(rows)
    count = known.sum(axis=0)
    total = np.where(known, rows, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
