"""Scores of detectors: hand-computed cases, an explicit walk through the benchmark's rules, and known figures."""

import csv
import json
import math

import numpy as np
import pytest
import scipy.stats

from gmmaudio.errors import ParameterError
from gmmaudio.metrics import (
    NAB_COSTS,
    detection_controls,
    evaluate_events,
    nab_best_threshold,
    nab_probation,
    nab_score,
    realised_rates,
)

ROUNDING = 1e-9  # sums of a few hundred numbers of order one
PUBLISHED = 0.05  # the figure is known to one decimal


def sigmoid(y):
    return -1.0 if y > 3 else 2 / (1 + math.exp(5 * y)) - 1


def walked_score(scores, windows, threshold, costs):
    """Every sample in turn, as the benchmark's description reads."""
    hit, false_alarm, miss = costs
    total = 0.0
    for series, series_windows in zip(scores, windows, strict=True):
        best = {}
        for i in range(min(int(0.15 * len(series)), 750), len(series)):
            if series[i] < threshold:
                continue
            inside = [w for w in series_windows if w[0] <= i <= w[1]]
            before = [w for w in series_windows if w[1] < i]
            if inside:
                first, last = inside[0]
                worth = sigmoid(-(last - i + 1) / (last - first + 1)) / sigmoid(-1)
                best[inside[0]] = max(worth, best.get(inside[0], -9))
            elif before:
                first, last = max(before)
                total += false_alarm * sigmoid((i - last) / max(last - first, 1))
            else:
                total -= false_alarm
        total += sum(hit * best[w] if w in best else -miss for w in series_windows)
    n = sum(map(len, windows))
    return 100 * (total + miss * n) / ((hit + miss) * n)


@pytest.fixture(scope="module")
def streams():
    rng = np.random.default_rng(0)
    scores = [np.round(rng.random(n), 2) for n in (200, 331, 60)]
    return scores, [[(50, 70), (100, 100), (150, 199)], [], [(5, 12), (30, 40)]]


@pytest.mark.parametrize("profile", NAB_COSTS)
@pytest.mark.parametrize("threshold", [0.2, 0.9, 0.98, 1.5])
def test_nab_score_equals_a_walk_through_every_sample(streams, profile, threshold):
    expected = walked_score(*streams, threshold, NAB_COSTS[profile])
    assert nab_score(*streams, threshold, profile=profile) == pytest.approx(expected, abs=ROUNDING)


def test_nab_best_threshold_equals_trying_every_threshold(streams):
    tried = [walked_score(*streams, t, NAB_COSTS["reward_low_fn"]) for t in np.unique(np.concatenate(streams[0]))]
    assert nab_best_threshold(*streams, profile="reward_low_fn")[0] == pytest.approx(max(*tried, 0.0), abs=ROUNDING)


def test_nab_best_threshold_reaches_the_score_that_it_states(streams):
    score, threshold = nab_best_threshold(*streams, profile="reward_low_fn")
    assert nab_score(*streams, threshold, profile="reward_low_fn") == pytest.approx(score, abs=ROUNDING)


def test_nab_false_alarm_before_any_window_costs_its_full_weight():
    scores = np.zeros(100)
    scores[20] = 1
    assert nab_score([scores], [[(50, 59)]], 0.5) == pytest.approx(100 * -0.11 / 2, abs=ROUNDING)


def test_nab_alarm_in_probation_is_not_scored():
    scores = np.zeros(100)
    scores[14] = 1
    assert nab_score([scores], [[(50, 59)]], 0.5) == 0.0


def test_nab_probation_is_at_most_750_samples():
    assert [nab_probation(n) for n in (100, 5000, 100_000)] == [15, 750, 750]


