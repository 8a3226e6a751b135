"""Samples whose time does not go forward."""

import json
import math

import numpy as np

from gmmaudio.anomaly.ordering import SET_BACK, TimeOrder


def judged(times, values=None):
    order = TimeOrder()
    values = range(len(times)) if values is None else values
    return [order.judge(float(time), np.array([float(value)])) for time, value in zip(times, values, strict=True)]


def test_a_late_sample_is_left_out_and_the_next_one_taken():
    assert judged([10, 20, 15, 30]) == ["", "", "backwards", ""]


def test_the_same_sample_twice_is_taken_once():
    assert judged([10, 10, 20], values=[1, 1, 1]) == ["", "repeated", ""]


def test_a_missing_value_does_not_hide_a_repetition():
    assert judged([10, 10], values=[math.nan, math.nan]) == ["", "repeated"]


def test_two_values_at_one_time_are_both_taken():
    assert judged([10, 10, 20]) == ["", "same_time", ""]


def test_a_clock_that_was_set_back_is_believed_after_some_samples():
    times = [1000, *range(10, 10 + SET_BACK), 20]
    assert judged(times) == ["", *["backwards"] * (SET_BACK - 1), "clock_set_back", ""]


def test_one_stamp_far_ahead_does_not_lock_the_stream_out():
    assert judged([1, 2, 1e9, *range(3, 13)]).count("backwards") == SET_BACK - 1


def test_late_samples_in_no_order_are_never_believed():
    assert set(judged([1000, *[30, 20] * SET_BACK])[1:]) == {"backwards"}


def test_samples_without_a_time_are_taken_as_they_come():
    assert judged([10, math.nan, 5]) == ["", "", "backwards"]


def test_the_memory_goes_through_json():
    order = TimeOrder()
    for time in (10.1, 20.3, 15.0):
        order.judge(time, np.array([0.1, math.nan]))
    copy = TimeOrder.from_json(json.loads(json.dumps(order.to_json(), allow_nan=False)))
    assert [copy.judge(t, np.array([0.1, math.nan])) for t in (16.0, 20.3)] == ["backwards", "repeated"]
    assert copy.n_late == 2
