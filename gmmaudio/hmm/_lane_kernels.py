"""The plain recursion of `_kernels`, sixteen sequences at a time: loops over them become vector instructions.

Sequences take one lane each of the last axis, and those of a group should be about as long: the group takes as long as
its longest. No lane looks at another, so a sequence has the same bits in any group. What `_kernels` says about
exactness holds here; sequences that the plain recursion cannot answer for get the total NaN and posteriors without
meaning, and are to be done again by `inference.wide_posteriors`.
"""

from typing import TYPE_CHECKING

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.hmm._kernels import FLOOR, LEAST_SUPPORT, _kernel

if TYPE_CHECKING:
    from gmmaudio.hmm.chain import Chain

LANES = 16
"""Sequences of a group. Loops over lanes read it from the shape of an array: were it a constant, the compiler would
unroll them and not use vectors."""

_LOG_2_E, _LOG_2_HIGH, _LOG_2_LOW = 1.4426950408889634, 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LOWEST = -230.25850929940458
"""Logarithm of `FLOOR`."""

_TINY = 1e-150
"""A product of scales below this is turned into its logarithm."""

# Taylor's coefficients; on ±½ log 2 the rest is 4e-18.
_T13, _T12, _T11, _T10 = 1.6059043836821613e-10, 2.08767569878681e-09, 2.505210838544172e-08, 2.755731922398589e-07
_T9, _T8, _T7, _T6 = 2.7557319223985893e-06, 2.48015873015873e-05, 1.984126984126984e-04, 1.388888888888889e-03
_T5, _T4, _T3 = 8.333333333333333e-03, 4.1666666666666664e-02, 1.6666666666666666e-01


@_kernel
def _exp(x: float) -> float:
    """Return the exponential of a number from −230 to 0."""
    n = np.floor(x * _LOG_2_E + 0.5)
    r = (x - n * _LOG_2_HIGH) - n * _LOG_2_LOW
    y = _T13 * r + _T12
    y = ((((y * r + _T11) * r + _T10) * r + _T9) * r + _T8) * r + _T7
    y = ((((y * r + _T6) * r + _T5) * r + _T4) * r + _T3) * r + 0.5
    y = (y * r * r + r) + 1.0
    power_of_two = np.int64((np.int64(np.int32(n)) + 1023) << 52).view(np.float64)
    return float(y * power_of_two)


@_kernel
def lane_posteriors(
    chain: "Chain",
    log_likelihoods: Float64Array,
    offsets: IntArray,
    posteriors: Float64Array,
    totals: Float64Array,
    arc_counts: Float64Array,
    starts: Float64Array,
    ends: Float64Array,
) -> None:
    """Run forward-backward over many sequences.

    Written: `posteriors`, shape (n_frames, n_states), and `totals`, shape (n_sequences,), the log-likelihoods. Added
    to, by the sequences whose total is a number: `arc_counts`, in the order of ``chain.outgoing``, `starts` and `ends`.
    """
    n_states = log_likelihoods.shape[1]
    n_sequences = len(offsets) - 1
    longest = 0
    for q in range(n_sequences):
        longest = max(longest, offsets[q + 1] - offsets[q])
    relative = np.empty((longest, n_states, LANES))
    alphas = np.empty((longest, n_states, LANES))
    scales = np.empty((longest, LANES))
    pairs = np.empty((len(arc_counts), LANES))
    firsts, lengths = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    sums, certain = np.empty(LANES), np.empty(LANES, np.bool_)
    for first in range(0, n_sequences, LANES):
        n_lanes = min(LANES, n_sequences - first)
        lengths[:] = 0
        for lane in range(n_lanes):
            firsts[lane] = offsets[first + lane]
            lengths[lane] = offsets[first + lane + 1] - offsets[first + lane]
        certain[:] = True
        pairs[:] = 0.0
        _forward(chain, log_likelihoods, firsts, lengths, relative, alphas, scales, sums, certain)
        _backward(chain, firsts, lengths, relative, alphas, scales, pairs, certain, posteriors)
        for lane in range(n_lanes):
            if not certain[lane]:
                totals[first + lane] = np.nan
                continue
            totals[first + lane] = sums[lane]
            for a in range(len(arc_counts)):
                arc_counts[a] += pairs[a, lane] * chain.outgoing.probs[a]
            for i in range(n_states):
                starts[i] += posteriors[firsts[lane], i]
                ends[i] += posteriors[firsts[lane] + lengths[lane] - 1, i]


