import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import frame_log_likelihoods
from gmmaudio.gmm.frame_moments import single_gaussian
from gmmaudio.gmm.starts.initialization import initial_params
from gmmaudio.gmm.starts.subsample import SUBSAMPLE_MIN

METHODS = ("kmeans++", "trimmed", "greedy", "split", "random")
FLOOR = 1e-3


def start(frames, n_components, init, *, seed=0, frame_weights=None):
    return initial_params(
        frames,
        n_components,
        init=init,
        variance_floor=np.full(frames.shape[1], FLOOR),
        frame_weights=np.ones(len(frames)) if frame_weights is None else frame_weights,
        random_state=np.random.RandomState(seed),
    )


@pytest.fixture(scope="module")
def clusters():
    """Five tight clusters of 60 frames, at a distance of at least 4 from each other, and their centres."""
    centres = 4.0 * np.array([[0, 0], [1, 0], [0, 1], [1, 1], [2, 2]])
    return np.repeat(centres, 60, axis=0) + 0.1 * np.random.default_rng(0).standard_normal((300, 2)), centres


@pytest.mark.parametrize("init", METHODS)
@pytest.mark.parametrize("n_components", [1, 2, 3, 7, 40])
def test_start_has_the_number_of_components_asked_for(clusters, init, n_components):
    assert start(clusters[0], n_components, init).n_components == n_components


@pytest.mark.parametrize("init", ["kmeans++", "split"])
def test_start_finds_clusters_that_are_well_apart(clusters, init):
    frames, centres = clusters
    distances = np.linalg.norm(centres[:, np.newaxis] - start(frames, 5, init).means, axis=2)
    assert (distances.min(axis=1) < 0.5).all()


@pytest.mark.parametrize("init", METHODS)
def test_same_seed_gives_the_same_start(clusters, init):
    first, second = (start(clusters[0], 4, init, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.means, second.means)


@pytest.mark.parametrize("init", METHODS)
def test_global_random_state_is_not_touched(clusters, init):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    start(clusters[0], 4, init)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("init", METHODS)
def test_a_frame_of_weight_zero_is_never_used(clusters, init):
    frames = np.vstack([clusters[0], [[1e6, 1e6]]])
    weights = np.append(np.ones(300), 0.0)
    params = start(frames, 4, init, frame_weights=weights)
    assert np.abs(params.means).max() < 20.0
    assert params.variances.max() < 20.0


@pytest.mark.parametrize("init", METHODS)
def test_variances_are_at_least_the_floor(init):
    frames = np.repeat([[0.0, 1.0], [3.0, 1.0]], 20, axis=0)
    assert (start(frames, 3, init).variances >= FLOOR * (1 - 1e-12)).all()  # one rounding of a scale and back


@pytest.mark.parametrize("init", METHODS)
@pytest.mark.parametrize("n_components", [2, 5, 9])
def test_more_components_than_distinct_frames_give_finite_densities(init, n_components):
    frames = np.repeat([[0.0, 1.0], [3.0, 1.0]], 2, axis=0)
    params = start(frames, n_components, init)
    assert np.isfinite(frame_log_likelihoods(params, frames)).all()


def test_random_means_are_distinct_frames(clusters):
    means = start(clusters[0], 40, "random").means
    assert len(np.unique(means, axis=0)) == 40
    assert (np.abs(means[:, np.newaxis] - clusters[0]).sum(axis=2).min(axis=1) == 0).all()


def test_splitting_separates_clusters_on_a_falling_diagonal():
    frames = np.repeat([[-3.0, 3.0], [3.0, -3.0]], 50, axis=0) + np.random.default_rng(0).normal(0, 0.1, (100, 2))
    means = start(frames, 2, "split").means
    np.testing.assert_allclose(np.sort(means[:, 0]), [-3.0, 3.0], atol=0.1)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_splitting_does_not_waste_components_on_a_constant_feature(offset):
    frames = np.column_stack([np.full(200, offset + 0.1), np.random.default_rng(0).standard_normal(200)])
    assert len(np.unique(start(frames, 4, "split").means[:, 1].round(3))) == 4


def test_a_large_collection_is_subsampled():
    frames = np.random.default_rng(0).standard_normal((2 * SUBSAMPLE_MIN, 1))
    frames[SUBSAMPLE_MIN // 2 :] += 1e3  # one quarter and three quarters: the sample is not the beginning
    weights = np.sort(start(frames, 2, "kmeans++").weights)
    np.testing.assert_allclose(weights, [0.25, 0.75], atol=0.02)


def test_unknown_method_is_refused(clusters):
    with pytest.raises(ParameterError, match="init is 'kmeans' but must be one of"):
        start(clusters[0], 2, "kmeans")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_gaussian_is_the_weighted_mean_and_variance(dtype):
    rng = np.random.default_rng(0)
    frames, weights = rng.standard_normal((5000, 3)).astype(dtype), rng.uniform(0, 2, 5000)
    mean, variance = single_gaussian(frames, weights)
    expected = np.average(frames.astype(np.float64), axis=0, weights=weights)
    np.testing.assert_allclose(mean, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(variance, np.average((frames - expected) ** 2, axis=0, weights=weights), rtol=1e-12)


def test_single_gaussian_of_a_constant_has_no_variance_at_any_offset():
    np.testing.assert_array_equal(single_gaussian(np.full((1000, 1), 1e6 + 0.1), np.ones(1000))[1], 0.0)
