"""Compiled inner loops of scoring by the top components; they trust their input.

Conventions as in `gmmaudio.gmm._kernels`, whose exponential they use. Models come in blocks of `BLOCK_MODELS`, one
model per vector lane, and every sum over features or components has a fixed order. So a ratio has the same bits
whichever frames and models share its block.
"""

import numpy as np

from gmmaudio._typing import Float32Array, IntArray
from gmmaudio.gmm._kernels import _exp, _kernel
from gmmaudio.gmm.scoring.adapted_models import BLOCK_MODELS

_NONE = np.float32(0.0)
_LEAST = np.float32(-87.0)
_SATURATION = np.float32(80.0)


@_kernel
def select_top(
    log_densities: Float32Array, span: np.float32, components: IntArray, shares: Float32Array, others: Float32Array
) -> None:
    """List the best components of each column with their posterior probabilities, and the probability of all others.

    `components` and `shares` have shape (n_frames, n_top); columns beyond n_frames are padding, and their number is a
    multiple of 16. Among equals the lower component wins. Components more than `span` below the best count among the
    others: their places are left with share 0. The densities that are listed are overwritten.
    """
    n_columns = log_densities.shape[1]
    n_frames, n_top = components.shape
    best = log_densities[0].copy()
    for k in range(1, len(log_densities)):
        row = log_densities[k]
        for t in range(n_columns):
            best[t] = max(best[t], row[t])
    threshold = np.full(n_columns, np.float32(np.inf))
    for t in range(n_frames):
        threshold[t] = best[t] - span
    components[:] = 0
    shares[:] = -np.inf
    for k in range(len(log_densities)):
        row = log_densities[k]
        # Sixteen at once in vector instructions: hardly any component is near the best of any of them.
        for start in range(0, n_columns, 16):
            nearest = row[start] - threshold[start]
            for t in range(start, start + 16):
                nearest = max(nearest, row[t] - threshold[t])
            if nearest >= _NONE:
                for t in range(start, start + 16):
                    if row[t] >= threshold[t]:
                        _insert(np.int32(k), row[t], components[t], shares[t])
                        # With a full list, what is below its last one need not be looked at any more.
                        threshold[t] = max(threshold[t], shares[t, n_top - 1])
    for t in range(n_frames):
        for i in range(n_top):
            if shares[t, i] >= threshold[t]:
                log_densities[components[t, i], t] = -np.inf
    _to_probabilities(log_densities, best, shares, others)


@_kernel
def _insert(component: np.int32, value: np.float32, components: IntArray, values: Float32Array) -> None:
    """Put a component into a list in falling order; the last one falls out, or the new one if it is the least."""
    last = len(values) - 1
    if value > values[last]:
        i = last
        while i > 0 and value > values[i - 1]:
            values[i] = values[i - 1]
            components[i] = components[i - 1]
            i -= 1
        values[i] = value
        components[i] = component


@_kernel
def _to_probabilities(
    log_densities: Float32Array, best: Float32Array, shares: Float32Array, others: Float32Array
) -> None:
    """Turn the log-densities that are listed into probabilities; those that are not, −inf apart, are the others'."""
    n_frames, n_top = shares.shape
    others[:] = _NONE
    for k in range(len(log_densities)):
        row = log_densities[k]
        for t in range(n_frames):
            distance = row[t] - best[t]
            share = _exp(max(distance, _LEAST))
            others[t] += share if distance >= _LEAST else _NONE
    for t in range(n_frames):
        total = others[t]
        for i in range(n_top):
            distance = shares[t, i] - best[t]
            shares[t, i] = _exp(max(distance, _LEAST)) if distance >= _LEAST else _NONE
            total += shares[t, i]
        others[t] /= total
        for i in range(n_top):
            shares[t, i] /= total


@_kernel
def group_by_component(
    components: IntArray, shares: Float32Array, ends: IntArray, frames: IntArray, grouped_shares: Float32Array
) -> None:
    """Sort what `select_top` listed by component: that of component k ends at ``ends[k]``, in the order of frames.

    Entries with share 0 are left out.
    """
    n_frames, n_top = components.shape
    n_components = len(ends) - 1
    ends[:] = 0
    for t in range(n_frames):
        for i in range(n_top):
            ends[components[t, i] + 1] += shares[t, i] > _NONE
    for k in range(n_components):
        ends[k + 1] += ends[k]
    for t in range(n_frames):
        for i in range(n_top):
            if shares[t, i] > _NONE:
                n = ends[components[t, i]]
                frames[n] = t
                grouped_shares[n] = shares[t, i]
                ends[components[t, i]] = n + 1


@_kernel
def add_ratios(
    rows: Float32Array,
    ends: IntArray,
    frames: IntArray,
    shares: Float32Array,
    coefficients: Float32Array,
    ratios: Float32Array,
) -> None:
    """Add share · exp(row · coefficients) of every listed component to the ratios of its frame.

    `rows` has shape (n_frames, n_coefficients), a multiple of 4; `coefficients` (n_components, n_coefficients,
    BLOCK_MODELS), `ratios` (n_frames, BLOCK_MODELS). Exponents are cut to ±80.
    """
    n_coefficients = rows.shape[1]
    exponents = np.empty(BLOCK_MODELS, np.float32)
    start = 0
    for k in range(len(coefficients)):
        table = coefficients[k]
        for i in range(start, ends[k]):
            row = rows[frames[i]]
            out = ratios[frames[i]]
            share = shares[i]
            exponents[:] = _NONE
            for f in range(0, n_coefficients, 4):
                a, b, c, d = row[f], row[f + 1], row[f + 2], row[f + 3]
                x, y, z, u = table[f], table[f + 1], table[f + 2], table[f + 3]
                for m in range(BLOCK_MODELS):
                    exponents[m] += (a * x[m] + b * y[m]) + (c * z[m] + d * u[m])
            for m in range(BLOCK_MODELS):
                out[m] += share * _exp(min(max(exponents[m], -_SATURATION), _SATURATION))
        start = ends[k]