@_kernel
def _longest(lengths: IntArray) -> int:
    """Return the largest length (compiling NumPy's own function takes half a second)."""
    longest = 0
    for lane in range(len(lengths)):
        longest = max(longest, lengths[lane])
    return longest


@_kernel
def _relative_likelihoods(
    log_likelihoods: Float64Array,
    firsts: IntArray,
    lengths: IntArray,
    t: int,
    relative: Float64Array,
    best: Float64Array,
) -> None:
    """Write the likelihoods of frame t over the largest of them, at least `FLOOR`, and the logarithm of that.

    Those of sequences that have ended are 0.
    """
    n_states, n_lanes = relative.shape[1:]
    for lane in range(n_lanes):
        if t < lengths[lane]:
            row = firsts[lane] + t
            for i in range(n_states):
                relative[t, i, lane] = log_likelihoods[row, i]
        else:
            for i in range(n_states):
                relative[t, i, lane] = -np.inf
    best[:] = -np.inf
    for i in range(n_states):
        for lane in range(n_lanes):
            best[lane] = max(best[lane], relative[t, i, lane])
    for i in range(n_states):
        for lane in range(n_lanes):
            value = relative[t, i, lane]
            share = _exp(max(value - best[lane], _LOWEST))
            relative[t, i, lane] = share if value > -np.inf else 0.0


@_kernel
def _forward(
    chain: "Chain",
    log_likelihoods: Float64Array,
    firsts: IntArray,
    lengths: IntArray,
    relative: Float64Array,
    alphas: Float64Array,
    scales: Float64Array,
    sums: Float64Array,
    certain: BoolArray,
) -> None:
    """Write forward values of sum 1, their scales, the relative likelihoods and the log-likelihoods."""
    n_states, n_lanes = relative.shape[1:]
    arcs = chain.incoming
    best, scale, inverse = np.empty(n_lanes), np.empty(n_lanes), np.empty(n_lanes)
    product = np.ones(n_lanes)
    sums[:] = 0.0
    for t in range(_longest(lengths)):
        _relative_likelihoods(log_likelihoods, firsts, lengths, t, relative, best)
        scale[:] = 0.0
        for i in range(n_states):
            if t == 0:
                for lane in range(n_lanes):
                    alphas[t, i, lane] = chain.raised_start[i]
            else:
                for lane in range(n_lanes):
                    alphas[t, i, lane] = 0.0
                for a in range(arcs.firsts[i], arcs.firsts[i + 1]):
                    source, prob = arcs.others[a], arcs.raised_probs[a]
                    for lane in range(n_lanes):
                        alphas[t, i, lane] += alphas[t - 1, source, lane] * prob
            for lane in range(n_lanes):
                value = alphas[t, i, lane] * relative[t, i, lane]
                alphas[t, i, lane] = value
                scale[lane] += value
        for lane in range(n_lanes):
            is_inside = t < lengths[lane]
            certain[lane] = certain[lane] and (scale[lane] >= FLOOR or not is_inside)
            scale[lane] = scale[lane] if is_inside else 1.0
            inverse[lane] = 1.0 / scale[lane]
            scales[t, lane] = scale[lane]
            product[lane] *= scale[lane]
            sums[lane] += best[lane] if is_inside else 0.0
            if product[lane] < _TINY or not is_inside:
                sums[lane] += np.log(product[lane])
                product[lane] = 1.0
        for i in range(n_states):
            for lane in range(n_lanes):
                value = alphas[t, i, lane] * inverse[lane]
                alphas[t, i, lane] = max(value, FLOOR) if value > 0.0 else 0.0
    for lane in range(n_lanes):
        mass = 0.0
        for i in range(n_states):
            if lengths[lane] > 0:
                mass += alphas[lengths[lane] - 1, i, lane] * chain.raised_end[i]
        certain[lane] = certain[lane] and mass > 0.0
        sums[lane] += np.log(product[lane]) + np.log(mass)


