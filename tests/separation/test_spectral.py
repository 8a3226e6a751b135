"""The spectral mixture: density, statistics, estimation, adaptation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats as distributions

from gmmaudio.em import run_em
from gmmaudio.errors import ParameterError
from gmmaudio.separation import (
    SpectralParams,
    accumulate_spectral_stats,
    estimate_spectral_map,
    estimate_spectral_ml,
)
from gmmaudio.separation.spectral import spectral_responsibilities

SINGLE = 2e-5  # float32 sums over a few bins
WEIGHTS, VARIANCES = [0.3, 0.7], [[1.0, 4.0, 0.5], [3.0, 0.2, 2.0]]


def params() -> SpectralParams:
    return SpectralParams(WEIGHTS, VARIANCES)


def drawn(n_frames: int, seed: int = 0) -> np.ndarray:
    """Powers of complex Gaussians of both components."""
    rng = np.random.default_rng(seed)
    component = rng.choice(2, n_frames, p=WEIGHTS)
    return (np.array(VARIANCES)[component] * rng.exponential(size=(n_frames, 3))).astype(np.float32)


def brute_force(power: np.ndarray) -> np.ndarray:
    """Log of weight times density of each component: |x|² of a circular complex Gaussian is exponential."""
    return np.array(
        [
            [
                np.log(w) + distributions.expon(scale=v).logpdf(frame).sum()
                for w, v in zip(WEIGHTS, VARIANCES, strict=True)
            ]
            for frame in power
        ]
    )


def test_responsibilities_and_likelihoods_equal_those_of_exponential_powers():
    power = drawn(20)
    joint = brute_force(power)
    total = np.logaddexp.reduce(joint, axis=1)
    responsibilities, log_likelihoods = spectral_responsibilities(params(), power)
    assert_allclose(log_likelihoods, total, rtol=SINGLE, atol=SINGLE)
    assert_allclose(responsibilities, np.exp(joint - total[:, np.newaxis]), rtol=0, atol=SINGLE)


def test_statistics_equal_an_explicit_loop():
    power = drawn(1100)  # more than two tiles
    responsibilities = np.exp(brute_force(power) - np.logaddexp.reduce(brute_force(power), axis=1)[:, np.newaxis])
    stats = accumulate_spectral_stats(params(), power)
    assert_allclose(stats.zeroth, responsibilities.sum(axis=0), rtol=SINGLE)
    assert_allclose(stats.power, responsibilities.T @ power, rtol=SINGLE)


def test_statistics_of_parts_add_up():
    power = drawn(300)
    whole = accumulate_spectral_stats(params(), power)
    parts = accumulate_spectral_stats(params(), power[:100]) + accumulate_spectral_stats(params(), power[100:])
    assert_allclose(parts.power, whole.power, rtol=SINGLE)
    assert parts.n_frames == whole.n_frames


def test_one_component_gets_the_mean_power():
    power = drawn(50)
    stats = accumulate_spectral_stats(SpectralParams([1.0], np.ones((1, 3))), power)
    assert_allclose(estimate_spectral_ml(stats).variances[0], power.mean(axis=0), rtol=SINGLE)


def test_em_never_lowers_the_likelihood_and_finds_the_components():
    power = drawn(20000)
    start = SpectralParams([0.5, 0.5], [[1.0, 1.0, 1.0], [2.0, 0.5, 1.0]])
    result = run_em(start, lambda p: accumulate_spectral_stats(p, power), estimate_spectral_ml, max_iter=100, tol=1e-7)
    assert (np.diff(result.history) > -1e-5).all()
    order = result.params.weights.argsort()
    assert_allclose(result.params.variances[order], VARIANCES, rtol=0.15)  # sampling error of 6,000 frames


def test_expected_statistics_are_the_inverse_of_the_estimate():
    stats = type(accumulate_spectral_stats(params(), drawn(1))).expected(params(), [30.0, 70.0])
    again = estimate_spectral_ml(stats)
    assert_allclose(again.variances, VARIANCES, rtol=1e-12)
    assert_allclose(again.weights, WEIGHTS, rtol=1e-12)


def test_map_without_data_is_the_prior():
    none = accumulate_spectral_stats(params(), np.zeros((0, 3), np.float32))
    adapted = estimate_spectral_map(none, params())
    assert_allclose(adapted.variances, VARIANCES, rtol=1e-12)
    assert_allclose(adapted.weights, WEIGHTS, rtol=1e-12)


def test_map_with_much_data_is_the_maximum_likelihood():
    stats = accumulate_spectral_stats(params(), drawn(5000))
    adapted = estimate_spectral_map(stats, params(), relevance_factor=1e-6)
    assert_allclose(adapted.variances, estimate_spectral_ml(stats).variances, rtol=1e-6)


def test_a_component_without_frames_restarts_at_the_mean_of_all():
    far = SpectralParams([0.5, 0.5], [[1.0, 1.0, 1.0], [1e8, 1e8, 1e8]])
    power = drawn(100)
    restarted = estimate_spectral_ml(accumulate_spectral_stats(far, power))
    assert_allclose(restarted.variances[1], power.mean(axis=0), rtol=1e-3)


def test_digital_silence_has_a_finite_likelihood_and_variance():
    stats = accumulate_spectral_stats(params(), np.zeros((10, 3), np.float32))
    assert np.isfinite(stats.log_likelihood)
    assert (estimate_spectral_ml(stats).variances > 0).all()


@pytest.mark.parametrize(
    ("weights", "variances", "message"),
    [([0.5, 0.6], np.ones((2, 3)), "sum to 1"), ([1.0], np.zeros((1, 3)), "positive"), ([1.0], [[np.nan]], "NaN")],
)
def test_parameters_that_cannot_be_are_one_clear_error(weights, variances, message):
    with pytest.raises(ParameterError, match=message):
        SpectralParams(weights, variances)


def test_frames_of_another_window_are_one_clear_error():
    with pytest.raises(ParameterError, match="3 frequencies"):
        accumulate_spectral_stats(params(), np.ones((5, 4), np.float32))
