"""Trimmed k-means and robust spreads."""

import numpy as np
import pytest

from gmmaudio.gmm.starts.initialization import initial_params
from gmmaudio.gmm.starts.trimming import NORMAL_QUARTILES, TRIMMED_SHARE, robust_spread, trimmed_labels


def clusters_and_outliers(seed, centers, size):
    """Clusters of unit variance, and a tenth of all frames uniform over a box that is 20 wide and to one side."""
    rng = np.random.default_rng(seed)
    centers = np.asarray(centers, dtype=np.float64)
    frames = np.concatenate([center + rng.standard_normal((size, centers.shape[1])) for center in centers])
    corner = centers.max(axis=0) + 5.0
    return np.concatenate([frames, rng.uniform(corner, corner + 20.0, (len(frames) // 9, len(corner)))])


def test_spread_equals_median_and_quartiles_of_numpy():
    frames = np.random.default_rng(0).standard_normal((1001, 3))
    middle, spread = robust_spread(frames, np.ones(1001))
    low, median, high = np.quantile(frames, [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(middle, median, rtol=1e-12)
    np.testing.assert_allclose(spread, (high - low) / NORMAL_QUARTILES, rtol=0.01)  # another rule between two values


def test_integer_weights_equal_duplication():
    frames, counts = np.random.default_rng(0).standard_normal((100, 2)), np.arange(100) % 3
    weighted = robust_spread(frames, counts.astype(np.float64))
    repeated = robust_spread(np.repeat(frames, counts, axis=0), np.ones(counts.sum()))
    np.testing.assert_array_equal(weighted, repeated)


def test_outliers_do_not_move_the_spread():
    frames = np.random.default_rng(0).standard_normal((1000, 1))
    frames[:100] = 1e12
    assert 0.9 < robust_spread(frames, np.ones(1000))[1][0] < 1.4


@pytest.mark.parametrize("n_clusters", [1, 2, 4, 8])
def test_finds_the_clusters_among_outliers(n_clusters):
    centers = [[8.0 * (k % 4), 8.0 * (k // 4)] for k in range(n_clusters)]
    frames = clusters_and_outliers(0, centers, 300)
    labels = trimmed_labels(frames, np.ones(len(frames)), n_clusters, np.random.RandomState(0))
    found = np.array([frames[labels == k].mean(axis=0) for k in range(n_clusters)])
    assert all(np.linalg.norm(found - center, axis=1).min() < 0.5 for center in centers)


def test_leaves_out_a_share_of_the_weight():
    frames = clusters_and_outliers(0, [[0.0, 0.0], [8.0, 0.0]], 300)
    weights = np.random.default_rng(1).uniform(0.0, 2.0, len(frames))
    left_out = trimmed_labels(frames, weights, 2, np.random.RandomState(0)) == -1
    assert abs(weights[left_out].sum() / weights.sum() - TRIMMED_SHARE) < 0.01


def test_more_clusters_than_frames_leave_some_empty():
    labels = trimmed_labels(np.array([[0.0], [1.0]]), np.ones(2), 5, np.random.RandomState(0))
    assert set(labels) <= {-1, 0, 1, 2, 3, 4}


def test_a_start_of_em_has_the_clusters_as_components():
    frames = clusters_and_outliers(0, [[0.0, 0.0], [8.0, 0.0]], 300)
    params = initial_params(
        frames,
        2,
        init="trimmed",
        variance_floor=np.full(2, 1e-3),
        frame_weights=np.ones(len(frames)),
        random_state=np.random.RandomState(0),
    )
    np.testing.assert_allclose(np.sort(params.means[:, 0]), [0.0, 8.0], atol=0.5)
