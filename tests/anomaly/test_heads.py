"""The conditional head against Gaussian marginals that scipy computes."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from gmmaudio.anomaly.heads import Block, ConditionalHead, HeadConfig, JointHead, LevelHead, RangeHead, SeasonalHead

ROUNDING = 1e-8  # differences of log-densities of order 10, condition numbers of order 100
CHANNELS, LAGS = 3, 2


def block(rows, season=None):
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    return Block(rows, rows, np.full(len(rows), -1) if season is None else np.asarray(season))


def config(n_channels=CHANNELS, n_lags=LAGS, window=4):
    return HeadConfig(n_channels, n_lags, window, 1.0, 0.0)


@pytest.fixture(scope="module")
def head():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, CHANNELS)) @ rng.normal(size=(CHANNELS, CHANNELS))
    rows[1:] += 0.5 * rows[:-1]
    head = ConditionalHead(config())
    head.run(block(np.clip(rows, -4, 4)), learn=True)
    return head


def log_marginal(head, joint):
    """Log-density of the entries that are there, under the head's Gaussian."""
    seen = np.flatnonzero(~np.isnan(joint))
    if not len(seen):
        return 0.0
    mean, covariance = head.learned["mean"], head.learned["covariance"]
    return multivariate_normal(mean[seen], covariance[np.ix_(seen, seen)]).logpdf(joint[seen])


def joints(rows):
    """Past (latest first) and present of every row, NaN before the first."""
    padded = np.concatenate([np.full((LAGS, CHANNELS), np.nan), rows])
    return np.array([np.concatenate([*padded[t : t + LAGS][::-1], padded[t + LAGS]]) for t in range(len(rows))])


@pytest.mark.parametrize("missing", [0.0, 0.3, 0.7])
def test_log_density_is_the_ratio_of_two_gaussian_marginals(head, missing):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(80, CHANNELS))
    rows[rng.random(rows.shape) < missing] = np.nan
    head.forget_stream()
    _, log_density, _ = head.score_density(block(rows), learn=False)
    for joint, got in zip(joints(rows), log_density, strict=True):
        past = joint.copy()
        past[-CHANNELS:] = np.nan
        if np.isnan(joint[-CHANNELS:]).all():
            assert np.isnan(got)
        else:
            np.testing.assert_allclose(got, log_marginal(head, joint) - log_marginal(head, past), atol=ROUNDING)


def test_a_share_is_what_the_density_gains_without_its_channel(head):
    rows = np.random.default_rng(2).normal(size=(10, CHANNELS))
    head.forget_stream()
    _, log_density, residuals = head.score_density(block(rows), learn=False)
    joint = joints(rows)[-1]
    covariance = head.learned["covariance"]
    for c in range(CHANNELS):
        kept = np.delete(np.arange(len(joint)), len(joint) - CHANNELS + c)
        j = len(joint) - CHANNELS + c
        variance = covariance[j, j] - covariance[j, kept] @ np.linalg.solve(
            covariance[np.ix_(kept, kept)], covariance[kept, j]
        )
        without = joint.copy()
        without[j] = np.nan
        past = joint.copy()
        past[-CHANNELS:] = np.nan
        lost = log_marginal(head, without) - log_marginal(head, past) - log_density[-1]
        np.testing.assert_allclose(residuals[-1, c] ** 2, 2 * lost - np.log(2 * np.pi * variance), atol=ROUNDING)


def test_learnt_moments_are_mean_and_covariance_of_the_lagged_rows():
    rows = np.random.default_rng(3).normal(size=(49, CHANNELS))  # few enough for one update of the covariance, of all
    head = ConditionalHead(config())
    head.run(block(rows), learn=True)
    complete = joints(rows)[LAGS:]
    np.testing.assert_allclose(head.learned["mean"], complete.mean(axis=0), atol=ROUNDING)
    scatter = np.tril(np.cov(complete.T, bias=True)) * len(complete)
    np.testing.assert_allclose(np.tril(head.learned["scatter"]), scatter, atol=ROUNDING)


def test_level_score_by_hand():
    head = LevelHead(config(n_channels=1, window=2))
    head.learned |= {"mean": np.array([1.0]), "variance": np.array([4.0]), "count": np.array([100.0])}
    _, shares = head.run(block([[3.0], [7.0]]), learn=False)
    np.testing.assert_allclose(shares[:, 0], [(3 - 1) ** 2 / 4, (5 - 1) ** 2 / 4], rtol=1e-5)  # variance floor 1e-6


def test_level_learns_the_means_of_windows_that_ended_a_window_ago():
    rows = np.random.default_rng(4).normal(size=(50, 1))
    head = LevelHead(config(n_channels=1, window=4))
    head.run(block(rows), learn=True)
    means = np.array([rows[max(0, t - 3) : t + 1].mean() for t in range(1, 46)])  # half a window is enough
    np.testing.assert_allclose(head.learned["mean"], means.mean(), atol=ROUNDING)
    np.testing.assert_allclose(head.learned["variance"], means.var(), atol=ROUNDING)


def test_seasonal_learns_mean_and_variance_of_each_season():
    rows = np.random.default_rng(5).normal(size=(60, 1))
    season = np.arange(60) % 3
    head = SeasonalHead(config(n_channels=1))
    head.run(block(rows, season), learn=True)
    np.testing.assert_allclose(head.learned["mean"][:3, 0], [rows[s::3].mean() for s in range(3)], atol=ROUNDING)
    np.testing.assert_allclose(head.learned["variance"][:3, 0], [rows[s::3].var() for s in range(3)], atol=ROUNDING)


def test_range_score_by_hand():
    head = RangeHead(config(n_channels=1))
    head.run(block(np.linspace(0, 10, 99)[:, np.newaxis]), learn=True)
    score, _ = head.run(block([[5.0], [10.5], [-20.0]]), learn=False)
    # 99 values: p = 2 / 100; an excess of 0.5 is one twentieth of the range, one factor e; 20 factors at most.
    np.testing.assert_allclose(score, [0.0, np.log10(50) + 1 / np.log(10), np.log10(50) + 20 / np.log(10)])


def test_joint_shares_are_mean_residuals_given_the_other_channels():
    rows = np.random.default_rng(6).normal(size=(200, CHANNELS))
    head = JointHead(config(window=16))
    head.run(block(rows), learn=True)
    head.forget_stream()
    _, shares = head.run(block(rows[:4]), learn=False)
    precision = np.linalg.inv(head.learned["relation_covariance"])
    residuals = (rows[:4] - head.learned["relation_mean"]) @ precision / np.sqrt(np.diag(precision))
    deviation = residuals.mean(axis=0) - head.learned["residual_mean"]
    np.testing.assert_allclose(shares[-1], deviation**2 / head.learned["residual_variance"], rtol=1e-4)  # floor 1e-6
