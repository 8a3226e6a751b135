"""How many events normal data give at which p-value, and the p-value for so many a day."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from gmmaudio.anomaly.events import EventRule, find_events
from gmmaudio.errors import ParameterError

_RATE_PROBABILITIES = (0.1, 0.05, 0.02, 0.01, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 1e-5, 1e-6)
_ENOUGH_EVENTS = 5


def alarm_probability(
    false_alarms_per_day: float, sample_period: float, *, event_rates: Mapping[float, float] | None = None
) -> float:
    """Return the p-value at which normal samples give so many events a day.

    Parameters
    ----------
    false_alarms_per_day : float
        How many are acceptable.
    sample_period : float
        Seconds from one sample to the next.
    event_rates : mapping of float to float, optional
        Events for each sample at some p-values (see `event_rates`). Without it single samples are counted, which are
        more than the events, since what is strange for long is one event.

    Raises
    ------
    ParameterError
        If a number is not positive, or the samples of a day are too few.

    Examples
    --------
    >>> alarm_probability(1, sample_period=86.4)
    0.001
    >>> four_to_an_event = {1e-3: 2.5e-4, 1e-2: 2.5e-3}
    >>> round(alarm_probability(1, sample_period=86.4, event_rates=four_to_an_event), 6)
    0.004
    """
    if not (false_alarms_per_day > 0 and sample_period > 0):
        raise ParameterError(
            f"false_alarms_per_day is {false_alarms_per_day} and sample_period {sample_period}; both must be above 0"
        )
    wanted = false_alarms_per_day * sample_period / 86400
    p = wanted if not event_rates else _p_of_rate(wanted, event_rates)
    if p >= 1:
        raise ParameterError(f"{false_alarms_per_day} alarms a day are more than its {86400 / sample_period:g} samples")
    return p


def event_rates(scores: npt.ArrayLike, rule: EventRule) -> dict[float, float]:
    """Return how many events a rule makes of normal samples, for each sample, at p-values from 0.1 down.

    A rate over its p-value is the runs estimate of the extremal index (Coles 2001, section 5.3.3: clusters over
    exceedances), with the clusters that the rule makes. p-values that give fewer than five events are left out.

    Parameters
    ----------
    scores : array-like, shape (n_samples,)
        −log10 p of normal samples that the detector was not trained on; NaN counts as 0.
    rule : EventRule
        What makes an event; its `alarm_p` is not used.

    Examples
    --------
    >>> scores = np.zeros(1000)
    >>> scores[::100], scores[1::100] = 1.5, 1.5  # ten times two samples in a row
    >>> event_rates(scores, EventRule(merge_gap=0))
    {0.1: 0.01, 0.05: 0.01}
    """
    values = np.nan_to_num(np.asarray(scores, dtype=np.float64))
    rates: dict[float, float] = {}
    for p in _RATE_PROBABILITIES:
        events = find_events(values, replace(rule, alarm_p=p, leave_p=max(p, rule.leave_p)))
        if len(events) < _ENOUGH_EVENTS:
            break
        rates[p] = len(events) / len(values)
    return rates


def _p_of_rate(wanted: float, rates: Mapping[float, float]) -> float:
    """Return the p-value of a rate of events: interpolated between logarithms, in proportion outside."""
    ordered = sorted(rates)
    levels = np.maximum.accumulate([rates[p] for p in ordered])
    if wanted <= levels[0]:
        return float(ordered[0] * wanted / levels[0])
    if wanted >= levels[-1]:
        return float(ordered[-1] * wanted / levels[-1])
    return float(np.exp(np.interp(np.log(wanted), np.log(levels), np.log(ordered))))
