"""Points in clusters of many kinds; each function returns points and the cluster of each, −1 for noise."""

from typing import NamedTuple

import numpy as np
from sklearn.datasets import make_moons


class Points(NamedTuple):
    """Points, shape (n_points, n_features), the true cluster of each, and the number of clusters."""

    X: np.ndarray
    truth: np.ndarray
    n_clusters: int


SQUARE = np.array([[-3.0, -3.0], [-3.0, 3.0], [3.0, -3.0], [3.0, 3.0]])


def gaussians(rng: np.random.Generator, sizes: list[int], means: np.ndarray, covariances: np.ndarray) -> Points:
    """Return points of Gaussian clusters of given sizes."""
    parts = [rng.multivariate_normal(*given) for given in zip(means, covariances, sizes, strict=True)]
    return Points(np.concatenate(parts), np.repeat(np.arange(len(sizes)), sizes), len(sizes))


def round_clusters(rng: np.random.Generator) -> Points:
    return gaussians(rng, [250] * 4, SQUARE, np.tile(np.eye(2), (4, 1, 1)))


def imbalanced(rng: np.random.Generator) -> Points:
    return gaussians(rng, [850, 100, 35, 15], SQUARE, np.tile(np.eye(2), (4, 1, 1)))


def overlapping(rng: np.random.Generator) -> Points:
    return gaussians(rng, [250] * 4, SQUARE / 2, np.tile(np.eye(2), (4, 1, 1)))


def noisy(rng: np.random.Generator) -> Points:
    """Return the round clusters, and as many points again as one of them anywhere."""
    clean = round_clusters(rng)
    noise = rng.uniform(-8, 8, (250, 2))
    return Points(np.concatenate([clean.X, noise]), np.concatenate([clean.truth, np.full(250, -1)]), 4)


def elongated(rng: np.random.Generator) -> Points:
    """Return three parallel clusters, eight times as long as wide."""
    angle = np.radians(35)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    covariance = turn @ np.diag([16.0, 0.25]) @ turn.T
    means = np.array([[0.0, -3.0], [0.0, 0.0], [0.0, 3.0]]) @ turn.T
    return gaussians(rng, [400, 300, 300], means, np.tile(covariance, (3, 1, 1)))


def unequal(rng: np.random.Generator) -> Points:
    """Return a wide cluster and two dense ones at its edge."""
    means = np.array([[0.0, 0.0], [7.0, 0.0], [0.0, 7.0]])
    return gaussians(rng, [600, 200, 200], means, np.array([6.0, 0.2, 0.2])[:, None, None] * np.eye(2))


def ten_features(rng: np.random.Generator) -> Points:
    """Return four clusters with correlations in ten dimensions, at random places and in random directions."""
    roots = rng.normal(size=(4, 10, 10)) / np.sqrt(10)
    covariances = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(10)
    return gaussians(rng, [400, 300, 200, 100], rng.normal(0, 1.5, (4, 10)), covariances)


def moons(rng: np.random.Generator) -> Points:
    """Return two interlocking half circles, which are no Gaussians."""
    X, truth = make_moons(1000, noise=0.08, random_state=int(rng.integers(2**31)))
    return Points(X, truth, 2)


DATA_SETS = {
    "round": round_clusters,
    "imbalanced": imbalanced,
    "overlapping": overlapping,
    "noisy": noisy,
    "elongated": elongated,
    "unequal": unequal,
    "10 features": ten_features,
    "moons": moons,
}
