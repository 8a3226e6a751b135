import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.speaker.calibration import MIN_SCORES, TAIL_FRACTION, TailModel

RATES = [0.2, 0.1, 0.05, 0.01]
MANY = 20_000
SAMPLING_RTOL = 0.1  # the tail of 20,000 scores holds 4,000: its mean excess is known to 1.6 %, the level to 1 %


def exponential_scores(scale: float = 2.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).exponential(scale, MANY)


@pytest.mark.parametrize("rate", RATES)
def test_threshold_of_exponential_scores_is_their_quantile(rate):
    tail = TailModel.fit({100: exponential_scores()})
    expected = scipy.stats.expon(scale=2.0).isf(rate)
    np.testing.assert_allclose(tail.threshold(100, rate), expected, rtol=SAMPLING_RTOL)


@pytest.mark.parametrize("rate", [0.1, 0.05, 0.01])
def test_realised_rate_on_the_best_of_many_gaussian_scores_is_near_the_stated_one(rate):
    rng = np.random.default_rng(0)
    best, fresh = (rng.normal(size=(MANY, 8)).max(axis=1) for _ in range(2))
    threshold = TailModel.fit({100: best}).threshold(100, rate)
    # The tail of a maximum of Gaussians is nearly, not exactly, exponential.
    np.testing.assert_allclose(np.mean(fresh >= threshold), rate, rtol=0.3)


def test_the_scale_is_the_maximum_likelihood_estimate_of_the_excess():
    scores = exponential_scores()
    level = np.quantile(scores, 1 - TAIL_FRACTION)
    _, scale = scipy.stats.expon.fit(scores[scores > level], floc=level)
    np.testing.assert_allclose(TailModel.fit({100: scores}).scale, (scale, scale), rtol=1e-12)


@given(rate=st.floats(1e-9, TAIL_FRACTION), n_frames=st.integers(0, 5000))
def test_exceedance_probability_of_the_threshold_is_the_rate(rate, n_frames):
    tail = TailModel(25, 400, (1.0, 0.4), (0.5, 0.2))
    probability = tail.exceedance_probability(tail.threshold(n_frames, rate), n_frames)
    assert probability == pytest.approx(rate, rel=1e-6)


@given(rates=st.tuples(st.floats(1e-9, TAIL_FRACTION), st.floats(1e-9, TAIL_FRACTION)))
def test_a_lower_rate_never_lowers_the_threshold(rates):
    tail = TailModel(25, 400, (1.0, 0.4), (0.5, 0.2))
    low, high = sorted(rates)
    assert tail.threshold(100, low) >= tail.threshold(100, high)


def test_threshold_follows_the_length_of_the_recording():
    rng = np.random.default_rng(0)
    lengths = [25, 50, 100, 200, 400]
    tail = TailModel.fit({n: rng.exponential(10.0 / np.sqrt(n), MANY) for n in lengths})
    thresholds = [tail.threshold(n, 0.05) for n in lengths]
    assert thresholds == sorted(thresholds, reverse=True)


def test_threshold_is_constant_outside_the_lengths_that_were_seen():
    tail = TailModel(25, 400, (1.0, 0.4), (0.5, 0.2))
    assert tail.threshold(0, 0.05) == tail.threshold(25, 0.05)
    assert tail.threshold(10**6, 0.05) == tail.threshold(400, 0.05)


def test_lengths_with_too_few_scores_are_left_out():
    scores = exponential_scores()
    few = np.full(MIN_SCORES - 1, 1e6)
    assert TailModel.fit({100: scores, 400: few}) == TailModel.fit({100: scores})


def test_equal_scores_give_a_threshold_just_above_them():
    threshold = TailModel.fit({100: np.ones(50)}).threshold(100, 0.01)
    np.testing.assert_allclose(threshold, 1.0, atol=1e-4, rtol=0)
    assert threshold > 1.0


def test_too_few_scores_say_how_many_there_are_and_what_to_do():
    with pytest.raises(GmmAudioError, match="at least 10 scores of strangers but there are 9; train with"):
        TailModel.fit({25: np.arange(9.0), 50: np.arange(4.0)})


@pytest.mark.parametrize("rate", [0.0, -0.1, 0.21, 1.0, float("nan")])
def test_a_rate_outside_the_tail_is_refused(rate):
    with pytest.raises(ParameterError, match=r"false_accept_rate is .* but must be above 0 and at most 0.2"):
        TailModel(25, 25, (1.0, 1.0), (1.0, 1.0)).threshold(100, rate)


def test_level_and_scale_are_weighted_lines_in_the_log_of_the_length():
    scores = {length: exponential_scores(seed=length)[: 40_000 // length] for length in (25, 50, 400)}
    one_by_one = [TailModel.fit({length: own}) for length, own in scores.items()]
    weights = np.array([len(own) for own in scores.values()])  # the variance of a point goes with 1 / their number
    design = np.column_stack([np.ones(3), np.log(list(scores))])
    tail = TailModel.fit(scores)
    for name in ("level", "scale"):
        points = np.array([getattr(one, name)[0] for one in one_by_one])
        line = np.linalg.solve(design.T * weights @ design, design.T * weights @ points)  # the normal equations
        np.testing.assert_allclose(getattr(tail, name), line[0] + line[1] * np.log([25, 400]), rtol=1e-6)


def test_a_scale_that_falls_with_the_length_never_falls_below_what_was_seen():
    scales = {25: 1.0, 50: 0.1, 400: 0.1}  # the line through these would be negative at 400
    tail = TailModel.fit({length: exponential_scores(scale) for length, scale in scales.items()})
    assert tail.scale[1] == pytest.approx(0.1, rel=SAMPLING_RTOL)
