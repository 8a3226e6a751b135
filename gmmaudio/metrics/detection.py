"""How well scores and alarms tell anomalies in a stream from its normal course.

Conventions. A higher score means more anomalous and a sample raises an alarm if `score >= threshold`. Windows and
events are pairs (first, last) of sample indices, both included. `nab_score` follows the Numenta Anomaly Benchmark
(Lavin & Ahmad 2015, arXiv 1510.03336, and version 1.1 of its scorer): the first 15 % of a series, at most 750
samples, are not scored; of the alarms inside a window only the earliest counts; every other alarm costs. 0 is a
detector that never alarms, 100 one that alarms at the first sample of every window and nowhere else. That benchmark
chooses one threshold for the whole corpus on the very labels that it scores (`nab_best_threshold`); fix the
threshold elsewhere for an honest figure. `detection_controls` has the rules without a model that a detector must
beat before its figure means anything.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError

Interval = tuple[int, int]

NAB_COSTS = {"standard": (1.0, 0.11, 1.0), "reward_low_fp": (1.0, 0.22, 1.0), "reward_low_fn": (1.0, 0.11, 2.0)}
"""Profile -> weight of a detected window, a false alarm and a missed window."""

_PROBATION_SHARE, _PROBATION_LIMIT = 0.15, 750
_STEEPNESS, _FLAT_FROM = 5.0, 3.0


@dataclass(frozen=True)
class EventResult:
    """Agreement of found events with true ones.

    Attributes
    ----------
    n_true, n_found, n_detected, n_false : int
        True events, found events, true events that at least one found event touches, found events that touch none.
    precision, recall, f1 : float
        1 − n_false / n_found, n_detected / n_true and their harmonic mean; 1 where nothing could go wrong (no event
        found or none there).
    median_delay : float
        Median over the detected events of the seconds from their first sample to the first found one; NaN if none.
    false_alarms_per_day : float
        False events per day of samples outside the true events.
    alarm_share : float
        Share of the samples outside the true events that lie in a found one; tells whoever alarms all the time.
    """

    n_true: int
    n_found: int
    n_detected: int
    n_false: int
    precision: float
    recall: float
    f1: float
    median_delay: float
    false_alarms_per_day: float
    alarm_share: float


def nab_probation(n_samples: int) -> int:
    """Return how many samples at the start of a series the benchmark does not score."""
    return min(int(_PROBATION_SHARE * n_samples), _PROBATION_LIMIT)


def nab_score(
    scores: Sequence[npt.ArrayLike],
    windows: Sequence[Sequence[Interval]],
    threshold: float,
    *,
    profile: str = "standard",
) -> float:
    """Return the score of the Numenta Anomaly Benchmark at one threshold for all series.

    100 (S − S_null) / (S_perfect − S_null) with S the sum over the series (Lavin & Ahmad 2015, section IV).

    Parameters
    ----------
    scores : sequence of array-like, each of shape (n_samples,)
        Scores of each series, finite.
    windows : sequence of sequences of (first, last)
        The anomaly windows of each series, without overlap.
    threshold : float
        Alarm at and above this score.
    profile : str
        One of `NAB_COSTS`.

    Raises
    ------
    ParameterError
        If the profile is unknown, the numbers of series differ, there is no window at all, or a series is unusable.

    Examples
    --------
    >>> round(nab_score([[0, 0, 0, 0, 1, 0, 0, 0]], [[(4, 6)]], 0.5), 6)
    100.0
    """
    levels, gains, floor, ceiling = _gains(scores, windows, profile)
    return _normalised(float(gains[levels >= threshold].sum()) + floor, floor, ceiling)


def nab_best_threshold(
    scores: Sequence[npt.ArrayLike], windows: Sequence[Sequence[Interval]], *, profile: str = "standard"
) -> tuple[float, float]:
    """Return the best `nab_score` that any one threshold reaches, and the lowest such threshold.

    Every distinct score is tried; infinity stands for never alarming. Parameters and errors as for `nab_score`.
    """
    levels, gains, floor, ceiling = _gains(scores, windows, profile)
    order = np.argsort(-levels, kind="stable")
    total = np.cumsum(gains[order])
    last_of_level = np.append(np.flatnonzero(np.diff(levels[order])), len(order) - 1)
    best = last_of_level[len(last_of_level) - 1 - int(np.argmax(total[last_of_level][::-1]))]
    if total[best] <= 0.0:
        return 0.0, math.inf
    return _normalised(float(total[best]) + floor, floor, ceiling), float(levels[order][best])


def evaluate_events(
    true: Sequence[Interval], found: Sequence[Interval], *, n_samples: int, sample_period: float
) -> EventResult:
    """Compare found events with true ones.

    Parameters
    ----------
    true, found : sequence of (first, last)
        Events in samples.
    n_samples : int
        Length of the stream.
    sample_period : float
        Seconds from one sample to the next.

    Raises
    ------
    ParameterError
        If an event is not a pair first <= last inside the stream, or the period is not positive.

    Examples
    --------
    >>> evaluate_events([(10, 19)], [(12, 13), (50, 50)], n_samples=100, sample_period=2.0).median_delay
    4.0
    """
    if not sample_period > 0:
        raise ParameterError(f"sample_period is {sample_period}, but it is a number of seconds above 0")
    for name, events in (("true", true), ("found", found)):
        check_intervals(events, n_samples, name)
    touching = np.array([[a <= last and first <= b for first, last in found] for a, b in true], dtype=bool)
    touching = touching.reshape(len(true), len(found))
    detected, useful = touching.any(axis=1), touching.any(axis=0)
    delays = [
        max(0, min(first for (first, _), hit in zip(found, row, strict=True) if hit) - start)
        for (start, _), row in zip(true, touching, strict=True)
        if row.any()
    ]
    normal = ~_mask(true, n_samples)
    n_normal = int(normal.sum())
    n_false = len(found) - int(useful.sum())
    precision = float(useful.mean()) if found else 1.0
    recall = float(detected.mean()) if true else 1.0
    return EventResult(
        n_true=len(true),
        n_found=len(found),
        n_detected=int(detected.sum()),
        n_false=n_false,
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        median_delay=float(np.median(delays)) * sample_period if delays else math.nan,
        false_alarms_per_day=n_false / (n_normal * sample_period / 86400) if n_normal else math.nan,
        alarm_share=float(_mask(found, n_samples)[normal].mean()) if n_normal else math.nan,
    )


def realised_rates(neg_log10_p: npt.ArrayLike, nominal: Sequence[float] = (1e-2, 1e-3, 1e-4)) -> dict[float, float]:
    """Return for each nominal false-alarm rate the share of normal samples whose p-value is no larger.

    Parameters
    ----------
    neg_log10_p : array-like, shape (n_samples,)
        −log10 p of normal samples; NaN (nothing to score) is left out.
    nominal : sequence of float
        Rates between 0 and 1.

    Raises
    ------
    ParameterError
        If there is no score or a rate is not between 0 and 1.

    Examples
    --------
    >>> realised_rates([0.1, 0.2, 0.3, 2.0], nominal=[0.01])
    {0.01: 0.25}
    """
    scores = np.asarray(neg_log10_p, dtype=np.float64).ravel()
    scores = scores[~np.isnan(scores)]
    if not len(scores):
        raise ParameterError("there is no score in neg_log10_p; a rate needs at least one normal sample")
    if not all(0 < rate < 1 for rate in nominal):
        raise ParameterError(f"nominal is {list(nominal)}, but every rate must lie between 0 and 1")
    return {float(rate): float((scores >= -math.log10(rate)).mean()) for rate in nominal}


def _gains(
    scores: Sequence[npt.ArrayLike], windows: Sequence[Sequence[Interval]], profile: str
) -> tuple[Float64Array, Float64Array, float, float]:
    """Return the scored samples' levels, what lowering the threshold to each adds, and the totals of null and perfect.

    A sample in a window adds what it is worth beyond the best sample of that window with a higher score, so a sum
    over all samples at or above a threshold is the total at this threshold.
    """
    if profile not in NAB_COSTS:
        raise ParameterError(f"profile is {profile!r}, but known are {', '.join(NAB_COSTS)}")
    if len(scores) != len(windows):
        raise ParameterError(f"there are {len(scores)} series but {len(windows)} lists of windows; give one for each")
    n_windows = sum(map(len, windows))
    if not n_windows:
        raise ParameterError("there is no anomaly window in any series, so nothing can be detected")
    hit, false_alarm, miss = NAB_COSTS[profile]
    levels, gains = [], []
    for values, series_windows in zip(scores, windows, strict=True):
        series = check_series(values, "scores")
        gain = _sample_gains(series, series_windows, (hit, false_alarm, miss))
        start = nab_probation(len(series))
        levels.append(series[start:])
        gains.append(gain[start:])
    return np.concatenate(levels), np.concatenate(gains), -miss * n_windows, hit * n_windows


def _sample_gains(series: Float64Array, windows: Sequence[Interval], costs: tuple[float, float, float]) -> Float64Array:
    """Return what each sample of one series adds when the threshold is lowered to its score."""
    hit, false_alarm, miss = costs
    n, start = len(series), nab_probation(len(series))
    check_intervals(windows, n, "windows")
    gain = np.full(n, -false_alarm)
    for first, last in sorted(windows):
        after = np.arange(last + 1, n)
        gain[after] = false_alarm * _sigmoid((after - last) / max(last - first, 1))
    for first, last in sorted(windows):
        inside = np.arange(max(first, start), last + 1)
        worth = hit * _sigmoid(-(last - inside + 1) / (last - first + 1)) / _sigmoid(np.array([-1.0]))[0]
        order = np.lexsort((inside, -series[inside]))
        best = np.concatenate([[-miss], np.maximum(np.maximum.accumulate(worth[order]), -miss)])
        gain[inside[order]] = np.diff(best)
    return gain


def _sigmoid(position: Float64Array) -> Float64Array:
    """Return the benchmark's 2 / (1 + exp(5 y)) − 1, which it cuts to −1 far behind a window."""
    value = 2.0 / (1.0 + np.exp(_STEEPNESS * np.minimum(position, _FLAT_FROM))) - 1.0
    return np.where(position > _FLAT_FROM, -1.0, value)


def _normalised(total: float, floor: float, ceiling: float) -> float:
    """Return a total as per cent of the way from null to perfect."""
    return 100.0 * (total - floor) / (ceiling - floor)


def _mask(events: Sequence[Interval], n_samples: int) -> npt.NDArray[np.bool_]:
    """Return which samples belong to an event."""
    mask = np.zeros(n_samples, dtype=bool)
    for first, last in events:
        mask[first : last + 1] = True
    return mask


def check_series(values: npt.ArrayLike, name: str) -> Float64Array:
    """Return a non-empty finite float64 vector."""
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or not len(series) or not np.isfinite(series).all():
        raise ParameterError(
            f"{name} needs series of shape (n_samples,) with finite numbers, not one of {series.shape}"
        )
    return series


def check_intervals(events: Sequence[Interval], n_samples: int, name: str) -> None:
    """Refuse what is not a list of (first, last) inside the stream."""
    for first, last in events:
        if not 0 <= first <= last < n_samples:
            raise ParameterError(
                f"{name} holds the event ({first}, {last}), but events need 0 <= first <= last < {n_samples} samples"
            )
