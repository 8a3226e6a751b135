"""Intervals against scipy, against the spread of repeated experiments, and their edges."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binomtest, norm

from gmmaudio.errors import ParameterError
from gmmaudio.metrics import bootstrap_interval, cllr, eer, proportion_interval

ROUNDING = 1e-12


def mean_target_score(scores, is_target):
    """A measure whose spread is known."""
    return float(scores[is_target].mean())


def many_trials(seed=0, n_trials=400):
    is_target = np.arange(n_trials) % 2 == 0
    return np.random.default_rng(seed).standard_normal(n_trials) + 2 * is_target, is_target


@pytest.mark.parametrize(("n_successes", "n_trials"), [(0, 1), (1, 1), (0, 50), (3, 50), (50, 50), (299, 300)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_proportion_interval_equals_wilson_of_scipy(n_successes, n_trials, confidence):
    expected = binomtest(n_successes, n_trials).proportion_ci(confidence, method="wilson")
    ours = proportion_interval(n_successes, n_trials, confidence=confidence)
    assert_allclose(ours, [expected.low, expected.high], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    ("n_successes", "n_trials", "confidence", "message"),
    [
        (3, 2, 0.95, "n_successes is 3"),
        (-1, 2, 0.95, "n_successes is -1"),
        (0, 0, 0.95, "n_trials is 0"),
        (1, 2, 1.0, "confidence is 1.0"),
        (1, 2, 95, "confidence is 95"),
    ],
)
def test_unusable_proportion_is_refused(n_successes, n_trials, confidence, message):
    with pytest.raises(ParameterError, match=message):
        proportion_interval(n_successes, n_trials, confidence=confidence)


def test_bootstrap_interval_of_a_mean_is_the_normal_one():
    scores, is_target = many_trials()
    targets = scores[is_target]
    expected = norm.interval(0.9, targets.mean(), targets.std() / math.sqrt(len(targets)))
    interval = bootstrap_interval(
        mean_target_score, scores, is_target, n_resamples=4000, confidence=0.9, random_state=0
    )
    # The quantiles of 4000 draws scatter by about 0.03 standard errors of 0.07.
    assert_allclose(interval, expected, rtol=0, atol=0.01)


def test_bootstrap_interval_covers_the_truth_as_often_as_it_says():
    truth, covered, n_experiments = float(norm.cdf(-1.0)), 0, 100
    for seed in range(n_experiments):
        scores, is_target = many_trials(seed, n_trials=200)
        low, high = bootstrap_interval(eer, scores, is_target, n_resamples=200, confidence=0.9, random_state=seed)
        covered += low <= truth <= high
    # 90 of 100 expected, standard error 3; the percentile bootstrap of an EER is known to be a little off.
    assert 80 <= covered <= 99


def test_bootstrap_interval_widens_by_the_square_root_of_how_often_trials_are_repeated():
    scores, is_target = many_trials()
    copies = 9
    repeated, labels = np.tile(scores, copies), np.tile(is_target, copies)
    speakers = np.tile(np.arange(len(scores)), copies)
    by_trial = bootstrap_interval(cllr, repeated, labels, n_resamples=1000, random_state=0)
    by_speaker = bootstrap_interval(cllr, repeated, labels, speakers, n_resamples=1000, random_state=0)
    # Widths of 1000 draws scatter by some per cent.
    assert_allclose(np.diff(by_speaker) / np.diff(by_trial), math.sqrt(copies), rtol=0.15)


def test_bootstrap_interval_by_speaker_does_not_see_that_trials_are_repeated():
    scores, is_target = many_trials()
    repeated, labels, speakers = np.repeat(scores, 2), np.repeat(is_target, 2), np.repeat(np.arange(len(scores)), 2)
    once = bootstrap_interval(cllr, scores, is_target, np.arange(len(scores)), n_resamples=50, random_state=0)
    twice = bootstrap_interval(cllr, repeated, labels, speakers, n_resamples=50, random_state=0)
    assert_allclose(twice, once, rtol=ROUNDING)


def test_bootstrap_interval_is_the_same_for_the_same_seed():
    trials = many_trials()
    first, second = (bootstrap_interval(eer, *trials, n_resamples=20, random_state=7) for _ in range(2))
    assert first == second


def test_bootstrap_interval_takes_names_as_groups():
    interval = bootstrap_interval(
        eer, [2.0, 1.0, 3.0, 0.0], [True, False, True, False], ["anna", "anna", "bruno", "bruno"], random_state=0
    )
    assert interval == (0.0, 0.0)


def test_bootstrap_interval_draws_again_when_one_kind_of_trial_is_missing():
    # One speaker has all the targets: of 4 draws with replacement, only those that hold both can be measured.
    interval = bootstrap_interval(eer, [1.0, 0.0], [True, False], n_resamples=50, random_state=0)
    assert interval == (0.0, 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": [0, 0, 0, 0]}, "one group only"),
        ({"groups": [0, 1]}, r"groups has shape \(2,\)"),
        ({"n_resamples": 0}, "n_resamples is 0"),
        ({"confidence": 0.0}, "confidence is 0.0"),
    ],
)
def test_unusable_bootstrap_options_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        bootstrap_interval(eer, [1.0, 0.0, 2.0, 1.0], [True, False, True, False], **options)
