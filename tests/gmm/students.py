"""Mixtures of Student distributions, and their densities and M-steps by brute force."""

import numpy as np
from gmm.structures import matrices_of, random_mixture
from scipy import stats
from scipy.optimize import minimize_scalar
from scipy.special import digamma, gammaln, logsumexp

from gmmaudio.gmm.student.parameters import StudentParams, UniformNoise


def random_students(name, seed, n_components, n_features, offset=0.0, noise=False):
    """A mixture whose scale matrices have the named structure, and tails of every kind."""
    components = random_mixture(name, seed, n_components, n_features, offset)
    degrees = np.random.default_rng(seed).permutation(np.geomspace(0.7, 30.0, n_components))
    box = UniformNoise(0.1, np.full(n_features, offset - 6.0), np.full(n_features, offset + 6.0))
    return StudentParams(components, degrees, box if noise else None)


def log_joint(params, frames):
    """Log of weight times density, one component after the other, by SciPy; noise in the last column, if any."""
    matrices = matrices_of(params.components)
    laws = [
        stats.multivariate_normal(mean, matrix) if np.isinf(degrees) else stats.multivariate_t(mean, matrix, degrees)
        for mean, matrix, degrees in zip(params.components.means, matrices, params.degrees_of_freedom, strict=True)
    ]
    columns = [np.log(weight) + law.logpdf(frames) for weight, law in zip(params.weights, laws, strict=True)]
    if params.noise is not None:
        density = params.noise.weight / np.prod(params.noise.high - params.noise.low)
        columns.append(np.full(len(frames), np.log(density)))
    return np.stack(columns, axis=1)


def em_step(params, frames, frame_weights):
    """One EM iteration with explicit loops: weights, means, array of scale matrices, degrees of freedom."""
    n_components, n_features = params.components.means.shape
    table = log_joint(params, frames)
    shares = np.exp(table - logsumexp(table, axis=1, keepdims=True)) * frame_weights[:, np.newaxis]
    shares = shares[:, :n_components]
    matrices = matrices_of(params.components)
    means, degrees = np.empty((n_components, n_features)), np.empty(n_components)
    scatters = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        nu = params.degrees_of_freedom[k]
        deviations = frames - params.components.means[k]
        distances = np.array([row @ np.linalg.inv(matrices[k]) @ row for row in deviations])
        scales = (nu + n_features) / (nu + distances)
        log_scales = np.log(scales) + digamma(0.5 * (nu + n_features)) - np.log(0.5 * (nu + n_features))
        means[k] = np.average(frames, axis=0, weights=shares[:, k] * scales)
        for frame, weight in zip(frames, shares[:, k] * scales, strict=True):
            scatters[k] += weight * np.outer(frame - means[k], frame - means[k])
        degrees[k] = _likeliest_degrees(np.average(log_scales - scales, weights=shares[:, k]))
    counts = shares.sum(axis=0)
    matrices = scatters / counts[:, np.newaxis, np.newaxis]
    array = {
        "diag": matrices.diagonal(axis1=1, axis2=2),
        "full": matrices,
        "tied": scatters.sum(axis=0) / counts.sum(),
        "spherical": np.trace(matrices, axis1=1, axis2=2) / n_features,
    }[params.components.covariances.name]
    return counts / counts.sum(), means, array, degrees


def _likeliest_degrees(mean_log_minus_scale):
    """Maximise the expected log-density of Gamma(ν / 2, ν / 2) directly, as far as it depends on ν."""

    def loss(log_degrees):
        half = 0.5 * np.exp(log_degrees)
        return -(half * np.log(half) - gammaln(half) + half * mean_log_minus_scale)

    return np.exp(minimize_scalar(loss, bounds=np.log([0.1, 1000.0]), method="bounded", options={"xatol": 1e-9}).x)
