"""Verification measures against counting in loops, scikit-learn, hand calculation and Gaussian theory."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtr
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_curve

from gmmaudio.errors import ParameterError
from gmmaudio.metrics import VerificationResult, act_dcf, cllr, det_curve, eer, evaluate, min_cllr, min_dcf

ROUNDING = 1e-12  # the same sums in another order
CLIPPING = 1e-9  # scikit-learn's log loss cannot take probabilities of exactly 0 and 1

# Scores from a small set of integers: ties within and between the kinds are the rule.
trials = st.integers(2, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(-4, 4), min_size=n, max_size=n),
        st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda labels: 0 < sum(labels) < len(labels)),
    )
)
costs = st.tuples(st.floats(0.01, 0.99), st.floats(0.1, 10.0), st.floats(0.1, 10.0))


def gaussian_trials(d_prime, n_trials, seed):
    """Two unit Gaussians whose scores are their own log-likelihood ratios: means -d'²/2 and d'²/2."""
    is_target = np.arange(n_trials) % 2 == 0
    noise = np.random.default_rng(seed).standard_normal(n_trials)
    return d_prime * noise + np.where(is_target, 1, -1) * d_prime**2 / 2, is_target


def count_rates(scores, is_target, threshold):
    """Misses and false acceptances at one threshold, counted trial by trial."""
    misses = sum(1 for score, target in zip(scores, is_target, strict=True) if target and not score >= threshold)
    accepted = sum(1 for score, target in zip(scores, is_target, strict=True) if not target and score >= threshold)
    return misses / sum(is_target), accepted / (len(is_target) - sum(is_target))


def counted_curve(scores, is_target):
    return [count_rates(scores, is_target, threshold) for threshold in [*sorted(set(scores)), math.inf]]


@given(trials)
def test_det_curve_equals_counting_at_every_threshold(given_trials):
    p_miss, p_fa, thresholds = det_curve(*given_trials)
    counted = [count_rates(*given_trials, threshold) for threshold in thresholds]
    assert_array_equal(np.column_stack([p_miss, p_fa]), counted)


@given(trials)
def test_det_curve_has_a_threshold_for_each_distinct_score_and_infinity(given_trials):
    assert det_curve(*given_trials)[2].tolist() == [*sorted(set(given_trials[0])), math.inf]


def test_det_curve_equals_roc_curve_of_scikit_learn():
    scores, is_target = gaussian_trials(1.5, 500, seed=0)
    p_miss, p_fa, thresholds = det_curve(scores, is_target)
    fpr, tpr, roc_thresholds = roc_curve(is_target, scores, drop_intermediate=False)
    ours, theirs = np.array([thresholds, p_fa, 1 - p_miss]), np.array([roc_thresholds, fpr, tpr])[:, ::-1]
    assert_allclose(ours, theirs, rtol=0, atol=ROUNDING)


@given(trials)
def test_eer_is_where_the_joined_operating_points_cross_the_diagonal(given_trials):
    points = counted_curve(*given_trials)
    crossings = []
    for (miss, fa), (next_miss, next_fa) in itertools.pairwise(points):
        if miss <= fa and next_miss >= next_fa:
            fraction = (fa - miss) / ((fa - miss) + (next_miss - next_fa)) if fa > miss else 0.0
            crossings.append(miss + fraction * (next_miss - miss))
    assert_allclose(eer(*given_trials), crossings, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("d_prime", [0.5, 1.0, 2.0, 3.0])
def test_eer_of_two_gaussians_is_the_normal_tail_at_half_their_distance(d_prime):
    n_trials = 200_000
    expected = ndtr(-d_prime / 2)
    standard_error = math.sqrt(expected * (1 - expected) / n_trials)
    assert_allclose(eer(*gaussian_trials(d_prime, n_trials, seed=1)), expected, rtol=0, atol=4 * standard_error)


@pytest.mark.parametrize(
    ("target_scores", "nontarget_scores", "expected"),
    [
        ([1.0, 2.0], [-1.0, 0.0], 0.0),
        ([-1.0, 0.0], [1.0, 2.0], 1.0),
        ([5.0, 5.0], [5.0, 5.0, 5.0], 0.5),  # one threshold rejects all, the next accepts all: half-way
        ([0.0, 2.0, 2.0, 2.0], [1.0, -1.0, -1.0, -1.0], 0.25),
        ([0.0, 2.0], [1.0, -1.0, -1.0, -1.0], 0.25),  # flat piece at p_fa = 1/4 from p_miss 0 to 1/2
    ],
    ids=["separated", "reversed", "all tied", "one error of four each", "unequal numbers"],
)
def test_eer_of_trials_worked_out_by_hand(target_scores, nontarget_scores, expected):
    labels = [True] * len(target_scores) + [False] * len(nontarget_scores)
    assert eer(target_scores + nontarget_scores, labels) == expected


@given(trials)
def test_eer_of_negated_scores_and_labels_is_the_same(given_trials):
    scores, is_target = map(np.array, given_trials)
    assert_allclose(eer(-scores, ~is_target), eer(scores, is_target), rtol=0, atol=ROUNDING)


@given(trials, costs)
def test_min_dcf_equals_the_least_counted_cost_over_that_of_not_listening(given_trials, priors_and_costs):
    p_target, c_miss, c_fa = priors_and_costs
    weight_miss, weight_fa = c_miss * p_target, c_fa * (1 - p_target)
    counted = [weight_miss * miss + weight_fa * fa for miss, fa in counted_curve(*given_trials)]
    result = min_dcf(*given_trials, p_target=p_target, c_miss=c_miss, c_fa=c_fa)
    assert_allclose(result, min(counted) / min(weight_miss, weight_fa), rtol=ROUNDING)


@given(trials, costs)
def test_act_dcf_equals_the_counted_cost_at_the_threshold_of_bayes(given_trials, priors_and_costs):
    p_target, c_miss, c_fa = priors_and_costs
    weight_miss, weight_fa = c_miss * p_target, c_fa * (1 - p_target)
    miss, fa = count_rates(*given_trials, math.log(weight_fa / weight_miss))
    result = act_dcf(*given_trials, p_target=p_target, c_miss=c_miss, c_fa=c_fa)
    expected = (weight_miss * miss + weight_fa * fa) / min(weight_miss, weight_fa)
    assert_allclose(result, expected, rtol=ROUNDING, atol=ROUNDING)


def test_act_dcf_accepts_a_score_that_equals_the_threshold():
    assert act_dcf([0.0, -1.0], [True, False], p_target=0.5) == 0.0


@given(trials, costs)
def test_act_dcf_is_not_below_min_dcf(given_trials, priors_and_costs):
    options = dict(zip(("p_target", "c_miss", "c_fa"), priors_and_costs, strict=True))
    assert act_dcf(*given_trials, **options) >= min_dcf(*given_trials, **options) - ROUNDING


@given(trials)
def test_cllr_equals_the_sum_over_trials_written_out(given_trials):
    scores, is_target = given_trials
    miss = [math.log2(1 + math.exp(-s)) for s, target in zip(scores, is_target, strict=True) if target]
    fa = [math.log2(1 + math.exp(s)) for s, target in zip(scores, is_target, strict=True) if not target]
    assert_allclose(cllr(scores, is_target), (sum(miss) / len(miss) + sum(fa) / len(fa)) / 2, rtol=ROUNDING)


def test_cllr_of_very_wrong_scores_does_not_overflow():
    assert_allclose(cllr([-1e5, 1e5], [True, False]), 1e5 / math.log(2), rtol=ROUNDING)


@given(trials)
@settings(max_examples=50)
def test_min_cllr_equals_cllr_after_isotonic_regression_of_scikit_learn(given_trials):
    scores, is_target = np.array(given_trials[0], dtype=float), np.array(given_trials[1])
    weights = np.where(is_target, 1 / is_target.sum(), 1 / (~is_target).sum())
    posterior = IsotonicRegression().fit(scores, is_target, sample_weight=weights).predict(scores)
    posterior = np.clip(posterior, CLIPPING / 100, 1 - CLIPPING / 100)
    expected = cllr(np.log(posterior / (1 - posterior)), is_target)
    assert_allclose(min_cllr(scores, is_target), expected, rtol=0, atol=CLIPPING)


@given(trials)
def test_min_cllr_is_not_above_cllr_nor_above_one(given_trials):
    assert 0 <= min_cllr(*given_trials) <= min(1.0, cllr(*given_trials)) + ROUNDING


def test_min_cllr_of_calibrated_scores_is_nearly_their_cllr():
    scores, is_target = gaussian_trials(2.0, 100_000, seed=2)
    # Isotonic regression overfits n trials by an order of n^(-2/3), here 5e-4.
    assert_allclose(min_cllr(scores, is_target), cllr(scores, is_target), rtol=0, atol=2e-3)


@pytest.mark.parametrize("measure", [eer, min_dcf, min_cllr])
def test_measure_of_discrimination_does_not_change_under_an_increasing_map(measure):
    scores, is_target = gaussian_trials(1.0, 300, seed=3)
    assert measure(np.exp(scores / 2), is_target) == measure(scores, is_target)


@pytest.mark.parametrize("measure", [eer, min_dcf, act_dcf, cllr, min_cllr])
def test_measure_does_not_depend_on_the_order_of_the_trials(measure):
    scores, is_target = gaussian_trials(1.0, 300, seed=4)
    order = np.random.default_rng(5).permutation(300)
    rounded = np.round(scores)  # ties
    assert_allclose(measure(rounded[order], is_target[order]), measure(rounded, is_target), rtol=ROUNDING)


def test_evaluate_returns_every_measure():
    scores, is_target = gaussian_trials(1.5, 201, seed=6)
    options = {"p_target": 0.1, "c_miss": 10.0, "c_fa": 2.0}
    assert evaluate(scores, is_target, **options) == VerificationResult(
        n_targets=101,
        n_nontargets=100,
        eer=eer(scores, is_target),
        min_dcf=min_dcf(scores, is_target, **options),
        act_dcf=act_dcf(scores, is_target, **options),
        cllr=cllr(scores, is_target),
        min_cllr=min_cllr(scores, is_target),
    )


@pytest.mark.parametrize(
    ("scores", "is_target", "message"),
    [
        ([1.0, 2.0], [True, True], "no nontarget trial"),
        ([1.0, 2.0], [False, False], "no target trial"),
        ([], [], "0 trials hold no target trial"),
        ([1.0, math.nan], [True, False], "nan at trial 1"),
        ([math.inf, 1.0], [True, False], "inf at trial 0"),
        ([1.0, 2.0, 3.0], [True, False], r"shape \(3,\) and is_target has \(2,\)"),
        ([[1.0, 2.0]], [[True, False]], r"both need \(n_trials,\)"),
        ([1.0, 2.0], [1, 2], "other than true and false"),
        ([1.0, 2.0], ["anna", "bruno"], "is_target is not an array of numbers"),
        (["loud", "quiet"], [True, False], "scores is not an array of numbers"),
    ],
)
def test_unusable_trials_are_refused(scores, is_target, message):
    with pytest.raises(ParameterError, match=message):
        eer(scores, is_target)


@pytest.mark.parametrize("cost", [min_dcf, act_dcf])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"p_target": 0.0}, "p_target is 0.0"),
        ({"p_target": 1.0}, "p_target is 1.0"),
        ({"p_target": math.nan}, "p_target is nan"),
        ({"c_miss": 0.0}, "c_miss is 0.0"),
        ({"c_fa": -1.0}, "c_fa is -1.0"),
        ({"c_fa": math.inf}, "c_fa is inf"),
    ],
)
def test_unusable_prior_or_cost_is_refused(cost, options, message):
    with pytest.raises(ParameterError, match=message):
        cost([1.0, 0.0], [True, False], **options)
