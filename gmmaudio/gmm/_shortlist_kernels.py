"""Compiled inner loops over components that were listed in an earlier iteration; they trust their input.

Conventions as in `gmmaudio.gmm._list_kernels`. Arrays over frames have one element more, for the dummy frame.
"""

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array, FloatArray, IntArray
from gmmaudio.gmm._kernels import GROUP, NEGLIGIBLE_SHARE, _exp, _kernel, far_density, kernel_with
from gmmaudio.gmm._list_kernels import FRAMES_TOGETHER, TileLists, add_far_frames, add_rows

FarDensities = tuple[IntArray, Float64Array, Float64Array, Float64Array]

_ZERO, _LEAST, _LOWEST = np.float32(0.0), np.float32(-87.0), np.float32(-3e38)
_NEGLIGIBLE = np.float32(NEGLIGIBLE_SHARE)

_reordering_kernel = kernel_with("nnan", "nsz", "reassoc", "contract")


@_reordering_kernel
def evaluate_listed(design: Float32Array, coefficients: Float32Array, lists: TileLists) -> None:
    """Write the log-density of each entry to the factors.

    The sums may be reordered, as in a matrix product: an entry's bits depend on its tile.
    """
    ends, numbers, log_densities = lists.ends, lists.numbers, lists.factors
    start = 0
    for k in range(len(coefficients)):
        row = coefficients[k]
        for i in range(start, ends[k], FRAMES_TOGETHER):
            x, y, z, u = design[numbers[i]], design[numbers[i + 1]], design[numbers[i + 2]], design[numbers[i + 3]]
            a = b = c = d = _ZERO
            for f in range(len(row)):
                a += row[f] * x[f]
                b += row[f] * y[f]
                c += row[f] * z[f]
                d += row[f] * u[f]
            log_densities[i], log_densities[i + 1], log_densities[i + 2], log_densities[i + 3] = a, b, c, d
        start = ends[k]


@_kernel
def evaluate_far_listed(
    frames: FloatArray,
    far: IntArray,
    means: Float64Array,
    precisions: Float64Array,
    constants: Float64Array,
    lists: TileLists,
) -> None:
    """Write the log-densities of the entries of components that are far."""
    n_frames, n_features = frames.shape
    terms = np.zeros(-(-n_features // GROUP) * GROUP)
    for j in range(len(far)):
        k = far[j]
        for i in range(lists.ends[k - 1] if k else 0, lists.ends[k]):
            if lists.numbers[i] < n_frames:
                frame = frames[lists.numbers[i]]
                lists.factors[i] = far_density(frame, means[j], precisions[j], constants[j], terms)


@_kernel
def share_listed(frame_weights: Float64Array, lists: TileLists, maxima: Float32Array, sums: Float64Array) -> None:
    """Replace the log-densities among the factors by weight times responsibility; keep maxima and sums."""
    n_entries = lists.ends[len(lists.ends) - 2]
    numbers, factors = lists.numbers[:n_entries], lists.factors[:n_entries]
    maxima[:] = _LOWEST
    sums[:] = 0.0
    for i in range(n_entries):
        maxima[numbers[i]] = max(maxima[numbers[i]], factors[i])
    for i in range(n_entries):
        factors[i] -= maxima[numbers[i]]
    for i in range(n_entries):
        factors[i] = _exp(max(factors[i], _LEAST))
    for i in range(n_entries):
        sums[numbers[i]] += factors[i]
    weights = (frame_weights / sums).astype(np.float32)
    for i in range(n_entries):
        factor = weights[numbers[i]] * factors[i]
        factors[i] = factor if factor >= _NEGLIGIBLE else _ZERO


@_kernel
def add_shortlisted(
    frames: FloatArray,
    standard: tuple[Float64Array, Float64Array],
    far_densities: FarDensities,
    design: Float32Array,
    coefficients: Float32Array,
    frame_weights: Float64Array,
    maxima: Float32Array,
    sums: Float64Array,
    lists: TileLists,
    moments: Float64Array,
) -> None:
    """Add the moments of the components that are listed for each frame; leave maxima and sums."""
    far, means, precisions, constants = far_densities
    evaluate_listed(design, coefficients, lists)
    evaluate_far_listed(frames, far, means, precisions, constants, lists)
    share_listed(frame_weights, lists, maxima, sums)
    add_far_frames(frames, standard, far, lists, moments)
    add_rows(design, lists.ends, lists.numbers, lists.factors, moments)
