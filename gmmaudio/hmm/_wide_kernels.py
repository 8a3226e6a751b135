"""Compiled recursions in wide numbers, in which nothing underflows; they trust their input.

Conventions. A wide number is ``mantissa · 2 ** exponent``; the exponent is whole, kept in a float64, which has room for
any, and −inf for zero. This does what the logarithmic domain is for, without its exponentials, and without its loss of
digits where logarithms are large. Forward values of each frame sum to 1 (to 0 after what is impossible).
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.hmm._kernels import _advance, _kernel, assign

if TYPE_CHECKING:
    from gmmaudio.hmm.chain import Arcs, Chain

_LOG_2 = math.log(2.0)
_INVERSE_LOG_2 = 1.0 / _LOG_2
_LOG_2_HIGH, _LOG_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_NEGLIGIBLE = 256.0
"""Powers of two below the largest term of a sum, from which on a term cannot change it."""

_LARGEST, _SMALLEST = 64, -1100
_POWERS_OF_TWO = np.ldexp(1.0, np.arange(_SMALLEST, _LARGEST + 1))
_LEAST_NEAR = 2.0**-150
"""Where terms below 2 ** −256 of the largest were left out, or raised to `FLOOR`, a sum of at least this is right."""


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
def _narrow(mantissa: float, exponent: float) -> float:
    """Return a wide number below 2 ** 64 as an ordinary one, 0 if it is too small."""
    if not exponent > _SMALLEST:
        return 0.0
    return float(mantissa * _POWERS_OF_TWO[int(exponent) - _SMALLEST])


@_kernel
def _wide_advance(
    arcs: "Arcs",
    mantissas: Float64Array,
    exponents: Float64Array,
    sum_mantissas: Float64Array,
    sum_exponents: Float64Array,
) -> None:
    """Write for each state the sum over its arcs of the value at the other end times the probability.

    First in ordinary numbers relative to the largest value, which is enough for most states.
    """
    largest = exponents.max()
    near = np.empty(len(mantissas))
    for i in range(len(mantissas)):
        is_near = exponents[i] > largest - _NEGLIGIBLE
        near[i] = _narrow(mantissas[i], exponents[i] - largest) if is_near else 0.0
    _advance(arcs, near, sum_mantissas)
    for j in range(len(mantissas)):
        sum_exponents[j] = largest
        if not sum_mantissas[j] >= _LEAST_NEAR:
            sum_mantissas[j], sum_exponents[j] = _wide_arc_sum(arcs, j, mantissas, exponents)


@_kernel
def _wide_arc_sum(arcs: "Arcs", state: int, mantissas: Float64Array, exponents: Float64Array) -> tuple[float, float]:
    """Return the sum over the arcs of one state, each term relative to the largest of them."""
    largest = -np.inf
    for a in range(arcs.firsts[state], arcs.firsts[state + 1]):
        largest = max(largest, exponents[arcs.others[a]] + arcs.exponents[a])
    total = 0.0
    if largest > -np.inf:
        for a in range(arcs.firsts[state], arcs.firsts[state + 1]):
            below = largest - (exponents[arcs.others[a]] + arcs.exponents[a])
            if below < _NEGLIGIBLE:
                total += _narrow(mantissas[arcs.others[a]] * arcs.mantissas[a], -below)
    return total, largest


@_kernel
def _wide_sum(mantissas: Float64Array, exponents: Float64Array) -> tuple[float, float]:
    """Return the sum of wide numbers as a wide number."""
    largest = exponents.max()
    total = 0.0
    if largest > -np.inf:
        for i in range(len(exponents)):
            total += _narrow(mantissas[i], exponents[i] - largest)
    return total, largest


@_kernel
def filter_frames(
    chain: "Chain",
    log_likelihoods: Float64Array,
    is_first: bool,
    previous: Float64Array,
    previous_exponents: Float64Array,
    alphas: Float64Array,
    exponents: Float64Array,
    log_densities: Float64Array,
) -> None:
    """Write the forward values of some frames, after those of the frame before, and the predictive log-densities."""
    for t in range(len(log_likelihoods)):
        alpha, own_exponents = alphas[t], exponents[t]
        if t > 0:
            _wide_advance(chain.incoming, alphas[t - 1], exponents[t - 1], alpha, own_exponents)
        elif is_first:
            assign(alpha, chain.start_mantissas)
            assign(own_exponents, chain.start_exponents)
        else:
            _wide_advance(chain.incoming, previous, previous_exponents, alpha, own_exponents)
        best = _times_likelihoods(log_likelihoods[t], alpha, own_exponents)
        mass, exponent = _wide_sum(alpha, own_exponents)
        log_densities[t] = -np.inf
        if mass > 0.0:
            log_densities[t] = best + (exponent * _LOG_2 + math.log(mass))
            for i in range(len(alpha)):
                alpha[i] /= mass
                own_exponents[i] -= exponent


@_kernel
def wide_backward(
    chain: "Chain",
    log_likelihoods: Float64Array,
    alphas: Float64Array,
    exponents: Float64Array,
    with_end: bool,
    gamma: Float64Array,
    transitions: Float64Array,
) -> float:
    """Write the posteriors of the first frames, as many as `gamma` has rows; add transitions if there is room for them.

    Returns the logarithm of the probability of the end after the last frame; 0 without ends.
    """
    n_frames, n_states = alphas.shape
    beta, beta_exponents = chain.end_mantissas.copy(), chain.end_exponents.copy()
    if not with_end:
        beta[:] = 0.5
        beta_exponents[:] = 1.0
    weighted, weighted_exponents = np.empty(n_states), np.empty(n_states)
    log_end = 0.0
    for t in range(n_frames - 1, -1, -1):
        if t < n_frames - 1:
            _times_likelihoods(log_likelihoods[t + 1], beta, beta_exponents)
            weighted, beta = beta, weighted
            weighted_exponents, beta_exponents = beta_exponents, weighted_exponents
            _wide_advance(chain.outgoing, weighted, weighted_exponents, beta, beta_exponents)
        mass, exponent = _wide_overlap(alphas[t], exponents[t], beta, beta_exponents)
        if mass == 0.0:
            gamma[:] = 0.0
            return -np.inf
        if t == n_frames - 1:
            log_end = exponent * _LOG_2 + math.log(mass)
        elif len(transitions) > 0:
            scale = mass, exponent
            _add_transitions(chain.outgoing, alphas[t], exponents[t], weighted, weighted_exponents, scale, transitions)
        if t < len(gamma):
            for i in range(n_states):
                gamma[t, i] = _narrow(alphas[t, i] * beta[i] / mass, exponents[t, i] + beta_exponents[i] - exponent)
    return log_end


@_kernel
def smooth_frames(
    chain: "Chain",
    log_likelihoods: Float64Array,
    alphas: Float64Array,
    exponents: Float64Array,
    lag: int,
    gamma: Float64Array,
) -> None:
    """Write the posteriors of the first frames, each given the frames up to `lag` after it."""
    no_transitions = np.empty(0)
    for t in range(len(gamma)):
        window = slice(t, t + lag + 1)
        row = gamma[t : t + 1]
        wide_backward(chain, log_likelihoods[window], alphas[window], exponents[window], False, row, no_transitions)


@_kernel
def _wide_overlap(
    alpha: Float64Array, exponents: Float64Array, beta: Float64Array, beta_exponents: Float64Array
) -> tuple[float, float]:
    """Return the sum of the products of wide numbers as a wide number."""
    largest = -np.inf
    for i in range(len(alpha)):
        largest = max(largest, exponents[i] + beta_exponents[i])
    total = 0.0
    if largest > -np.inf:
        for i in range(len(alpha)):
            total += _narrow(alpha[i] * beta[i], exponents[i] + beta_exponents[i] - largest)
    return total, largest


@_kernel
def _add_transitions(
    arcs: "Arcs",
    alpha: Float64Array,
    exponents: Float64Array,
    weighted: Float64Array,
    weighted_exponents: Float64Array,
    scale: tuple[float, float],
    transitions: Float64Array,
) -> None:
    """Add the posterior of each arc at one frame, whose scale is a wide number."""
    mass, exponent = scale
    for i in range(len(alpha)):
        source, source_exponent = alpha[i] / mass, exponents[i] - exponent
        for a in range(arcs.firsts[i], arcs.firsts[i + 1]):
            j = arcs.others[a]
            above = source_exponent + arcs.exponents[a] + weighted_exponents[j]
            transitions[a] += _narrow(source * arcs.mantissas[a] * weighted[j], above)
