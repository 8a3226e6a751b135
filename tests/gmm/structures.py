"""Mixtures of every structure of covariances, and their densities and M-steps by brute force."""

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from gmmaudio.gmm import GmmParams
from gmmaudio.gmm.covariances import structure_of

STRUCTURE_NAMES = ("diag", "full", "tied", "spherical")


def random_mixture(name, seed, n_components, n_features, offset=0.0):
    """A mixture whose covariances have the named structure, with strong correlations where it allows them."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((n_components, n_features, n_features)) / np.sqrt(n_features)
    matrices = factors @ factors.transpose(0, 2, 1) + 0.05 * np.eye(n_features)
    arrays = {
        "diag": matrices.diagonal(axis1=1, axis2=2),
        "full": matrices,
        "tied": matrices[0],
        "spherical": matrices[:, 0, 0],
    }
    means = offset + rng.standard_normal((n_components, n_features))
    return GmmParams(rng.dirichlet(np.full(n_components, 5.0)), means, structure_of(name)(arrays[name]))


def matrices_of(params):
    """The covariance matrix of each component."""
    array = params.covariances.array
    n_components, n_features = params.means.shape
    return {
        "diag": lambda: np.stack([np.diag(row) for row in array]),
        "full": lambda: array,
        "tied": lambda: np.stack([array] * n_components),
        "spherical": lambda: np.stack([value * np.eye(n_features) for value in array]),
    }[params.covariances.name]()


def log_joint(params, frames):
    """Log of weight times density, one component after the other, by SciPy."""
    columns = [
        np.log(weight) + stats.multivariate_normal(mean, matrix).logpdf(frames)
        for weight, mean, matrix in zip(params.weights, params.means, matrices_of(params), strict=True)
    ]
    return np.stack(columns, axis=1).reshape(len(frames), params.n_components)


def em_step(params, frames, frame_weights):
    """One EM iteration with explicit loops: weights, means and the array of covariances about the new means."""
    table = log_joint(params, frames)
    occupancies = np.exp(table - logsumexp(table, axis=1, keepdims=True)) * frame_weights[:, np.newaxis]
    counts = occupancies.sum(axis=0)
    means = np.stack([np.average(frames, axis=0, weights=column) for column in occupancies.T])
    scatters = np.zeros((params.n_components, params.n_features, params.n_features))
    for k, mean in enumerate(means):
        for frame, occupancy in zip(frames, occupancies[:, k], strict=True):
            scatters[k] += occupancy * np.outer(frame - mean, frame - mean)
    matrices = scatters / counts[:, np.newaxis, np.newaxis]
    array = {
        "diag": matrices.diagonal(axis1=1, axis2=2),
        "full": matrices,
        "tied": scatters.sum(axis=0) / counts.sum(),
        "spherical": np.trace(matrices, axis1=1, axis2=2) / params.n_features,
    }[params.covariances.name]
    return counts / counts.sum(), means, array
