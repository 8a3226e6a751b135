import numpy as np
import pytest
from hmm.models import random_mixture
from scipy.stats import norm

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, accumulate_stats, component_log_densities
from gmmaudio.gmm.missing import (
    completed_moments,
    missing_component_log_densities,
    missing_density_matrix,
    missing_design,
    observed_log_volume,
    split_missing,
)

RTOL = 1e-10  # float64, sums of a handful of terms


@pytest.fixture(name="params")
def three_components():
    return random_mixture(np.random.default_rng(0), 3, 4)


def frames_with_gaps(n_frames=40, n_features=4, seed=1):
    rng = np.random.default_rng(seed)
    return np.where(rng.random((n_frames, n_features)) < 0.3, np.nan, rng.normal(0, 3, (n_frames, n_features)))


def brute_force(params, frames):
    """Density of the observed features, component by component, frame by frame."""
    log_densities = np.empty((len(frames), params.n_components))
    for t, frame in enumerate(frames):
        seen = ~np.isnan(frame)
        for k in range(params.n_components):
            factors = norm.logpdf(frame[seen], params.means[k, seen], np.sqrt(params.variances[k, seen]))
            log_densities[t, k] = np.log(params.weights[k]) + factors.sum()
    return log_densities


def test_missing_features_are_integrated_out(params):
    frames = frames_with_gaps()
    found = missing_component_log_densities(params, *split_missing(frames))
    np.testing.assert_allclose(found, brute_force(params, frames), rtol=RTOL)


def test_missing_features_are_integrated_out_at_an_offset_of_a_million(params):
    far = GmmParams(params.weights, params.means + 1e6, params.variances)
    frames = frames_with_gaps()
    found = missing_component_log_densities(far, *split_missing(frames + 1e6))
    np.testing.assert_allclose(found, brute_force(params, frames), rtol=1e-7)  # x − 1e6 has ten digits left


def test_complete_frames_have_the_densities_of_the_core(params):
    frames = np.random.default_rng(0).normal(0, 3, (20, 4))
    found = missing_component_log_densities(params, frames, np.ones(frames.shape, bool))
    np.testing.assert_allclose(found, component_log_densities(params, frames, precision="double"), rtol=RTOL)


def test_a_frame_has_the_same_bits_alone_and_in_a_batch(params):
    frames, observed = split_missing(frames_with_gaps(100))
    together = missing_component_log_densities(params, frames, observed)
    alone = np.vstack([missing_component_log_densities(params, frames[[t]], observed[[t]]) for t in range(100)])
    np.testing.assert_array_equal(alone, together)


def test_frames_without_any_observation_have_the_density_of_nothing(params):
    found = missing_component_log_densities(params, *split_missing(np.full((1, 4), np.nan)))
    np.testing.assert_allclose(found, np.log(params.weights)[np.newaxis], rtol=RTOL)


def moments_by_hand(params, frames, responsibilities):
    """Expectation of each missing value and its square under each component, in an explicit loop."""
    zeroth, first, second = np.zeros(3), np.zeros((3, 4)), np.zeros((3, 4))
    for frame, shares in zip(frames, responsibilities, strict=True):
        for k, share in enumerate(shares):
            missing = np.isnan(frame)
            values = np.where(missing, params.means[k], frame)
            squares = np.where(missing, params.variances[k] + params.means[k] ** 2, frame**2)
            zeroth[k] += share
            first[k] += share * values
            second[k] += share * squares
    return zeroth, first, second


def test_statistics_are_completed_by_what_each_component_expects(params):
    frames = frames_with_gaps()
    values, observed = split_missing(frames)
    shares = np.random.default_rng(2).dirichlet(np.ones(3), len(frames))
    moments = completed_moments(params, shares.T @ missing_design(params, values, observed))
    zeroth, first, second = moments_by_hand(params, frames, shares)
    center, scale = params.center, params.scale
    np.testing.assert_allclose(moments[:, -1], zeroth, rtol=RTOL)
    np.testing.assert_allclose(moments[:, :4] * scale, first - zeroth[:, None] * center, rtol=RTOL)
    about_center = second - 2 * center * first + zeroth[:, None] * center**2
    np.testing.assert_allclose(moments[:, 4:-1] * scale**2, about_center, rtol=RTOL)


def test_statistics_of_complete_frames_are_those_of_the_core(params):
    frames = np.random.default_rng(0).normal(0, 3, (20, 4))
    observed = np.ones(frames.shape, bool)
    log_densities = missing_component_log_densities(params, frames, observed)
    shares = np.exp(log_densities - log_densities.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    moments = completed_moments(params, shares.T @ missing_design(params, frames, observed))
    stats = accumulate_stats(params, frames, precision="double")
    np.testing.assert_allclose(moments[:, :4] * params.scale, stats.first, rtol=RTOL, atol=RTOL)


def test_the_matrix_and_the_design_make_the_densities(params):
    values, observed = split_missing(frames_with_gaps())
    product = missing_design(params, values, observed) @ missing_density_matrix(params).T
    found = product + observed_log_volume(params, observed)[:, np.newaxis]
    np.testing.assert_allclose(found, missing_component_log_densities(params, values, observed), rtol=RTOL)


def test_infinity_is_no_missing_feature():
    with pytest.raises(ParameterError, match="infinity"):
        split_missing([[np.nan, 1.0], [np.inf, 1.0]])


def test_nothing_is_missing_where_there_is_no_nan():
    assert split_missing([[1.0, 2.0]])[1] is None
