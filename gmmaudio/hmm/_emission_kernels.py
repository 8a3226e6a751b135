"""Compiled inner loops between the densities of Gaussians and the likelihoods of states; they trust their input.

Conventions. Log-densities have one row per Gaussian and one column per frame, so that every loop over frames becomes
vector instructions however few components a state has; `offsets` says where the Gaussians of each state begin. Arrays
of states have one row per frame, as the recursions want them. Sums keep their order: a frame has the same bits
wherever it is.
"""

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array, IntArray
from gmmaudio.gmm._kernels import _exp, _kernel

_LOWEST = np.float32(-3e38)
# Smaller shares of a state, and smaller posteriors, count as 0: denormal products are twenty times slower.
_LOG_NEGLIGIBLE, _NEGLIGIBLE, _ZERO = np.float32(-30.0), np.float32(1e-13), np.float32(0.0)
_ONE, _HALF = np.float32(1.0), np.float32(0.5)
_LOG_2_HIGH, _LOG_2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_MANTISSA, _ONE_BITS, _MANTISSA_BITS = np.int32(0x007FFFFF), np.int32(0x3F800000), np.int32(23)
_BIAS = np.int32(127)
_ROOT_2 = np.float32(1.41421356)
# Cephes' logf: a polynomial on [√½, √2], 7e-8 relative.
_L8, _L7, _L6 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
_L5, _L4, _L3 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
_L2, _L1, _L0 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)


@_kernel
def _log(x: np.float32) -> np.float32:
    """Return the logarithm of a number of at least 1."""
    bits = np.float32(x).view(np.int32)
    exponent = np.float32((bits >> _MANTISSA_BITS) - _BIAS)
    mantissa = np.int32((bits & _MANTISSA) | _ONE_BITS).view(np.float32)
    is_high = mantissa > _ROOT_2
    mantissa = mantissa * _HALF if is_high else mantissa
    exponent = exponent + _ONE if is_high else exponent
    r = mantissa - _ONE
    square = r * r
    y = ((((((((_L8 * r + _L7) * r + _L6) * r + _L5) * r + _L4) * r + _L3) * r + _L2) * r + _L1) * r + _L0) * r
    return np.float32(r + (y * square + (exponent * _LOG_2_LOW - _HALF * square)) + exponent * _LOG_2_HIGH)


@_kernel
def exponentiate_states(
    log_densities: Float32Array, offsets: IntArray, log_likelihoods: Float64Array, inverse_sums: Float32Array
) -> None:
    """Replace log-densities by their exponentials relative to the best of the state; write ``log Σ exp`` of the states.

    `inverse_sums`, shape (n_states, n_frames), gets one over the sums of the exponentials.
    """
    n_frames = log_densities.shape[1]
    best = np.empty(n_frames, np.float32)
    total = np.empty(n_frames, np.float32)
    for s in range(len(offsets) - 1):
        best[:] = _LOWEST
        for k in range(offsets[s], offsets[s + 1]):
            row = log_densities[k]
            for t in range(n_frames):
                best[t] = max(best[t], row[t])
        total[:] = np.float32(0.0)
        for k in range(offsets[s], offsets[s + 1]):
            row = log_densities[k]
            for t in range(n_frames):
                distance = row[t] - best[t]
                share = _exp(max(distance, _LOG_NEGLIGIBLE))
                row[t] = share if distance > _LOG_NEGLIGIBLE else _ZERO
                total[t] += row[t]
        inverse = inverse_sums[s]
        for t in range(n_frames):
            inverse[t] = _ONE / total[t]
            best[t] += _log(total[t])
        for t in range(n_frames):
            log_likelihoods[t, s] = best[t]


@_kernel
def scale_states(shares: Float32Array, offsets: IntArray, posteriors: Float64Array, inverse_sums: Float32Array) -> None:
    """Turn exponentials into shares of the frames: times the posterior of the state, over the sum of the state."""
    n_frames = shares.shape[1]
    factors = np.empty(n_frames, np.float32)
    for s in range(len(offsets) - 1):
        for t in range(n_frames):
            factors[t] = np.float32(posteriors[t, s])
        inverse = inverse_sums[s]
        for t in range(n_frames):
            factors[t] = factors[t] * inverse[t] if factors[t] > _NEGLIGIBLE else _ZERO
        for k in range(offsets[s], offsets[s + 1]):
            row = shares[k]
            for t in range(n_frames):
                row[t] *= factors[t]