@_kernel
def _backward(
    chain: "Chain",
    firsts: IntArray,
    lengths: IntArray,
    relative: Float64Array,
    alphas: Float64Array,
    scales: Float64Array,
    pairs: Float64Array,
    certain: BoolArray,
    posteriors: Float64Array,
) -> None:
    """Write the posteriors and add up the pairs of neighbouring states, without the probabilities of their arcs."""
    n_states, n_lanes = relative.shape[1:]
    arcs = chain.outgoing
    beta, weighted = np.zeros((n_states, n_lanes)), np.empty((n_states, n_lanes))
    overlap, largest, inverse = np.empty(n_lanes), np.empty(n_lanes), np.empty(n_lanes)
    for t in range(_longest(lengths) - 1, -1, -1):
        overlap[:] = 0.0
        largest[:] = 0.0
        for i in range(n_states):
            for lane in range(n_lanes):
                beta[i, lane] = chain.raised_end[i] if t == lengths[lane] - 1 else beta[i, lane]
                overlap[lane] += alphas[t, i, lane] * beta[i, lane]
                weighted[i, lane] = relative[t, i, lane] * beta[i, lane]
                largest[lane] = max(largest[lane], weighted[i, lane])
        for lane in range(n_lanes):
            is_inside = t < lengths[lane]
            supported = overlap[lane] * scales[t, lane] >= LEAST_SUPPORT and largest[lane] >= FLOOR
            certain[lane] = certain[lane] and (supported or not is_inside)
            inverse[lane] = 1.0 / overlap[lane] if is_inside and overlap[lane] > 0.0 else 0.0
        for lane in range(n_lanes):
            if t < lengths[lane]:
                for i in range(n_states):
                    posteriors[firsts[lane] + t, i] = alphas[t, i, lane] * beta[i, lane] * inverse[lane]
        if t == 0:
            break
        for lane in range(n_lanes):
            inverse[lane] = 1.0 / largest[lane] if largest[lane] > 0.0 else 0.0
        for i in range(n_states):
            for lane in range(n_lanes):
                value = weighted[i, lane] * inverse[lane]
                weighted[i, lane] = max(value, FLOOR) if value > 0.0 else 0.0
        overlap[:] = 0.0
        largest[:] = 0.0
        for i in range(n_states):
            for lane in range(n_lanes):
                beta[i, lane] = 0.0
            for a in range(arcs.firsts[i], arcs.firsts[i + 1]):
                target, prob = arcs.others[a], arcs.raised_probs[a]
                for lane in range(n_lanes):
                    beta[i, lane] += weighted[target, lane] * prob
            for lane in range(n_lanes):
                overlap[lane] += alphas[t - 1, i, lane] * beta[i, lane]
                largest[lane] = max(largest[lane], beta[i, lane])
        for lane in range(n_lanes):
            # Frames after the end of a sequence count nothing.
            overlap[lane] = 1.0 / overlap[lane] if t < lengths[lane] and overlap[lane] > 0.0 else 0.0
            inverse[lane] = 1.0 / largest[lane] if largest[lane] > 0.0 else 0.0
        for i in range(n_states):
            for a in range(arcs.firsts[i], arcs.firsts[i + 1]):
                target = arcs.others[a]
                for lane in range(n_lanes):
                    share = alphas[t - 1, i, lane] * overlap[lane]
                    pairs[a, lane] += share * weighted[target, lane]
            for lane in range(n_lanes):
                beta[i, lane] *= inverse[lane]
