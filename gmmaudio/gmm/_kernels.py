"""Compiled inner loops of densities and statistics in float32; they trust their input.

Conventions. Arrays are contiguous; log-densities are float32, one row (or, where it says so, one column) per frame.
Products are never contracted to fused multiply-adds and no sum is reordered, so that a kernel gives the same bits in
vector lanes and in the remainder of a loop, and on every processor. Comparisons may assume that there is no NaN.
Imported when it is first needed: importing and compiling take a moment.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np

from gmmaudio._typing import Float32Array, Float64Array, FloatArray, IntArray
from gmmaudio.gmm._intrinsics import LANES, largest_of_lanes

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

GROUP = 8
"""Partial sums, so that an addition is a vector instruction although no sum is reordered."""

NEGLIGIBLE_SHARE = 1e-30
"""Weight times responsibility below this is dropped: products of such numbers are denormal and twenty times slower."""

# Cephes' expf: x = n log 2 + r, a polynomial in r, and n put into the exponent of the result; 8e-8 relative.
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_LOG2_E, _LOG_2_HIGH, _LOG_2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_P5, _P4, _P3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P2, _P1, _P0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
_LEAST, _BIAS, _MANTISSA_BITS = np.float32(-87.0), np.int32(127), np.int32(23)
STANDARD_LIMIT = 1e15
_LOWEST = -3e38


def kernel_with(*liberties: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Return a decorator that compiles with these liberties of floating-point arithmetic, when first called.

    Without the interpreter lock; the result is kept for other processes.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(liberties)}

    def compile_later(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        try:
            compiled: Callable[Arguments, Result] = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # no directory to keep it in can be written to
            compiled = numba.njit(**options)(function)
        return compiled

    return compile_later


_kernel = kernel_with("nnan", "nsz")


@_kernel
def _exp(x: np.float32) -> np.float32:
    """Return the exponential of a number from −87 to 0."""
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LOG_2_HIGH - n * _LOG_2_LOW
    y = (((((_P5 * r + _P4) * r + _P3) * r + _P2) * r + _P1) * r + _P0) * (r * r) + r + _ONE
    power_of_two = np.int32((np.int32(n) + _BIAS) << _MANTISSA_BITS).view(np.float32)
    return np.float32(y * power_of_two)


@_kernel
def best_of_row(row: Float32Array) -> np.float32:
    """Return the largest number of a row, whose length is a multiple of `LANES`."""
    best = largest_of_lanes(row, 0)
    for k in range(LANES, len(row), LANES):
        best = max(best, largest_of_lanes(row, k))
    return np.float32(best)


@_kernel
def fill_design_rows(
    frames: FloatArray, center: Float64Array, inverse_scale: Float64Array, design: Float32Array
) -> None:
    """Write the rows ``[z, z², 1]``, see `designs.AxisDesign`."""
    n_frames, n_features = frames.shape
    for t in range(n_frames):
        x = frames[t]
        z = design[t, :n_features]
        squares = design[t, n_features:]
        for d in range(n_features):
            z[d] = np.float32(
                min(max((np.float64(x[d]) - center[d]) * inverse_scale[d], -STANDARD_LIMIT), STANDARD_LIMIT)
            )
        for d in range(n_features):
            squares[d] = z[d] * z[d]
        squares[n_features] = _ONE


@_kernel
def far_density(
    frame: FloatArray, mean: Float64Array, precisions: Float64Array, constant: float, terms: Float64Array
) -> np.float32:
    """Return ``constant − ½ Σ precision (x − mean)²`` from sums in float64; `terms` is filled up with zeros."""
    partial = np.zeros(GROUP)
    for d in range(len(frame)):
        terms[d] = (frame[d] - mean[d]) * (frame[d] - mean[d]) * precisions[d]
    for d in range(0, len(terms), GROUP):
        for j in range(GROUP):
            partial[j] += terms[d + j]
    return np.float32(max(constant - 0.5 * partial.sum(), _LOWEST))


@_kernel
def fill_far_densities(
    frames: FloatArray,
    far: IntArray,
    means: Float64Array,
    precisions: Float64Array,
    constants: Float64Array,
    log_densities: Float32Array,
) -> None:
    """Write the columns of the components that are far."""
    terms = np.zeros(-(-frames.shape[1] // GROUP) * GROUP)
    for i in range(len(far)):
        for t in range(len(frames)):
            log_densities[t, far[i]] = far_density(frames[t], means[i], precisions[i], constants[i], terms)


@_kernel
def exponentiate_rows(log_densities: Float32Array, floor: np.float32, maxima: Float32Array, sums: Float64Array) -> None:
    """Replace each row by its exponentials relative to its maximum, raised to exp(floor); keep maxima and sums."""
    n_frames, n_components = log_densities.shape
    partial = np.empty(GROUP, np.float32)
    for t in range(n_frames):
        row = log_densities[t]
        best = best_of_row(row)
        for k in range(n_components):
            row[k] = _exp(max(row[k] - best, floor))
        partial[:] = _ZERO
        for k in range(0, n_components, GROUP):
            for i in range(GROUP):
                partial[i] += row[k + i]
        maxima[t] = best
        sums[t] = partial.sum()


@_kernel
def log_sum_exp_columns(log_densities: Float32Array, span: np.float32, out: Float64Array) -> None:
    """Write log Σ exp of each column, over the components within `span` of the column's best."""
    n_components, n_frames = log_densities.shape
    best = log_densities[0].copy()
    sums = np.zeros(n_frames, np.float32)
    for k in range(1, n_components):
        row = log_densities[k]
        for t in range(n_frames):
            best[t] = max(best[t], row[t])
    for k in range(n_components):
        row = log_densities[k]
        for t in range(n_frames):
            distance = row[t] - best[t]
            share = _exp(max(distance, -span))
            sums[t] += share if distance >= -span else np.float32(0.0)
    for t in range(n_frames):
        out[t] = best[t] + np.log(np.float64(sums[t]))
