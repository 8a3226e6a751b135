"""The volume under the precision-recall surface against its definition, sample by sample."""

import math

import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.metrics import vus_pr

ROUNDING = 1e-9  # sums of a few hundred numbers of order one


def soft_label(i, events, shoulder):
    """What a sample counts of an anomaly."""
    total = 0.0
    for first, last in events:
        if first <= i <= last:
            total += 1.0
        else:
            distance = first - i if i < first else i - last
            if distance <= shoulder // 2:
                total += math.sqrt(1 - distance / shoulder)
    return min(total, 1.0)


def by_definition(scores, events, longest, trapezoids):
    """Every threshold and every sample in a loop."""
    n, areas = len(scores), []
    for shoulder in range(longest + 1):
        labels = [soft_label(i, events, shoulder) for i in range(n)]
        n_hard = sum(last - first + 1 for first, last in events)
        groups = []  # of samples, each an event with its shoulders
        for first, last in events:
            members = set(range(max(0, first - shoulder // 2), min(n, last + shoulder // 2 + 1)))
            if groups and members & groups[-1]:
                groups[-1] |= members
            else:
                groups.append(members)
        curve = []
        for threshold in sorted(set(scores), reverse=True):
            found = {i for i in range(n) if scores[i] >= threshold}
            hits = sum(labels[i] for i in found)
            touched = sum(1 for group in groups if group & found) / len(groups)
            recall = min(1.0, hits / ((n_hard + sum(labels)) / 2)) * touched
            curve.append((recall, hits / len(found)))
        previous = (0.0, curve[0][1])
        area = 0.0
        for recall, precision in curve:
            area += (recall - previous[0]) * ((precision + previous[1]) / 2 if trapezoids else precision)
            previous = (recall, precision)
        areas.append(area)
    return sum(areas) / len(areas)


@pytest.mark.parametrize("events", [[(10, 19)], [(0, 3), (30, 30), (34, 50)], [(55, 59)], [(5, 9), (11, 12)]])
@pytest.mark.parametrize("longest", [0, 1, 7])
@pytest.mark.parametrize("decimals", [1, 6])
@pytest.mark.parametrize("trapezoids", [False, True])
def test_it_is_the_definition(events, longest, decimals, trapezoids):
    scores = np.round(np.random.default_rng(len(events)).random(60), decimals)
    expected = by_definition(scores.tolist(), events, longest, trapezoids)
    found = vus_pr(scores, events, longest_shoulder=longest, trapezoids=trapezoids)
    assert found == pytest.approx(expected, abs=ROUNDING)


def test_without_shoulders_a_perfect_score_gets_one():
    scores = np.zeros(50)
    scores[[10, 11, 30]] = 1.0
    assert vus_pr(scores, [(10, 11), (30, 30)], longest_shoulder=0) == 1.0


def test_a_constant_score_gets_the_share_of_anomalies():
    assert vus_pr(np.ones(200), [(50, 69)], longest_shoulder=0) == pytest.approx(0.1, abs=ROUNDING)


def test_an_alarm_that_is_rare_and_right_earns_no_more_than_its_recall():
    scores = np.zeros(1000)
    scores[100] = 1.0
    assert vus_pr(scores, [(100, 109), (500, 509)], longest_shoulder=0) < 0.05
    assert vus_pr(scores, [(100, 109), (500, 509)], longest_shoulder=0, trapezoids=True) > 0.5


def test_only_the_order_of_scores_matters():
    scores = np.random.default_rng(0).normal(size=200)
    assert vus_pr(np.exp(scores), [(50, 69)], longest_shoulder=8) == vus_pr(scores, [(50, 69)], longest_shoulder=8)


def test_a_score_that_is_late_by_less_than_a_shoulder_loses_less_than_one_that_is_nowhere_near():
    late, far = np.zeros(300), np.zeros(300)
    late[103:113], far[200:210] = 1.0, 1.0
    assert vus_pr(late, [(100, 109)], longest_shoulder=20) > 2 * vus_pr(far, [(100, 109)], longest_shoulder=20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], [], 0), "events is empty"),
        (([math.nan], [(0, 0)], 0), "finite"),
        (([1.0], [(0, 1)], 0), "first <= last < 1"),
        (([1.0], [(0, 0)], -1), "from 0 on"),
    ],
)
def test_unusable_arguments_are_refused(arguments, message):
    scores, events, longest = arguments
    with pytest.raises(ParameterError, match=message):
        vus_pr(scores, events, longest_shoulder=longest)
