"""Compiled loops of the detector, one sample after the other; they trust their input and change their state in place.

Conventions. Blocks are float64 and C-contiguous, one row per sample, NaN where a channel gave nothing; a head's score
is NaN where it has nothing to say. A sample is scored with what was learnt from the samples before it, then learnt
from. No sum is reordered and nothing goes through BLAS, so the way a stream is cut into blocks cannot change a bit.
Imported when first needed: compiling takes a moment.
"""

import math

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.gmm._kernels import kernel_with

KNEE = 4.0
"""Standardised values are left alone up to here and grow with the logarithm beyond."""

LARGEST = 1e12
LEAST_VARIANCE = 1e-6
OUTLIER = 25.0
"""A sample whose squared distance per channel is beyond this counts less, in proportion, when it is learnt from."""

SHORTEST_COUNT = 20
"""Samples that a head must have learnt from before it scores."""

RANGE_UNIT = 0.05
"""An excess of this share of the range divides the range rule's p-value by e."""

_kernel = kernel_with()


@_kernel
def standardise(X: Float64Array, center: Float64Array, scale: Float64Array, out: Float64Array) -> None:
    """Write standardised values, compressed beyond the knee; what is not finite becomes NaN."""
    for t in range(X.shape[0]):
        for c in range(X.shape[1]):
            if not math.isfinite(X[t, c]):
                out[t, c] = np.nan
                continue
            z = X[t, c] / scale[c] - center[c] / scale[c]
            size = min(abs(z), LARGEST)
            if size > KNEE:
                size = KNEE + math.log(size - (KNEE - 1.0))
            out[t, c] = math.copysign(size, z)


@_kernel
def factor(covariance: Float64Array, seen: IntArray, n_seen: int, lower: Float64Array) -> None:
    """Write the Cholesky factor of the rows and columns that were seen."""
    for i in range(n_seen):
        for j in range(i + 1):
            rest = covariance[seen[i], seen[j]]
            for k in range(j):
                rest -= lower[i, k] * lower[j, k]
            if i == j:
                lower[i, i] = math.sqrt(max(rest, 1e-3 * LEAST_VARIANCE))
            else:
                lower[i, j] = rest / lower[j, j]


@_kernel
def whiten(lower: Float64Array, centred: Float64Array, n: int, first: int, white: Float64Array) -> None:
    """Write L⁻¹ (z − μ) from one entry on; the entries before it are there already."""
    for i in range(first, n):
        rest = centred[i]
        for k in range(i):
            rest -= lower[i, k] * white[k]
        white[i] = rest / lower[i, i]


@_kernel
def channel_residuals(lower: Float64Array, white: Float64Array, n_past: int, n: int, residuals: Float64Array) -> None:
    """Write (Λr)ⱼ / √Λⱼⱼ, Λ and r being precision and residual of the present channels given the past.

    This is the standardised residual of one channel given the past and all other channels; half its square is what
    −log p loses, up to a constant, when the channel is left out.
    """
    for j in range(n_past, n):
        # Column j of the inverse of the factor's last block: Λ = L⁻ᵀ L⁻¹, so both sums need only this column.
        column = np.zeros(n)
        pull, precision = 0.0, 0.0
        for i in range(j, n):
            rest = 1.0 if i == j else 0.0
            for k in range(j, i):
                rest -= lower[i, k] * column[k]
            column[i] = rest / lower[i, i]
            pull += column[i] * white[i]
            precision += column[i] * column[i]
        residuals[j - n_past] = pull / math.sqrt(precision)


@_kernel
def fisher(square: float, n: int) -> float:
    """Return √(2χ²) − √(2n − 1), nearly standard normal whatever the number of degrees (Fisher 1925)."""
    return math.sqrt(2.0 * square) - math.sqrt(2.0 * n - 1.0)


