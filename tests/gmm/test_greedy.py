import numpy as np
import pytest
from gmm.problems import problem
from numpy.testing import assert_allclose

from gmmaudio.gmm import GMM, GmmParams, frame_log_likelihoods
from gmmaudio.gmm.starts.greedy import insert_component

FLOOR = np.full(2, 1e-3)


@pytest.fixture(scope="module", name="clusters")
def one_large_and_three_small():
    rng = np.random.default_rng(0)
    means, sizes = ((-3, -3), (-3, 3), (3, -3), (3, 3)), (850, 100, 35, 15)
    return np.concatenate([rng.normal(mean, 1, (n, 2)) for mean, n in zip(means, sizes, strict=True)])


def inserted(params, frames, weights=None, seed=0):
    weights = np.ones(len(frames)) if weights is None else weights
    return insert_component(params, frames, weights, variance_floor=FLOOR, random_state=np.random.RandomState(seed))


def whole(frames):
    return GmmParams([1.0], frames.mean(axis=0)[np.newaxis], frames.var(axis=0)[np.newaxis])


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_a_new_component_raises_the_likelihood(offset):
    frames = offset + problem(3, 3.0).frames
    params = whole(frames)
    for _ in range(3):
        grown = inserted(params, frames)
        before, after = (frame_log_likelihoods(p, frames, precision="double").sum() for p in (params, grown))
        assert after > before
        params = grown


def test_the_others_keep_their_places(clusters):
    two = inserted(whole(clusters), clusters)
    three = inserted(two, clusters)
    assert_allclose(three.means[:2], two.means)
    assert_allclose(three.weights[0] / three.weights[1], two.weights[0] / two.weights[1])


def test_frames_of_weight_zero_play_no_part(clusters):
    weights = np.repeat([1.0, 0.0], [950, 50])
    grown = inserted(whole(clusters[:950]), clusters, weights)
    assert grown.means[1, 0] < 0  # the clusters on the right are not there


def test_small_clusters_are_found_beside_a_large_one(clusters):
    means = GMM(4, covariance_type="spherical", init="greedy", random_state=0).fit(clusters).means_
    assert sorted(map(tuple, np.sign(means))) == [(-1, -1), (-1, 1), (1, -1), (1, 1)]


def test_repeated_frames_give_a_finite_mixture():
    frames = np.repeat([[0.0, 1.0], [5.0, 5.0]], 10, axis=0)
    assert np.isfinite(GMM(5, init="greedy", random_state=0).fit(frames).means_).all()
