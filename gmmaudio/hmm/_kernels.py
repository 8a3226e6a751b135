"""Compiled recursions of hidden Markov models in float64; they trust their input.

`inference.batch_posteriors` calls these for many sequences at once::

    plain_posteriors(chain, log_likelihoods, offsets, tails, posteriors, totals, transitions, starts, ends)
    wide_posteriors(chain, log_likelihoods_of_one, posteriors_of_one, transitions) -> log_likelihood

chain : `chain.Chain`; log_likelihoods : (n_frames, n_states), C order, may hold −inf; offsets : (n_sequences + 1,)
int64, sequence q is rows offsets[q] to offsets[q + 1], at least one. Written: posteriors (n_frames, n_states), totals
(n_sequences,) log-likelihoods. Added to: transitions (n_arcs,), in the order of `chain.outgoing`, starts and ends
(n_states,). They hold no lock, so several threads may run them, each with its own outputs; sums are made in the order
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

*Wide* (`wide_posteriors`): each number is a mantissa and an exponent of its own (an integer, kept in a float64 that
has room for any), so that nothing underflows. It is what the logarithmic domain is for, without its exponentials and
without its loss of digits where logarithms are large. It answers whenever the plain version does not, and, if `tails`
is true, whenever a number was raised at all: then every posterior that float64 can hold has its relative accuracy.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numba
import numpy as np

from gmmaudio._typing import Float64Array, IntArray

if TYPE_CHECKING:
    from gmmaudio.hmm.chain import Arcs, Chain, PathArcs

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

FLOOR = 1e-100
"""No number of the plain version that is not zero is smaller; the product of three of them is not denormal."""

LEAST_SUPPORT = 1e-70
"""What forward and backward values must have in common for the plain version to be believed."""

_LOG_2 = math.log(2.0)
_INVERSE_LOG_2 = 1.0 / _LOG_2
_LOG_2_HIGH, _LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_HALVINGS = 0.5 ** np.arange(256.0)
"""Powers of one half; terms that are smaller than the largest by more than these cannot change a sum."""


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
            alpha[:] = chain.raised_start
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


@_kernel
def _times_likelihoods(row: Float64Array, mantissas: Float64Array, exponents: Float64Array) -> float:
    """Multiply wide numbers by likelihoods over the largest of them; return the logarithm of that."""
    best = -np.inf
    for i in range(len(row)):
        best = max(best, row[i])
    for i in range(len(row)):
        if row[i] == -np.inf or mantissas[i] == 0.0:
            mantissas[i], exponents[i] = 0.0, -np.inf
        else:
            gap = row[i] - best
            n = np.rint(gap * _INVERSE_LOG_2)
            mantissa, exponent = math.frexp(mantissas[i] * math.exp((gap - n * _LOG_2_HIGH) - n * _LOG_2_LOW))
            mantissas[i] = mantissa
            exponents[i] += n + exponent
    return best


@_kernel
def _wide_advance(
    arcs: "Arcs",
    mantissas: Float64Array,
    exponents: Float64Array,
    sum_mantissas: Float64Array,
    sum_exponents: Float64Array,
) -> None:
    """Write for each state the sum over its arcs of the value at the other end times the probability."""
    for j in range(len(mantissas)):
        largest = -np.inf
        for a in range(arcs.firsts[j], arcs.firsts[j + 1]):
            largest = max(largest, exponents[arcs.others[a]] + arcs.exponents[a])
        total = 0.0
        if largest > -np.inf:
            for a in range(arcs.firsts[j], arcs.firsts[j + 1]):
                below = largest - (exponents[arcs.others[a]] + arcs.exponents[a])
                if below < 256.0:
                    total += mantissas[arcs.others[a]] * arcs.mantissas[a] * _HALVINGS[int(below)]
        sum_mantissas[j], sum_exponents[j] = total, largest


@_kernel
def _wide_sum(mantissas: Float64Array, exponents: Float64Array) -> tuple[float, float]:
    """Return the sum of wide numbers as a wide number."""
    largest = -np.inf
    for i in range(len(exponents)):
        largest = max(largest, exponents[i])
    total = 0.0
    if largest > -np.inf:
        for i in range(len(exponents)):
            if largest - exponents[i] < 256.0:
                total += mantissas[i] * _HALVINGS[int(largest - exponents[i])]
    return total, largest


@_kernel
def _narrow(mantissa: float, exponent: float) -> float:
    """Return a wide number as an ordinary one, 0 below the smallest."""
    if not exponent > -1100.0:
        return 0.0
    return float(math.ldexp(mantissa, int(exponent)))


@_kernel
def wide_posteriors(
    chain: "Chain", log_likelihoods: Float64Array, gamma: Float64Array, transitions: Float64Array
) -> float:
    """Run the wide version on one sequence: write posteriors, add transitions, return the log-likelihood."""
    n_frames, n_states = log_likelihoods.shape
    alphas, alpha_exponents = np.empty((n_frames, n_states)), np.empty((n_frames, n_states))
    total = 0.0
    for t in range(n_frames):
        if t == 0:
            alphas[0], alpha_exponents[0] = chain.start_mantissas, chain.start_exponents
        else:
            _wide_advance(chain.incoming, alphas[t - 1], alpha_exponents[t - 1], alphas[t], alpha_exponents[t])
        total += _times_likelihoods(log_likelihoods[t], alphas[t], alpha_exponents[t])
    weighted, weighted_exponents = np.empty(n_states), np.empty(n_states)
    for i in range(n_states):
        weighted[i] = alphas[-1, i] * chain.end_mantissas[i]
        weighted_exponents[i] = alpha_exponents[-1, i] + chain.end_exponents[i]
    mass, exponent = _wide_sum(weighted, weighted_exponents)
    if mass == 0.0:
        gamma[:] = 0.0
        return -np.inf
    beta, beta_exponents = chain.end_mantissas.copy(), chain.end_exponents.copy()
    for t in range(n_frames - 1, -1, -1):
        for i in range(n_states):
            gamma[t, i] = _narrow(alphas[t, i] * beta[i] / mass, alpha_exponents[t, i] + beta_exponents[i] - exponent)
        if t == 0:
            break
        weighted[:] = beta
        weighted_exponents[:] = beta_exponents
        _times_likelihoods(log_likelihoods[t], weighted, weighted_exponents)
        for i in range(n_states):
            for a in range(chain.outgoing.firsts[i], chain.outgoing.firsts[i + 1]):
                j = chain.outgoing.others[a]
                mantissa = alphas[t - 1, i] * chain.outgoing.mantissas[a] * weighted[j] / mass
                above = alpha_exponents[t - 1, i] + chain.outgoing.exponents[a] + weighted_exponents[j] - exponent
                transitions[a] += _narrow(mantissa, above)
        _wide_advance(chain.outgoing, weighted, weighted_exponents, beta, beta_exponents)
    return total + (exponent * _LOG_2 + math.log(mass))


@_kernel
def filter_frames(
    chain: "Chain",
    log_likelihoods: Float64Array,
    is_first: bool,
    mantissas: Float64Array,
    exponents: Float64Array,
    filtered: Float64Array,
    log_densities: Float64Array,
) -> None:
    """Advance a filter, whose wide probabilities sum to 1 (to 0 after what is impossible), over some frames."""
    previous, previous_exponents = mantissas.copy(), exponents.copy()
    for t in range(len(log_likelihoods)):
        if is_first and t == 0:
            mantissas[:] = chain.start_mantissas
            exponents[:] = chain.start_exponents
        else:
            previous[:] = mantissas
            previous_exponents[:] = exponents
            _wide_advance(chain.incoming, previous, previous_exponents, mantissas, exponents)
        best = _times_likelihoods(log_likelihoods[t], mantissas, exponents)
        mass, exponent = _wide_sum(mantissas, exponents)
        if mass == 0.0:
            log_densities[t] = -np.inf
            filtered[t] = 0.0
            continue
        log_densities[t] = best + (exponent * _LOG_2 + math.log(mass))
        for i in range(len(mantissas)):
            mantissas[i] /= mass
            exponents[i] -= exponent
            filtered[t, i] = _narrow(mantissas[i], exponents[i])


@_kernel
def advance_scores(arcs: "PathArcs", log_likelihoods: Float64Array, scores: Float64Array, pointers: IntArray) -> float:
    """Replace the scores of the best paths by those of one frame later, relative to the best; return its score.

    Writes the state that each best path comes from, the lowest of equals, −1 where there is no path.
    """
    n_states = len(scores)
    previous = scores.copy()
    scores[:] = -np.inf
    pointers[:] = -1
    if arcs.log_matrix.shape[0] > 0:
        for i in range(n_states):
            row = arcs.log_matrix[i]
            score = previous[i]
            source = np.int32(i)
            for j in range(n_states):
                candidate = score + row[j]
                is_better = candidate > scores[j]
                scores[j] = candidate if is_better else scores[j]
                pointers[j] = source if is_better else pointers[j]
    else:
        for j in range(n_states):
            for a in range(arcs.firsts[j], arcs.firsts[j + 1]):
                candidate = previous[arcs.others[a]] + arcs.log_probs[a]
                if candidate > scores[j]:
                    scores[j] = candidate
                    pointers[j] = arcs.others[a]
    return relate_scores(log_likelihoods, scores)


@_kernel
def relate_scores(log_likelihoods: Float64Array, scores: Float64Array) -> float:
    """Add the log-likelihoods of a frame to the scores, make them relative to the best, and return that."""
    best = -np.inf
    for j in range(len(scores)):
        scores[j] += log_likelihoods[j]
        best = max(best, scores[j])
    if best > -np.inf:
        for j in range(len(scores)):
            scores[j] -= best
    return best


@_kernel
def best_paths(
    arcs: "PathArcs",
    log_start: Float64Array,
    log_end: Float64Array,
    log_likelihoods: Float64Array,
    offsets: IntArray,
    paths: IntArray,
    totals: Float64Array,
) -> None:
    """Write the most probable path of each sequence and its log-probability; −1 and −inf where there is none."""
    n_states = len(log_start)
    longest = 0
    for q in range(len(offsets) - 1):
        longest = max(longest, offsets[q + 1] - offsets[q])
    pointers = np.empty((longest, n_states), np.int32)
    for q in range(len(offsets) - 1):
        own = log_likelihoods[offsets[q] : offsets[q + 1]]
        path = paths[offsets[q] : offsets[q + 1]]
        scores = log_start.copy()
        total = relate_scores(own[0], scores)
        for t in range(1, len(own)):
            total += advance_scores(arcs, own[t], scores, pointers[t])
        last = best_state(scores, log_end)
        if last < 0:
            path[:] = -1
            totals[q] = -np.inf
            continue
        totals[q] = total + (scores[last] + log_end[last])
        path[-1] = last
        for t in range(len(own) - 1, 0, -1):
            path[t - 1] = pointers[t, path[t]]


@_kernel
def best_state(scores: Float64Array, log_end: Float64Array) -> int:
    """Return the first of the states with the best score and end, −1 if none is possible."""
    best, state = -np.inf, -1
    for i in range(len(scores)):
        if scores[i] + log_end[i] > best:
            best, state = scores[i] + log_end[i], i
    return state