def load_nab(folder):
    """Values and windows of every series."""
    values, windows = [], []
    for name, marked in json.loads((folder / "labels" / "combined_windows.json").read_text()).items():
        with (folder / "data" / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        times = np.array([row["timestamp"].replace(" ", "T") for row in rows], dtype="datetime64[us]")
        values.append(np.array([float(row["value"]) for row in rows]))
        edges = np.array([[edge.replace(" ", "T") for edge in pair] for pair in marked], dtype="datetime64[us]")
        edges = edges.reshape(-1, 2)
        first, last = np.searchsorted(times, edges[:, 0]), np.searchsorted(times, edges[:, 1], side="right") - 1
        windows.append([(int(a), int(b)) for a, b in zip(first, last, strict=True)])
    return values, windows


def test_running_range_rule_scores_50_8_on_nab(shared_data):
    values, windows = load_nab(shared_data / "nab")
    scores = [detection_controls(series)["running range"] for series in values]
    assert nab_score(scores, windows, 0.5) == pytest.approx(50.8, abs=PUBLISHED)


def test_running_range_rule_by_hand():
    values = [0.0, 10.0, 10.4, 10.6, 11.2, -1.0]
    # Ranges before each: 10 -> margin 0.5; 10.4 -> 0.52; 10.6 -> 0.53; 11.2 -> 0.56. The first value has no range.
    assert detection_controls(values)["running range"].tolist() == [0, 1, 0, 0, 1, 1]


def test_clock_alarms_twenty_times_whatever_the_values():
    assert detection_controls(np.arange(1000.0))["clock"].sum() == 20


def test_flag_all_beats_no_window_detector_on_a_long_series():
    scores = detection_controls(np.zeros(5000))["flag all"]
    assert nab_score([scores], [[(3000, 3100)]], 0.5) < 0


def test_event_measures_by_hand():
    true, found = [(10, 19), (40, 49), (80, 89)], [(8, 9), (12, 14), (15, 30), (49, 52), (60, 61)]
    result = evaluate_events(true, found, n_samples=130, sample_period=864.0)
    assert (result.n_detected, result.n_false) == (2, 2)
    assert result.precision == pytest.approx(3 / 5)
    assert result.recall == pytest.approx(2 / 3)
    assert result.f1 == pytest.approx(2 * 0.6 * (2 / 3) / (0.6 + 2 / 3))
    assert result.median_delay == pytest.approx(864.0 * (2 + 9) / 2)
    assert result.false_alarms_per_day == pytest.approx(2.0)  # 100 normal samples of 864 s are one day


def test_event_that_begins_before_the_true_one_has_no_delay():
    assert evaluate_events([(10, 19)], [(5, 12)], n_samples=30, sample_period=1.0).median_delay == 0.0


def test_no_events_anywhere_is_perfect_and_has_no_delay():
    result = evaluate_events([], [], n_samples=30, sample_period=1.0)
    assert result.f1 == 1.0
    assert math.isnan(result.median_delay)


def test_missing_every_event_gives_no_f1():
    assert evaluate_events([(3, 4)], [(8, 9)], n_samples=30, sample_period=1.0).f1 == 0.0


def test_realised_rates_of_true_p_values_are_nominal():
    n = 10_000
    p = (np.arange(n) + 0.5) / n
    assert realised_rates(-np.log10(p)) == pytest.approx({1e-2: 1e-2, 1e-3: 1e-3, 1e-4: 1e-4})


def test_realised_rates_leave_out_what_was_not_scored():
    assert realised_rates([np.nan, 3.0, 1.0], nominal=[0.01]) == {0.01: 0.5}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nab_score([[0.0]], [[(0, 0)]], 1, profile="x"), "known are standard"),
        (lambda: nab_score([[0.0]], [], 1), "1 series but 0"),
        (lambda: nab_score([[0.0]], [[]], 1), "no anomaly window"),
        (lambda: nab_score([[math.nan]], [[(0, 0)]], 1), "finite"),
        (lambda: nab_score([[0.0]], [[(0, 1)]], 1), "first <= last < 1"),
        (lambda: evaluate_events([(2, 1)], [], n_samples=5, sample_period=1.0), "true holds"),
        (lambda: evaluate_events([], [], n_samples=5, sample_period=0.0), "sample_period is 0"),
        (lambda: realised_rates([]), "no score"),
        (lambda: realised_rates([1.0], nominal=[2.0]), "between 0 and 1"),
    ],
)
def test_unusable_arguments_are_refused_with_a_reason(call, message):
    with pytest.raises(ParameterError, match=message):
        call()


def test_windowed_gaussian_equals_a_window_in_a_loop():
    values = 1e6 + np.random.default_rng(0).normal(size=60)
    expected = [0.0, 0.0]
    for i in range(2, 60):
        past = values[max(0, i - 20) : i]
        expected.append(-math.log10(2 * scipy.stats.norm.sf(abs(values[i] - past.mean()) / past.std())))
    found = detection_controls(values, gaussian_window=20)["windowed Gaussian"]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)  # differences at an offset of 1e6


@pytest.mark.parametrize("values", [[1.0], [1.0, 1.0], [5.0] * 10, [0.0, 0.0, 1e100, 0.0]])
def test_windowed_gaussian_is_finite_on_short_and_constant_series(values):
    assert np.isfinite(detection_controls(values)["windowed Gaussian"]).all()


def test_share_of_time_in_alarm_by_hand():
    result = evaluate_events([(10, 19)], [(15, 39)], n_samples=110, sample_period=1.0)
    assert result.alarm_share == pytest.approx(20 / 100)