@_kernel
def conditional(
    Z: Float64Array,
    history: Float64Array,
    count: Float64Array,
    mean: Float64Array,
    scatter: Float64Array,
    covariance: Float64Array,
    lower: Float64Array,
    forgetting: float,
    learn: bool,
    score: Float64Array,
    log_density: Float64Array,
    residuals: Float64Array,
) -> None:
    """Score samples by the Gaussian of the present given the last ones, missing entries of either left out.

    The residuals are those of `channel_residuals`, NaN where there is none.

    `count` holds the discounted weight of what was learnt, the number of samples learnt from and the number at which
    the covariance is next taken over.
    """
    n_lags, n_channels = history.shape
    d, n_before = mean.shape[0], n_lags * n_channels
    joint, centred, white = np.empty(d), np.empty(d), np.empty(d)
    seen, everything, local = np.empty(d, np.int64), np.arange(d), np.empty((d, d))
    present = np.empty(n_channels)
    for t in range(Z.shape[0]):
        for lag in range(n_lags):
            for c in range(n_channels):
                joint[lag * n_channels + c] = history[lag, c]
        for c in range(n_channels):
            joint[n_before + c] = Z[t, c]
        n_seen, n_past = 0, 0
        for i in range(d):
            if not math.isnan(joint[i]):
                seen[n_seen] = i
                centred[n_seen] = joint[i] - mean[i]
                n_seen += 1
                if i < n_before:
                    n_past += 1
        n_present = n_seen - n_past
        score[t], log_density[t] = np.nan, np.nan
        residuals[t, :] = np.nan
        weight = 1.0
        if n_present > 0 and count[2] > 0.0:
            used = lower
            if n_seen < d:
                factor(covariance, seen, n_seen, local)
                used = local
            whiten(used, centred, n_seen, 0, white)
            square, log_volume = 0.0, 0.0
            for i in range(n_past, n_seen):
                square += white[i] * white[i]
                log_volume += math.log(used[i, i])
            score[t] = fisher(square, n_present)
            log_density[t] = -0.5 * square - log_volume - 0.5 * n_present * math.log(2.0 * math.pi)
            channel_residuals(used, white, n_past, n_seen, present)
            for i in range(n_past, n_seen):
                residuals[t, seen[i] - n_before] = present[i - n_past]
            weight = min(1.0, OUTLIER * n_present / max(square, 1e-300))
        if learn and n_seen == d:
            count[0] = forgetting * count[0] + weight
            count[1] += 1.0
            for i in range(d):
                centred[i] = joint[i] - mean[i]
                mean[i] += weight / count[0] * centred[i]
            for i in range(d):
                for j in range(i + 1):
                    scatter[i, j] = forgetting * scatter[i, j] + weight * centred[i] * (joint[j] - mean[j])
            if count[1] >= max(count[2], SHORTEST_COUNT + d):
                for i in range(d):
                    for j in range(i + 1):
                        covariance[i, j] = scatter[i, j] / count[0]
                        covariance[j, i] = covariance[i, j]
                    covariance[i, i] += LEAST_VARIANCE
                factor(covariance, everything, d, lower)
                count[2] = count[1] + max(1.0, min(count[1] / 16.0, 64.0))
        for lag in range(n_lags - 1, 0, -1):
            for c in range(n_channels):
                history[lag, c] = history[lag - 1, c]
        if n_lags > 0:
            for c in range(n_channels):
                history[0, c] = Z[t, c]


@_kernel
def recent_means(Z: Float64Array, recent: Float64Array, position: IntArray, out: Float64Array) -> None:
    """Write the mean of each channel over the last samples, NaN where more than half of them are missing."""
    length, n_channels = recent.shape
    for t in range(Z.shape[0]):
        for c in range(n_channels):
            recent[position[0] % length, c] = Z[t, c]
            total, n_valid = 0.0, 0
            for k in range(length):
                if not math.isnan(recent[k, c]):
                    total += recent[k, c]
                    n_valid += 1
            out[t, c] = total / n_valid if 2 * n_valid >= length else np.nan
        position[0] += 1


