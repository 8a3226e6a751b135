"""Compiled loops over frames that miss features, under covariances with correlations; they trust their input.

With the precision matrix Λ and the residual r = x − μ, what is missing has the conditional mean
``r_m = −Λ_mm⁻¹ Λ_mo r_o`` and the conditional covariance Λ_mm⁻¹ (Bishop 2006, eq. 2.73 and 2.75), so that the work
grows with what is missing and not with what is observed; and ``p(x_o) = p(x_o, x_m) / p(x_m | x_o)`` at that mean.

Conventions. float64. Frames are independent of each other: one has the same bits alone and in any batch. `precisions`
and `whiteners` (inverses of the lower Cholesky factors of the covariances) have shape (n_components, D, D).
"""

import math

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.gmm._kernels import kernel_with

_LOG_2_PI = math.log(2.0 * math.pi)
_kernel = kernel_with()


@_kernel
def _missing(observed: BoolArray, missing: IntArray) -> int:
    """Write the numbers of the features that are missing, and return how many they are."""
    n_missing = 0
    for i in range(len(observed)):
        if not observed[i]:
            missing[n_missing] = i
            n_missing += 1
    return n_missing


@_kernel
def _residual(
    frame: Float64Array,
    mean: Float64Array,
    precision: Float64Array,
    missing: IntArray,
    n_missing: int,
    factor: Float64Array,
    residual: Float64Array,
) -> float:
    """Write x − μ with the conditional mean of what is missing, and the factor of Λ_mm; return ½ log |Λ_mm|."""
    for i in range(len(frame)):
        residual[i] = frame[i] - mean[i]
    for a in range(n_missing):
        residual[missing[a]] = 0.0
    half_log_determinant = 0.0
    for a in range(n_missing):
        for b in range(a + 1):
            rest = precision[missing[a], missing[b]]
            for c in range(b):
                rest -= factor[a, c] * factor[b, c]
            factor[a, b] = math.sqrt(rest) if a == b else rest / factor[b, b]
        half_log_determinant += math.log(factor[a, a])
    pull = np.empty(n_missing)
    for a in range(n_missing):
        pull[a] = 0.0
        for j in range(len(frame)):
            pull[a] -= precision[missing[a], j] * residual[j]
    _solve(factor, n_missing, pull)
    for a in range(n_missing):
        residual[missing[a]] = pull[a]
    return half_log_determinant


@_kernel
def _solve(factor: Float64Array, n: int, values: Float64Array) -> None:
    """Overwrite b by the solution of L Lᵀ x = b."""
    for a in range(n):
        for c in range(a):
            values[a] -= factor[a, c] * values[c]
        values[a] /= factor[a, a]
    for a in range(n - 1, -1, -1):
        for c in range(a + 1, n):
            values[a] -= factor[c, a] * values[c]
        values[a] /= factor[a, a]


@_kernel
def log_densities(
    frames: Float64Array,
    observed: BoolArray,
    means: Float64Array,
    precisions: Float64Array,
    whiteners: Float64Array,
    constants: Float64Array,
    out: Float64Array,
) -> None:
    """Write the log of weight times density of what is observed; `constants` are those of complete frames."""
    n_frames, n_features = frames.shape
    missing, factor = np.empty(n_features, np.int64), np.empty((n_features, n_features))
    residual = np.empty(n_features)
    for t in range(n_frames):
        n_missing = _missing(observed[t], missing)
        for k in range(len(means)):
            half = _residual(frames[t], means[k], precisions[k], missing, n_missing, factor, residual)
            square = 0.0
            for i in range(n_features):
                white = 0.0
                for j in range(i + 1):
                    white += whiteners[k, i, j] * residual[j]
                square += white * white
            out[t, k] = constants[k] - 0.5 * square + 0.5 * n_missing * _LOG_2_PI - half


@_kernel
def add_expected(
    frames: Float64Array,
    observed: BoolArray,
    occupancies: Float64Array,
    means: Float64Array,
    precisions: Float64Array,
    center: Float64Array,
    first: Float64Array,
    second: Float64Array,
) -> None:
    """Add the expected moments about the center; of the second ones the lower triangles only."""
    n_frames, n_features = frames.shape
    missing, factor = np.empty(n_features, np.int64), np.empty((n_features, n_features))
    expected, column = np.empty(n_features), np.empty(n_features)
    for t in range(n_frames):
        n_missing = _missing(observed[t], missing)
        for k in range(len(means)):
            occupancy = occupancies[t, k]
            if occupancy == 0.0:
                continue
            _residual(frames[t], means[k], precisions[k], missing, n_missing, factor, expected)
            for i in range(n_features):
                expected[i] += means[k, i] - center[i]
                first[k, i] += occupancy * expected[i]
                for j in range(i + 1):
                    second[k, i, j] += occupancy * expected[i] * expected[j]
            for b in range(n_missing):
                column[:n_missing] = 0.0
                column[b] = 1.0
                _solve(factor, n_missing, column)
                for a in range(b, n_missing):
                    second[k, missing[a], missing[b]] += occupancy * column[a]


@_kernel
def complete(
    frames: Float64Array,
    observed: BoolArray,
    responsibilities: Float64Array,
    means: Float64Array,
    precisions: Float64Array,
    out: Float64Array,
) -> None:
    """Write the expectation of what is missing; the rest of `out` stays."""
    n_frames, n_features = frames.shape
    missing, factor = np.empty(n_features, np.int64), np.empty((n_features, n_features))
    residual = np.empty(n_features)
    for t in range(n_frames):
        n_missing = _missing(observed[t], missing)
        for a in range(n_missing):
            out[t, missing[a]] = 0.0
        for k in range(len(means)):
            _residual(frames[t], means[k], precisions[k], missing, n_missing, factor, residual)
            for a in range(n_missing):
                out[t, missing[a]] += responsibilities[t, k] * (means[k, missing[a]] + residual[missing[a]])
