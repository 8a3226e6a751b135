"""Compiled inner loops over the few components that matter to a frame; they trust their input.

Conventions as in `gmmaudio.gmm._kernels`. Frames are numbered within their tile; one dummy frame, a row of zeros with a
weight of 0, follows them. The frames listed for a component are filled up with it to a multiple of `FRAMES_TOGETHER`.
"""

from typing import NamedTuple, Self

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array, FloatArray, IntArray
from gmmaudio.gmm._intrinsics import LANES, lanes_not_below, lowest_bit, n_bits
from gmmaudio.gmm._kernels import NEGLIGIBLE_SHARE, STANDARD_LIMIT, _exp, _kernel, best_of_row

DENSE_SHARE = 8
"""A block with more than one in so many components within the span is summed by a matrix product."""

UNCONDITIONAL = 3
"""Components that are listed from each word whether they are alive or not."""

FRAMES_TOGETHER = 4
"""Rows that are added at a time."""

_ZERO, _LEAST, _LOWEST = np.float32(0.0), np.float32(-87.0), np.float32(-3e38)
_NEGLIGIBLE = np.float32(NEGLIGIBLE_SHARE)


class TileLists(NamedTuple):
    """The frames of a tile and the components that matter to them, first by frame and then by component.

    Frame t has the entries ``starts[t]:starts[t + 1]`` of `components` and `shares`. Component k has the entries up to
    ``ends[k]`` of `numbers` (of frames) and `factors`, from the end of the one before on: a multiple of
    `FRAMES_TOGETHER`, filled up with the dummy frame, whose number is that of frames, at a factor of 0.
    """

    starts: IntArray
    components: IntArray
    shares: Float32Array
    ends: IntArray
    numbers: IntArray
    factors: Float32Array

    @classmethod
    def allocate(cls, n_frames: int, n_components: int) -> Self:
        """Return lists for a tile of so many frames, and for the frame that brings too many entries."""
        n_columns = -(-n_components // LANES) * LANES
        by_frame = n_frames * n_columns // DENSE_SHARE + n_columns + UNCONDITIONAL
        by_component = by_frame + n_components * FRAMES_TOGETHER
        return cls(
            np.empty(n_frames + 1, np.int32),
            np.empty(by_frame, np.int32),
            np.empty(by_frame, np.float32),
            np.empty(n_components + 1, np.int32),
            np.empty(by_component, np.uint16),
            np.empty(by_component, np.float32),
        )


@_kernel
def add_selected(
    frames: FloatArray,
    standard: tuple[Float64Array, Float64Array],
    far: IntArray,
    design: Float32Array,
    frame_weights: Float64Array,
    sums: Float64Array,
    lists: TileLists,
    moments: Float64Array,
) -> None:
    """Add the moments of the components that `select` listed."""
    group_by_component(lists, frame_weights, sums)
    add_far_frames(frames, standard, far, lists, moments)
    add_rows(design, lists.ends, lists.numbers, lists.factors, moments)


@_kernel
def select(
    log_densities: Float32Array,
    span: np.float32,
    first_frame: int,
    n_listed: int,
    lists: TileLists,
    maxima: Float32Array,
    sums: Float64Array,
) -> int:
    """List, frame by frame, the components within `span` of the frame's best, with exp(log-density − best).

    The entries of this block of frames follow those that are listed already. Returns the new number of entries, or −1
    if there are so many that a matrix product is cheaper.
    """
    starts, components, shares = lists.starts[first_frame:], lists.components, lists.shares
    n_frames, n_columns = log_densities.shape
    limit = n_listed + n_frames * n_columns // DENSE_SHARE
    n = n_listed
    for t in range(n_frames):
        starts[t] = n
        row = log_densities[t]
        best = best_of_row(row)
        n = _list_row(row, best, best - span, components, shares, n)
        if n > limit:
            return -1
        maxima[t] = best
    starts[n_frames] = n
    for i in range(n_listed, n):
        shares[i] = _exp(max(shares[i], _LEAST))
    for t in range(n_frames):
        total = 0.0
        for i in range(starts[t], starts[t + 1]):
            total += shares[i]
        sums[t] = total
    return n


@_kernel
def _list_row(
    row: Float32Array, best: np.float32, threshold: np.float32, components: IntArray, distances: Float32Array, n: int
) -> int:
    """List the components that are not below the threshold, after n others; return the new number."""
    for k in range(0, len(row), LANES):
        word = lanes_not_below(row, k, threshold)
        n_listed = n_bits(word)
        # Writing a few always, and more rarely, spares the processor branches that it cannot foresee.
        for i in range(UNCONDITIONAL):
            component = k + (lowest_bit(word) & (LANES - 1))
            components[n + i] = component
            distances[n + i] = row[component] - best
            word &= word - np.uint64(1)
        for i in range(UNCONDITIONAL, n_listed):
            component = k + lowest_bit(word)
            components[n + i] = component
            distances[n + i] = row[component] - best
            word &= word - np.uint64(1)
        n += n_listed
    return n


@_kernel
def group_by_component(lists: TileLists, frame_weights: Float64Array, sums: Float64Array) -> None:
    """Sort what `select` listed by component, with weight times responsibility."""
    starts, components, shares, ends, numbers, factors = lists
    n_frames, n_components = len(frame_weights), len(ends) - 1
    ends[:] = 0
    for i in range(starts[n_frames]):
        ends[components[i] + 1] += 1
    for k in range(n_components):
        ends[k + 1] = ends[k] + -(-ends[k + 1] // FRAMES_TOGETHER) * FRAMES_TOGETHER
    for t in range(n_frames):
        weight = np.float32(frame_weights[t] / sums[t])
        for i in range(starts[t], starts[t + 1]):
            factor = weight * shares[i]
            n = ends[components[i]]
            numbers[n] = t
            factors[n] = factor if factor >= _NEGLIGIBLE else _ZERO
            ends[components[i]] = n + 1
    for k in range(n_components):
        while ends[k] % FRAMES_TOGETHER:
            numbers[ends[k]] = n_frames
            factors[ends[k]] = _ZERO
            ends[k] += 1


@_kernel
def add_rows(
    design: Float32Array, ends: IntArray, numbers: IntArray, factors: Float32Array, moments: Float64Array
) -> None:
    """Add factor times design row to the moments of each component, over the frames that are listed for it."""
    n_coefficients = design.shape[1]
    in_tile = np.empty(n_coefficients, np.float32)
    start = 0
    for k in range(len(moments)):
        if ends[k] > start:
            _sum_rows(design, numbers[start : ends[k]], factors[start : ends[k]], in_tile)
            row = moments[k]
            for f in range(n_coefficients):
                row[f] += in_tile[f]
        start = ends[k]


@_kernel
def _sum_rows(design: Float32Array, numbers: IntArray, factors: Float32Array, out: Float32Array) -> None:
    """Write the sum of rows of the design, each times its factor, `FRAMES_TOGETHER` at a time."""
    out[:] = _ZERO
    for i in range(0, len(numbers), FRAMES_TOGETHER):
        a, b, c, d = factors[i], factors[i + 1], factors[i + 2], factors[i + 3]
        x, y, z, u = design[numbers[i]], design[numbers[i + 1]], design[numbers[i + 2]], design[numbers[i + 3]]
        for f in range(len(out)):
            out[f] += (a * x[f] + b * y[f]) + (c * z[f] + d * u[f])


@_kernel
def add_far_frames(
    frames: FloatArray,
    standard: tuple[Float64Array, Float64Array],
    far: IntArray,
    lists: TileLists,
    moments: Float64Array,
) -> None:
    """Add the moments of the components that are far in float64, and set their factors to 0."""
    center, inverse_scale = standard
    ends, numbers, factors = lists.ends, lists.numbers, lists.factors
    n_frames, n_features = frames.shape
    for k in far:
        row = moments[k]
        for i in range(ends[k - 1] if k else 0, ends[k]):
            factor = np.float64(factors[i])
            factors[i] = _ZERO
            if numbers[i] < n_frames:
                frame = frames[numbers[i]]
                for d in range(n_features):
                    z = min(max((frame[d] - center[d]) * inverse_scale[d], -STANDARD_LIMIT), STANDARD_LIMIT)
                    row[d] += factor * z
                    row[n_features + d] += factor * (z * z)
                row[2 * n_features] += factor
