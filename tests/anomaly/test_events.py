"""Events by hand."""

import numpy as np
import pytest

from gmmaudio.anomaly import AnomalyDetector, EventRule, alarm_probability, event_rates, find_events, running_peaks
from gmmaudio.errors import ParameterError


def spans(scores, **rule):
    """Start, end and peak of the events of a stream (levels 4 and 2), the open one at its end included."""
    events = find_events(scores, EventRule(alarm_p=1e-4, leave_p=1e-2, **rule))
    return [(e.start, e.end, e.peak, e.state) for e in events]


def test_an_event_goes_on_above_the_leaving_level():
    assert spans([0, 3, 5, 3, 6, 2, 0, 0, 3], merge_gap=0) == [(2, 5, 4, "closed")]


def test_a_dip_of_the_merge_gap_does_not_end_it_and_a_longer_one_does():
    assert spans([5, 0, 0, 5, 0, 0, 0, 5, 0], merge_gap=2) == [(0, 3, 0, "closed"), (7, 7, 7, "open")]


def test_a_shorter_one_than_the_least_duration_is_not_told():
    assert spans([5, 0, 0, 5, 5, 5, 0], merge_gap=0, min_duration=3) == [(3, 5, 3, "closed")]


def test_none_begins_in_the_refractory_period():
    assert spans([5, 0, 5, 0, 5, 0], merge_gap=0, refractory=3) == [(0, 0, 0, "closed"), (4, 4, 4, "closed")]


def test_channels_are_told_by_their_part_in_the_whole_event():
    parts = [[4.0, 1.0, 0.0], [1.0, 5.0, 0.0], [0.0, 0.0, 9.0]]
    assert find_events([5.0, 6.0, 0.0], EventRule(merge_gap=0), contributions=parts)[0].channels == (1, 0)


def test_running_peaks_equal_a_look_at_every_window():
    scores = np.random.default_rng(0).integers(0, 9, size=300).astype(float)
    expected = [s if s > max(scores[max(0, i - 7) : i], default=-1) else 0.0 for i, s in enumerate(scores)]
    assert running_peaks(scores, 7).tolist() == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: EventRule(alarm_p=0.1, leave_p=0.01), "alarm_p <= leave_p"),
        (lambda: EventRule(min_duration=0), "min_duration is 0"),
        (lambda: find_events([np.nan], EventRule()), "without NaN"),
        (lambda: find_events([1.0], EventRule(), contributions=[[1.0]] * 2), r"\(1, n_channels\)"),
        (lambda: alarm_probability(0, 1), "above 0"),
        (lambda: alarm_probability(100, 3600), "24 samples"),
    ],
)
def test_unusable_arguments_are_refused_with_a_reason(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_event_rates_are_counted_by_the_rule_itself():
    scores = -np.log10(np.random.default_rng(0).random(20_000))
    rule = EventRule(merge_gap=2, min_duration=2)
    for p, rate in event_rates(scores, rule).items():
        found = find_events(scores, EventRule(alarm_p=p, leave_p=max(p, 1e-2), merge_gap=2, min_duration=2))
        assert rate == len(found) / len(scores)


def test_event_rates_stop_where_there_are_fewer_than_five_events():
    scores = -np.log10(np.random.default_rng(0).random(1000))
    assert 1e-4 not in event_rates(scores, EventRule())
    assert event_rates(np.zeros(100), EventRule()) == {}


def test_rarer_events_than_were_counted_are_in_proportion():
    rates = {1e-2: 2e-3, 1e-3: 1e-3}
    per_day = 86400 * 1e-4  # a tenth of the rate at 1e-3
    assert alarm_probability(per_day, 1.0, event_rates=rates) == pytest.approx(1e-4)


def test_as_many_events_come_as_were_asked_for_although_alarms_come_in_clusters():
    def stream(n, seed):
        noise = np.random.default_rng(seed).normal(size=n)
        for t in range(1, n):
            noise[t] += 0.95 * noise[t - 1]
        return noise

    detector = AnomalyDetector(rule=EventRule(merge_gap=10)).fit(stream(20_000, 0))
    detector.set_false_alarms(5.0, sample_period=86.4)  # a thousand samples a day
    block = detector.process(stream(40_000, 1))
    assert 100 < len(block.events) < 400  # 200 are asked for
    assert detector.rule.alarm_p > 5e-3  # what it would be if every sample were an event
