"""Volume under the range-based precision-recall surface: a threshold-free measure for anomalies that last.

Conventions (Paparrizos, Boniol, Palpanas, Tsay, Elmore & Franklin 2022, PVLDB 15(11), "Volume under the surface").
Labels get soft shoulders: a sample d samples outside an event counts √(1 − d/ℓ) of an anomaly, up to d = ℓ/2 (rounded
down), at most 1 where shoulders meet. At a threshold, TP is the sum of the soft labels of the samples at or above it,
precision TP over their number, and recall TP over the mean of the sums of hard and soft labels, at most 1, times the
share of events (joined where their shoulders overlap) that were touched at all. The area under precision over recall,
over all distinct scores, is averaged over ℓ = 0 … L.

The paper takes the area by trapezoids. Where scores are distinct, steps (what scikit-learn calls average precision)
differ from these by next to nothing; where many are equal, a trapezoid from a few sure alarms to "everything is one"
is area that no threshold reaches: a rule that alarms rarely and never wrongly gets more than a half for it. So steps
are the default here, and trapezoids there for comparisons with published figures. Before the first threshold there is
no precision; the curve begins flat (the published code begins at precision 1).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.metrics.detection import Interval, check_intervals, check_series


def vus_pr(
    scores: npt.ArrayLike, events: Sequence[Interval], *, longest_shoulder: int, trapezoids: bool = False
) -> float:
    """Return the volume under the precision-recall surface, from 0 to 1.

    Parameters
    ----------
    scores : array-like, shape (n_samples,)
        Higher means more anomalous; finite.
    events : sequence of (first, last)
        True events in samples, both included; at least one.
    longest_shoulder : int
        L, in samples; 0 gives the range-based area for hard labels.
    trapezoids : bool
        Whether to take the area as the paper does.

    Raises
    ------
    ParameterError
        If a score is not finite, an event is not inside the stream, there is none, or the shoulder is negative.

    Examples
    --------
    >>> scores = np.zeros(100)
    >>> scores[40:60] = 1.0
    >>> vus_pr(scores, [(40, 59)], longest_shoulder=0)
    1.0
    >>> round(vus_pr(scores, [(42, 61)], longest_shoulder=10), 2)
    0.88
    """
    series = check_series(scores, "scores")
    check_intervals(events, len(series), "events")
    if not events:
        raise ParameterError("events is empty; without a true event there is nothing to find")
    if longest_shoulder < 0:
        raise ParameterError(f"longest_shoulder is {longest_shoulder}, but it is a number of samples from 0 on")
    order = np.argsort(-series, kind="stable")
    level_ends = np.append(np.flatnonzero(np.diff(series[order])), len(order) - 1)
    areas = [_range_area(order, level_ends, events, shoulder, trapezoids) for shoulder in range(longest_shoulder + 1)]
    return float(np.mean(areas))


def _range_area(
    order: IntArray, level_ends: IntArray, events: Sequence[Interval], shoulder: int, trapezoids: bool
) -> float:
    """Return the area for one length of the shoulders; `order` has the samples by falling score."""
    n = len(order)
    hard, soft = np.zeros(n), np.zeros(n)
    for first, last in events:
        hard[first : last + 1] = 1.0
    soft += hard
    for first, last in _joined(events):
        distance = np.arange(1, shoulder // 2 + 1)
        weight = np.sqrt(1.0 - distance / max(shoulder, 1))
        for place in (first - distance, last + distance):
            inside = (place >= 0) & (place < n)
            soft[place[inside]] += weight[inside]
    soft = np.minimum(soft, 1.0)
    true_positives = np.cumsum(soft[order])[level_ends]
    recall = np.minimum(1.0, true_positives / (0.5 * (hard.sum() + soft.sum())))
    recall *= _touched(order, level_ends, events, shoulder // 2)
    precision = true_positives / (level_ends + 1.0)
    before = np.concatenate([precision[:1], precision[:-1]]) if trapezoids else precision
    return float(np.sum(np.diff(recall, prepend=0.0) * 0.5 * (precision + before)))


def _touched(order: IntArray, level_ends: IntArray, events: Sequence[Interval], reach: int) -> Float64Array:
    """Return for each threshold the share of the events, with their shoulders, that have a sample at or above it."""
    n = len(order)
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    ranges = _joined([(max(first - reach, 0), min(last + reach, n - 1)) for first, last in events])
    first_ranks = np.sort([rank[first : last + 1].min() for first, last in ranges])
    return np.searchsorted(first_ranks, level_ends, side="right") / len(ranges)


def _joined(events: Sequence[Interval]) -> list[Interval]:
    """Return the events in order, those that overlap as one."""
    joined: list[Interval] = []
    for first, last in sorted(events):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined
