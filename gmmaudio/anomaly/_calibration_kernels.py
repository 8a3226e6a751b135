"""Compiled loops that turn scores into p-values and fuse them; they trust their input.

Conventions. Scores are float64 vectors, NaN where a head has nothing to say; p-values are written as −log10 p. What
follows a stream changes its memory in place, one score after the other, so that the cutting of a stream cannot change
a bit. Imported when first needed: compiling takes a moment.
"""

import math

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.gmm._kernels import kernel_with

N_TOP = 20
"""Least number of largest scores that an exponential tail is fitted to."""

TOP_SHARE = 0.02

_kernel = kernel_with()


@_kernel
def exponential_tail(ordered: Float64Array, n: int, top: int) -> tuple[float, float]:
    """Return threshold and mean excess of the largest ones among ascending scores (Pickands 1975, shape 0)."""
    threshold = ordered[n - top]
    excess = 0.0
    for k in range(n - top, n):
        excess += ordered[k] - threshold
    return threshold, max(excess / (top - 1), 1e-12)


@_kernel
def place(ordered: Float64Array, n: int, value: float) -> int:
    """Return how many of the ascending scores are smaller."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@_kernel
def n_in_tail(n: int) -> int:
    """Return how many of so many scores make the tail."""
    return max(N_TOP, int(TOP_SHARE * n))


@_kernel
def tail_level(threshold: float, excess: float, share: float, neg_log10_p: float) -> float:
    """Return the score of this p-value in an exponential tail that a share of all scores reaches, or its threshold."""
    return threshold + excess * max(0.0, neg_log10_p * math.log(10.0) + math.log(share))


@_kernel
def window_level(ordered: Float64Array, n: int, neg_log10_p: float) -> float:
    """Return the score that gets this p-value from so many ascending scores."""
    top = n_in_tail(n)
    above = int(math.pow(10.0, -neg_log10_p) * (n + 1.0))
    if above > top:
        return float(ordered[max(0, n - above)])
    threshold, excess = exponential_tail(ordered, n, top)
    return tail_level(threshold, excess, top / (n + 1.0), neg_log10_p)


@_kernel
def put_in_order(ordered: Float64Array, n: int, freed: int, value: float) -> None:
    """Put a score among so many ascending ones, moving only those between its place and the one that is freed."""
    goal = place(ordered, n, value)
    if goal > freed:
        goal -= 1
        for k in range(freed, goal):
            ordered[k] = ordered[k + 1]
    else:
        for k in range(freed, goal, -1):
            ordered[k] = ordered[k - 1]
    ordered[goal] = value


@_kernel
def follow_window(
    score: Float64Array,
    ring: Float64Array,
    ordered: Float64Array,
    count: Float64Array,
    warm_up: float,
    limit: float,
    out: Float64Array,
) -> None:
    """Write −log10 p by rank among the scores in memory, in the tail by an exponential law; NaN during the warm-up.

    Each score is remembered before the next one is looked at, one beyond −log10 p = `limit` as one there. The oldest
    is forgotten when memory is full.
    """
    size = ring.shape[0]
    for t in range(score.shape[0]):
        value = score[t]
        out[t] = np.nan
        if math.isnan(value):
            continue
        n = min(int(count[0]), size)
        if n >= max(warm_up, N_TOP + 1.0):
            top = n_in_tail(n)
            if value > ordered[n - top]:
                threshold, excess = exponential_tail(ordered, n, top)
                out[t] = math.log10((n + 1.0) / top) + (value - threshold) / excess / math.log(10.0)
                if out[t] > limit:
                    value = min(value, tail_level(threshold, excess, top / (n + 1.0), limit))
            else:
                out[t] = math.log10((n + 1.0) / (n - place(ordered, n, value) + 1.0))
        row = int(count[0]) % size
        put_in_order(ordered, n, place(ordered, n, ring[row]) if n == size else n, value)
        ring[row] = value
        count[0] += 1.0


@_kernel
def replace_latest(ring: Float64Array, ordered: Float64Array, count: Float64Array, n_latest: int) -> None:
    """Put the scores before the latest ones in their place, at most half of the memory."""
    size = ring.shape[0]
    n = min(int(count[0]), size)
    n_latest = min(n_latest, n // 2)
    end = int(count[0])
    for i in range(end - n_latest, end):
        ring[i % size] = ring[(i - n_latest) % size]
    ordered[:n] = np.sort(ring[:n])


@_kernel
def follow_records(
    score: Float64Array, largest: Float64Array, count: Float64Array, warm_up: float, out: Float64Array
) -> None:
    """Write −log10 p by an exponential tail above the smallest of the largest past scores; below it 0.

    Each score is remembered before the next one is looked at.
    """
    top = largest.shape[0]
    for t in range(score.shape[0]):
        value = score[t]
        out[t] = np.nan
        if math.isnan(value):
            continue
        if count[0] >= max(warm_up, float(top)):
            out[t] = 0.0
            if value > largest[0]:
                threshold, excess = exponential_tail(largest, top, top)
                out[t] = math.log10((count[0] + 1.0) / top) + (value - threshold) / excess / math.log(10.0)
        if value > largest[0]:
            k = 0
            while k + 1 < top and largest[k + 1] < value:
                largest[k] = largest[k + 1]
                k += 1
            largest[k] = value
        count[0] += 1.0


@_kernel
def fixed_tail(score: Float64Array, levels: Float64Array, tail: Float64Array, out: Float64Array) -> None:
    """Write −log10 p: by rank among the levels, beyond the last one by a generalised Pareto tail.

    `levels` are the quantiles at equal steps of probability from 0 to that of the tail's threshold; `tail` holds the
    probability of exceeding the threshold, scale and shape (Coles 2001, eq. 4.2).
    """
    n = levels.shape[0]
    for t in range(score.shape[0]):
        value = score[t]
        if math.isnan(value):
            out[t] = np.nan
        elif value > levels[n - 1]:
            excess = (value - levels[n - 1]) / tail[1]
            if tail[2] < 1e-9:
                out[t] = (excess - math.log(tail[0])) / math.log(10.0)
            else:
                out[t] = (math.log1p(tail[2] * excess) / tail[2] - math.log(tail[0])) / math.log(10.0)
        else:
            low, high = 0, n - 1
            while high - low > 1:
                middle = (low + high) // 2
                if levels[middle] <= value:
                    low = middle
                else:
                    high = middle
            step = levels[high] - levels[low]
            place = low + (min(max((value - levels[low]) / step, 0.0), 1.0) if step > 0.0 else 0.0)
            out[t] = max(0.0, -math.log10(1.0 - (1.0 - tail[0]) * place / (n - 1)))


@_kernel
def fuse(
    scores: Float64Array, shares: Float64Array, fused: Float64Array, best: IntArray, contributions: Float64Array
) -> None:
    """Write −log10 of the smallest p-value times the number of heads that gave one, and the head that gave it.

    The contributions are that head's shares, made to add up to the score.
    """
    n_heads, n, n_channels = shares.shape
    for t in range(n):
        n_given, top = 0, -1
        for h in range(n_heads):
            if not math.isnan(scores[h, t]):
                n_given += 1
                if top < 0 or scores[h, t] > scores[top, t]:
                    top = h
        best[t] = top
        fused[t] = max(0.0, scores[top, t] - math.log10(n_given)) if top >= 0 else np.nan
        if top >= 0:
            for c in range(n_channels):
                contributions[t, c] = shares[top, t, c]


@_kernel
def divide(contributions: Float64Array, score: Float64Array) -> None:
    """Scale the rows of contributions so that each adds up to its score."""
    for t in range(score.shape[0]):
        total = 0.0
        for c in range(contributions.shape[1]):
            total += contributions[t, c]
        for c in range(contributions.shape[1]):
            if total > 0.0 and not math.isnan(score[t]):
                contributions[t, c] *= score[t] / total
            else:
                contributions[t, c] = 0.0