@_kernel
def level(
    means: Float64Array,
    earlier: Float64Array,
    position: IntArray,
    count: Float64Array,
    mean: Float64Array,
    variance: Float64Array,
    rate: float,
    learn: bool,
    score: Float64Array,
    shares: Float64Array,
) -> None:
    """Score means of the last samples against the distribution of earlier such means, channel by channel.

    A mean is learnt from one window later, when it has no sample in common with the one that is scored.
    """
    length, n_channels = earlier.shape
    for t in range(means.shape[0]):
        row = position[0] % length
        n_scored, square = 0, 0.0
        for c in range(n_channels):
            value = means[t, c]
            old = earlier[row, c]
            earlier[row, c] = value
            if learn and not math.isnan(old):
                share = max(rate, 1.0 / (count[c] + 1.0))
                step = old - mean[c]
                mean[c] += share * step
                variance[c] = (1.0 - share) * (variance[c] + share * step * step)
                count[c] += 1.0
            if not math.isnan(value) and count[c] > 2 * length:
                shares[t, c] = (value - mean[c]) ** 2 / (variance[c] + LEAST_VARIANCE)
                square += shares[t, c]
                n_scored += 1
        score[t] = fisher(square, n_scored) if n_scored else np.nan
        position[0] += 1


@_kernel
def seasonal(
    Z: Float64Array,
    season: IntArray,
    count: Float64Array,
    mean: Float64Array,
    variance: Float64Array,
    rate: float,
    learn: bool,
    score: Float64Array,
    shares: Float64Array,
) -> None:
    """Score each channel against its mean and variance at this time of the day; a season below 0 is not known."""
    for t in range(Z.shape[0]):
        s = season[t]
        n_scored, square = 0, 0.0
        for c in range(Z.shape[1]):
            if s < 0 or math.isnan(Z[t, c]):
                continue
            if count[s, c] > SHORTEST_COUNT:
                shares[t, c] = (Z[t, c] - mean[s, c]) ** 2 / (variance[s, c] + LEAST_VARIANCE)
                square += shares[t, c]
                n_scored += 1
            if learn:
                share = max(rate, 1.0 / (count[s, c] + 1.0))
                step = Z[t, c] - mean[s, c]
                mean[s, c] += share * step
                variance[s, c] = (1.0 - share) * (variance[s, c] + share * step * step)
                count[s, c] += 1.0
        score[t] = fisher(square, n_scored) if n_scored else np.nan


@_kernel
def outside_range(
    X: Float64Array,
    count: Float64Array,
    low: Float64Array,
    high: Float64Array,
    learn: bool,
    score: Float64Array,
    shares: Float64Array,
) -> None:
    """Write −log10 p of the range rule: the next of n exchangeable values is the new extreme with p = 2 / (n + 1).

    The p-value falls by e with every twentieth of the range beyond it (twenty of them at most) and is multiplied by
    the number of channels. It is 1 where a value lies inside.
    """
    n_channels = X.shape[1]
    for t in range(X.shape[0]):
        best = np.nan
        for c in range(n_channels):
            value = X[t, c]
            if not math.isfinite(value):
                continue
            if count[c] > SHORTEST_COUNT:
                excess = max(value - high[c], low[c] - value)
                here = 0.0
                if excess > 0.0:
                    width = max(high[c] - low[c], 1e-9 * max(abs(high[c]), abs(low[c]), 1e-9))
                    steps = min(excess / (RANGE_UNIT * width), 20.0)
                    shares[t, c] = steps
                    here = max(0.0, math.log10((count[c] + 1.0) / (2.0 * n_channels)) + steps / math.log(10.0))
                if math.isnan(best) or here > best:
                    best = here
            if learn:
                low[c], high[c] = min(low[c], value), max(high[c], value)
                count[c] += 1.0
        score[t] = best
