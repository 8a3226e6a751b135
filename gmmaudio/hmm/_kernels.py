"""Compiled recursions of hidden Markov models in float64; they trust their input.

`inference.batch_posteriors` calls this for many sequences at once::

    plain_posteriors(chain, log_likelihoods, offsets, tails, posteriors, totals, transitions, starts, ends)

chain : `chain.Chain`; log_likelihoods : (n_frames, n_states), C order, may hold −inf; offsets : (n_sequences + 1,)
int64, sequence q is rows offsets[q] to offsets[q + 1], at least one. Written: posteriors (n_frames, n_states), totals
(n_sequences,) log-likelihoods. Added to: transitions (n_arcs,), in the order of `chain.outgoing`, starts and ends
(n_states,). It holds no lock, so several threads may run it, each with its own outputs; sums are made in the order
of the sequences. A sequence of probability 0 has total −inf, posteriors 0, and adds nothing; one that the plain version
cannot answer for has total NaN, adds nothing, and is left to the wide version.

Exactness. Every recursion is a sum of products of numbers that are not negative, which floating-point numbers do to
relative accuracy as long as nothing underflows. So there are two versions of each.

*Plain* (`plain_posteriors`): ordinary numbers, relative to the best state of each frame. A number that is not zero is
raised to at least `FLOOR` and so stays above zero: the forward and backward values are never below the true ones. All
that was added is, relative to the likelihood, at most ``4 · n_states · n_frames · FLOOR / s``, where s is the smallest
over the frames of ``Σ α_t β_t`` times the scale c_t of the frame, α_t of sum 1 and β_t of maximum 1. Proof: what is
added at frame t has at most the mass ``FLOOR · C_{t−1} · D_t`` (C and D: the sums and maxima of the raised forward and
backward values), and the likelihood with all additions is ``C_{t−1} c_t D_t Σ α_t β_t``. The plain version answers when
``s ≥ LEAST_SUPPORT``. Agreement of a forward and a backward pass that *drop* small numbers would prove nothing: both
can lose the same path.

*Wide* (`_wide_kernels`): each number has an exponent of its own, so that nothing underflows. It answers whenever the
plain version does not, and, if `tails` is true, whenever a number was raised at all: then every posterior that float64
can hold has its relative accuracy.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numba
import numpy as np

from gmmaudio._typing import AnyArray, Float64Array, IntArray

if TYPE_CHECKING:
    from gmmaudio.hmm.chain import Arcs, Chain

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

FLOOR = 1e-100
"""No number of the plain version that is not zero is smaller; the product of three of them is not denormal."""

LEAST_SUPPORT = 1e-70
"""What forward and backward values must have in common for the plain version to be believed."""


def _kernel(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Compile a function on its first call, without the interpreter lock, and keep the result for other processes."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        compiled: Callable[Arguments, Result] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory to keep it in can be written to
        compiled = numba.njit(**options)(function)
    return compiled


@_kernel
def plain_posteriors(
    chain: "Chain",
    log_likelihoods: Float64Array,
    offsets: IntArray,
    tails: bool,
    posteriors: Float64Array,
    totals: Float64Array,
    transitions: Float64Array,
    starts: Float64Array,
    ends: Float64Array,
) -> None:
    """Run the plain version over many sequences; see the top of the module."""
    n_states = log_likelihoods.shape[1]
    longest = 0
    for q in range(len(offsets) - 1):
        longest = max(longest, offsets[q + 1] - offsets[q])
    relative = np.empty((longest, n_states))
    scales = np.empty(longest)
    pairs = np.empty(max(chain.outgoing.matrix.size, len(transitions)))
    for q in range(len(offsets) - 1):
        rows = slice(offsets[q], offsets[q + 1])
        gamma = posteriors[rows]
        pairs[:] = 0.0
        total, is_certain = _plain_posteriors(chain, log_likelihoods[rows], tails, relative, scales, gamma, pairs)
        if not is_certain:
            totals[q] = np.nan
            continue
        totals[q] = total
        if total == -np.inf:
            gamma[:] = 0.0
            continue
        _add_pairs(chain.outgoing, pairs, transitions)
        for i in range(n_states):
            starts[i] += gamma[0, i]
            ends[i] += gamma[-1, i]


@_kernel
def assign(target: AnyArray, values: AnyArray) -> None:
    """Copy the values; an assignment to a slice takes the compiler five seconds."""
    for i in range(len(target)):
        target[i] = values[i]


@_kernel
def _relative_likelihoods(row: Float64Array, relative: Float64Array) -> tuple[float, bool]:
    """Write the likelihoods over the largest of them, at least `FLOOR`; return its logarithm, and if any was raised."""
    best = -np.inf
    for i in range(len(row)):
        best = max(best, row[i])
    raised = False
    for i in range(len(row)):
        if row[i] == -np.inf:
            relative[i] = 0.0
        else:
            value = math.exp(row[i] - best)
            raised = raised or value < FLOOR
            relative[i] = max(value, FLOOR)
    return best, raised


@_kernel
def _advance(arcs: "Arcs", values: Float64Array, sums: Float64Array) -> None:
    """Write for each state the sum over its arcs of the value at the other end times the probability."""
    n_states = len(values)
    if arcs.matrix.shape[0] > 0:
        sums[:] = 0.0
        for i in range(n_states):
            value = values[i]
            row = arcs.matrix[i]
            for j in range(n_states):
                sums[j] += value * row[j]
    else:
        for j in range(n_states):
            total = 0.0
            for a in range(arcs.firsts[j], arcs.firsts[j + 1]):
                total += values[arcs.others[a]] * arcs.raised_probs[a]
            sums[j] = total


@_kernel
def _scale(values: Float64Array, scale: float) -> bool:
    """Divide by the scale, raise what is not zero to `FLOOR`, and say if anything was raised."""
    raised = False
    inverse = 1.0 / scale
    for i in range(len(values)):
        if values[i] > 0.0:
            value = values[i] * inverse
            raised = raised or value < FLOOR
            values[i] = max(value, FLOOR)
    return raised


@_kernel
def _plain_posteriors(
    chain: "Chain",
    log_likelihoods: Float64Array,
    tails: bool,
    relative: Float64Array,
    scales: Float64Array,
    gamma: Float64Array,
    pairs: Float64Array,
) -> tuple[float, bool]:
    """Run the plain version on one sequence; return the log-likelihood, and if it is certain."""
    n_frames, n_states = log_likelihoods.shape
    total, is_certain = _plain_forward(chain, log_likelihoods, tails, relative, scales, gamma)
    if not is_certain or total == -np.inf:
        return total, is_certain
    beta = chain.raised_end.copy()
    weighted = np.empty(n_states)
    for t in range(n_frames - 1, -1, -1):
        alpha = gamma[t]
        overlap = 0.0
        for i in range(n_states):
            overlap += alpha[i] * beta[i]
        if not overlap * scales[t] >= LEAST_SUPPORT:
            return total, False
        largest = 0.0
        for i in range(n_states):
            weighted[i] = relative[t, i] * beta[i]
            largest = max(largest, weighted[i])
        inverse = 1.0 / overlap
        for i in range(n_states):
            alpha[i] *= beta[i] * inverse
        if t == 0:
            break
        if not largest >= FLOOR or (_scale(weighted, largest) and tails):
            return total, False
        _advance(chain.outgoing, weighted, beta)
        _count_pairs(chain.outgoing, gamma[t - 1], beta, weighted, pairs)
        largest = 0.0
        for i in range(n_states):
            largest = max(largest, beta[i])
        inverse = 1.0 / largest
        for i in range(n_states):
            beta[i] *= inverse
    return total, True


@_kernel
def _plain_forward(
    chain: "Chain",
    log_likelihoods: Float64Array,
    tails: bool,
    relative: Float64Array,
    scales: Float64Array,
    alphas: Float64Array,
) -> tuple[float, bool]:
    """Write forward values of sum 1, their scales and the relative likelihoods; return as `_plain_posteriors` does."""
    n_frames, n_states = log_likelihoods.shape
    total = 0.0
    raised = chain.is_raised
    for t in range(n_frames):
        alpha = alphas[t]
        if t == 0:
            assign(alpha, chain.raised_start)
        else:
            _advance(chain.incoming, alphas[t - 1], alpha)
        best, likelihood_raised = _relative_likelihoods(log_likelihoods[t], relative[t])
        scale = 0.0
        for i in range(n_states):
            alpha[i] *= relative[t, i]
            scale += alpha[i]
        if scale == 0.0:  # nothing underflows here, so this is exact
            return -np.inf, True
        raised = raised or likelihood_raised
        if scale < FLOOR:
            return total, False
        raised = _scale(alpha, scale) or raised
        if raised and tails:
            return total, False
        scales[t] = scale
        total += best + math.log(scale)
    mass = 0.0
    for i in range(n_states):
        mass += alphas[n_frames - 1, i] * chain.raised_end[i]
    if mass == 0.0:
        return -np.inf, True
    return total + math.log(mass), True


@_kernel
def _count_pairs(
    arcs: "Arcs", alpha: Float64Array, beta: Float64Array, weighted: Float64Array, pairs: Float64Array
) -> None:
    """Add for each arc its share of the likelihood at this frame, without its probability."""
    n_states = len(alpha)
    overlap = 0.0
    for i in range(n_states):
        overlap += alpha[i] * beta[i]
    inverse = 1.0 / overlap
    if arcs.matrix.shape[0] > 0:
        for i in range(n_states):
            share = alpha[i] * inverse
            row = pairs[i * n_states : (i + 1) * n_states]
            for j in range(n_states):
                row[j] += share * weighted[j]
    else:
        for i in range(n_states):
            share = alpha[i] * inverse
            for a in range(arcs.firsts[i], arcs.firsts[i + 1]):
                pairs[a] += share * weighted[arcs.others[a]]


@_kernel
def _add_pairs(arcs: "Arcs", pairs: Float64Array, transitions: Float64Array) -> None:
    """Add the pairs of a sequence, times the probabilities of the arcs."""
    n_states = len(arcs.firsts) - 1
    if arcs.matrix.shape[0] > 0:
        for i in range(n_states):
            for a in range(arcs.firsts[i], arcs.firsts[i + 1]):
                transitions[a] += pairs[i * n_states + arcs.others[a]] * arcs.probs[a]
    else:
        for a in range(len(transitions)):
            transitions[a] += pairs[a] * arcs.probs[a]
