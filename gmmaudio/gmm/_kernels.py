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

from gmmaudio._typing import BoolArray, Float32Array, Float64Array, IntArray

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

GROUP = 8
"""Components are looked at in groups of this many, which are a stride apart; the caller pads to a multiple."""

NEGLIGIBLE_SHARE = 1e-30
"""Weight times responsibility below this is dropped: products of such numbers are denormal and twenty times slower."""

# Cephes' expf: x = n log 2 + r, a polynomial in r, and n put into the exponent of the result; 8e-8 relative.
_HALF, _ONE = np.float32(0.5), np.float32(1.0)
_LOG2_E, _LOG_2_HIGH, _LOG_2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_P5, _P4, _P3 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_P2, _P1, _P0 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)
_LEAST, _BIAS, _MANTISSA_BITS = np.float32(-87.0), np.int32(127), np.int32(23)
_LARGEST = 1e15
_LOWEST = -3e38


def _kernel(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Compile a function on its first call, without the interpreter lock, and keep the result for other processes."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"nnan", "nsz"}}
    try:
        compiled: Callable[Arguments, Result] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory to keep it in can be written to
        compiled = numba.njit(**options)(function)
    return compiled


@_kernel
def _exp(x: np.float32) -> np.float32:
    """Return the exponential of a number from −87 to 0."""
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LOG_2_HIGH - n * _LOG_2_LOW
    y = (((((_P5 * r + _P4) * r + _P3) * r + _P2) * r + _P1) * r + _P0) * (r * r) + r + _ONE
    power_of_two = np.int32((np.int32(n) + _BIAS) << _MANTISSA_BITS).view(np.float32)
    return np.float32(y * power_of_two)


@_kernel
def fill_design_rows(
    frames: Float64Array, center: Float64Array, inverse_scale: Float64Array, design: Float32Array
) -> None:
    """Write the rows ``[z, z², 1]``; see `density.fill_design`."""
    n_frames, n_features = frames.shape
    for t in range(n_frames):
        x = frames[t]
        z = design[t, :n_features]
        squares = design[t, n_features:]
        for d in range(n_features):
            z[d] = np.float32(min(max((x[d] - center[d]) * inverse_scale[d], -_LARGEST), _LARGEST))
        for d in range(n_features):
            squares[d] = z[d] * z[d]
        squares[n_features] = _ONE


@_kernel
def fill_far_densities(
    frames: Float64Array,
    far: IntArray,
    means: Float64Array,
    precisions: Float64Array,
    constants: Float64Array,
    log_densities: Float32Array,
) -> None:
    """Write the columns of the components `far`, ``constant − ½ Σ precision (x − mean)²``, from sums in float64."""
    n_frames, n_features = frames.shape
    terms = np.zeros(-(-n_features // GROUP) * GROUP)
    partial = np.empty(GROUP)
    for i in range(len(far)):
        for t in range(n_frames):
            for d in range(n_features):
                terms[d] = (frames[t, d] - means[i, d]) * (frames[t, d] - means[i, d]) * precisions[i, d]
            partial[:] = 0.0
            for d in range(0, len(terms), GROUP):
                for j in range(GROUP):
                    partial[j] += terms[d + j]
            log_densities[t, far[i]] = np.float32(max(constants[i] - 0.5 * partial.sum(), _LOWEST))


@_kernel
def _best_of_groups(row: Float32Array, tops: Float32Array, partial: Float32Array) -> np.float32:
    """Write the best of each group and return the best of all, in a form that becomes vector instructions."""
    stride = len(tops)
    for j in range(stride):
        tops[j] = max(
            max(max(row[j], row[j + stride]), max(row[j + 2 * stride], row[j + 3 * stride])),
            max(max(row[j + 4 * stride], row[j + 5 * stride]), max(row[j + 6 * stride], row[j + 7 * stride])),
        )
    partial[:] = tops[0]
    for j in range(0, stride - GROUP + 1, GROUP):
        for i in range(GROUP):
            partial[i] = max(partial[i], tops[j + i])
    best = partial[0]
    for i in range(1, GROUP):
        best = max(best, partial[i])
    for j in range(stride // GROUP * GROUP, stride):
        best = max(best, tops[j])
    return np.float32(best)


@_kernel
def select(
    log_densities: Float32Array,
    span: np.float32,
    starts: IntArray,
    components: IntArray,
    shares: Float32Array,
    maxima: Float32Array,
    sums: Float64Array,
) -> int:
    """List, frame by frame, the components within `span` of the frame's best, with exp(log-density − best).

    Frame t has the entries ``starts[t]:starts[t + 1]`` of `components` and `shares`, and their sum in ``sums[t]``.
    Returns the number of entries, or −1 when they do not fit into the arrays less one row.
    """
    n_frames, n_components = log_densities.shape
    stride = n_components // GROUP
    tops = np.empty(stride, np.float32)
    partial = np.empty(GROUP, np.float32)
    alive = np.empty(stride + 1, np.int32)
    capacity = components.size - n_components
    n = 0
    for t in range(n_frames):
        starts[t] = n
        row = log_densities[t]
        best = _best_of_groups(row, tops, partial)
        threshold = best - span
        # Writing always and advancing only over what is kept spares the processor branches that it cannot foresee.
        n_alive = 0
        for j in range(stride):
            alive[n_alive] = j
            n_alive += tops[j] >= threshold
        for i in range(n_alive):
            k = alive[i]
            for _ in range(GROUP):
                components[n] = k
                shares[n] = row[k] - best
                n += row[k] >= threshold
                k += stride
        if n > capacity:
            return -1
        maxima[t] = best
    starts[n_frames] = n
    for i in range(n):
        shares[i] = _exp(max(shares[i], _LEAST))
    for t in range(n_frames):
        total = 0.0
        for i in range(starts[t], starts[t + 1]):
            total += shares[i]
        sums[t] = total
    return n


@_kernel
def add_selected(
    design: Float32Array,
    frames: Float64Array,
    center: Float64Array,
    inverse_scale: Float64Array,
    is_far: BoolArray,
    frame_weights: Float64Array,
    starts: IntArray,
    components: IntArray,
    shares: Float32Array,
    sums: Float64Array,
    moments: Float64Array,
) -> None:
    """Add weight times responsibility times design row to the moments of each component that `select` listed.

    For components that are far, the design is calculated anew in float64.
    """
    n_frames, n_coefficients = design.shape
    ends = np.zeros(len(moments) + 1, np.int32)
    numbers = np.empty(starts[n_frames], np.int32)
    factors = np.empty(starts[n_frames], np.float32)
    # A counting sort by component: the sums of one component then stay in registers and the first cache.
    for i in range(starts[n_frames]):
        ends[components[i] + 1] += 1
    for k in range(len(moments)):
        ends[k + 1] += ends[k]
    for t in range(n_frames):
        weight = frame_weights[t] / sums[t]
        for i in range(starts[t], starts[t + 1]):
            factor = weight * shares[i]
            n = ends[components[i]]
            numbers[n] = t
            factors[n] = np.float32(factor if factor >= NEGLIGIBLE_SHARE else 0.0)
            ends[components[i]] = n + 1
    in_tile = np.empty(n_coefficients, np.float32)
    start = 0
    for k in range(len(moments)):
        stop = ends[k]
        if is_far[k]:
            for i in range(start, stop):
                _add_frame(frames[numbers[i]], center, inverse_scale, factors[i], moments[k])
        elif stop > start:
            _sum_rows(design, numbers[start:stop], factors[start:stop], in_tile)
            row = moments[k]
            for f in range(n_coefficients):
                row[f] += in_tile[f]
        start = stop


@_kernel
def _add_frame(
    frame: Float64Array, center: Float64Array, inverse_scale: Float64Array, factor: float, moments: Float64Array
) -> None:
    """Add ``factor [z, z², 1]`` in float64."""
    n_features = len(frame)
    for d in range(n_features):
        z = min(max((frame[d] - center[d]) * inverse_scale[d], -_LARGEST), _LARGEST)
        moments[d] += factor * z
        moments[n_features + d] += factor * (z * z)
    moments[2 * n_features] += factor


@_kernel
def _sum_rows(design: Float32Array, numbers: IntArray, factors: Float32Array, out: Float32Array) -> None:
    """Write the sum of rows of the design, each times its factor, four at a time."""
    out[:] = np.float32(0.0)
    fours = len(numbers) // 4 * 4
    for i in range(0, fours, 4):
        a, b, c, d = factors[i], factors[i + 1], factors[i + 2], factors[i + 3]
        x, y, z, u = design[numbers[i]], design[numbers[i + 1]], design[numbers[i + 2]], design[numbers[i + 3]]
        for f in range(len(out)):
            out[f] += (a * x[f] + b * y[f]) + (c * z[f] + d * u[f])
    for i in range(fours, len(numbers)):
        a, x = factors[i], design[numbers[i]]
        for f in range(len(out)):
            out[f] += a * x[f]


@_kernel
def exponentiate_rows(log_densities: Float32Array, floor: np.float32, maxima: Float32Array, sums: Float64Array) -> None:
    """Replace each row by its exponentials relative to its maximum, raised to exp(floor); keep maxima and sums."""
    n_frames, n_components = log_densities.shape
    tops = np.empty(n_components // GROUP, np.float32)
    partial = np.empty(GROUP, np.float32)
    for t in range(n_frames):
        row = log_densities[t]
        best = _best_of_groups(row, tops, partial)
        for k in range(n_components):
            row[k] = _exp(max(row[k] - best, floor))
        partial[:] = np.float32(0.0)
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
