"""Events by hand."""

import numpy as np
import pytest

from gmmaudio.anomaly import EventRule, alarm_probability, find_events, running_peaks
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
