import numpy as np
import pytest
import scipy.stats

from gmmaudio.features import FeatureWarping, FeatureWarpingConfig

FLOAT32_ATOL = 1e-6


@pytest.mark.parametrize("window", [(5, 0, 1), (7, 3, 7), (20, 4, 9)])
def test_warping_is_the_normal_quantile_of_the_rank_in_the_window(window):
    frames = np.random.default_rng(0).integers(0, 9, (30, 2)).astype(np.float32)
    length, lookahead, min_frames = window
    expected = np.zeros(frames.shape)
    for t in range(len(frames)):
        end = min(max(t + lookahead, min_frames - 1), len(frames) - 1)
        start = max(0, end - length + 1)
        ranks = scipy.stats.rankdata(frames[start : end + 1], axis=0)[t - start]
        expected[t] = scipy.stats.norm.ppf((ranks - 0.5) / (end + 1 - start))
    actual = FeatureWarping(2, FeatureWarpingConfig(*window)).transform(frames)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=FLOAT32_ATOL)


def test_warping_does_not_change_under_a_rising_map():
    frames = np.random.default_rng(1).standard_normal((200, 3))
    warping = FeatureWarping(3)
    np.testing.assert_array_equal(warping.transform(np.exp(frames)), warping.transform(frames))


def test_warped_noise_is_normal():
    frames = np.random.default_rng(2).exponential(size=(3000, 1))
    warped = FeatureWarping(1, FeatureWarpingConfig(301, 150, 301)).transform(frames)[:, 0]
    assert scipy.stats.kstest(warped, "norm").statistic < 0.05
