"""Clusters of a stated separation, for the tests of how many components are found."""

from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """Frames, the component of each, and how many components there are."""

    frames: np.ndarray
    labels: np.ndarray
    n_components: int


def distance(means, variances, i, j):
    """Mahalanobis distance of two components under the mean of their covariances."""
    return np.sqrt((np.square(means[i] - means[j]) / (0.5 * (variances[i] + variances[j]))).sum())


def problem(seed, separation):
    """A mixture of 1 to 6 components in 2 to 5 dimensions in which every component has its nearest at a distance.

    Each mean is put at exactly `separation` (see `distance`) from one that is there already, in a random direction, and
    again until it is no nearer to any other. 500 to 1000 frames; no weight is below a half of the equal one.
    """
    rng = np.random.default_rng([seed, round(10 * separation)])
    n_components, n_features = 1 + seed % 6, 2 + seed // 6 % 4
    variances = rng.uniform(0.5, 2.0, (n_components, n_features))
    means = np.zeros((n_components, n_features))
    for new in range(1, n_components):
        while True:
            old, direction = rng.integers(new), rng.standard_normal(n_features)
            means[new] = means[old] + direction
            means[new] = means[old] + direction * separation / distance(means, variances, new, old)
            if all(distance(means, variances, new, other) > 0.999 * separation for other in range(new)):
                break
    weights = 0.5 / n_components + 0.5 * rng.dirichlet(np.full(n_components, 2.0))
    n_frames = int(rng.integers(500, 1001))
    labels = rng.choice(n_components, n_frames, p=weights)
    noise = rng.standard_normal((n_frames, n_features))
    return Problem(means[labels] + np.sqrt(variances[labels]) * noise, labels, n_components)
