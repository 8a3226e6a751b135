"""Expected values by brute force: explicit loops over frames and components, written from the equations.

Nothing here shares code with the package, so that it cannot share its mistakes.
"""

import numpy as np
from scipy import stats
from scipy.special import logsumexp


def gmm_log_joint(weights, means, variances, frames):
    """Log of weight times density, (n_frames, n_components), one scalar normal density at a time."""
    table = np.empty((len(frames), len(weights)))
    for t, frame in enumerate(frames):
        for k, weight in enumerate(weights):
            densities = stats.norm.logpdf(np.asarray(frame, dtype=np.float64), means[k], np.sqrt(variances[k]))
            table[t, k] = np.log(weight) + densities.sum()
    return table


def gmm_frame_log_likelihoods(weights, means, variances, frames):
    return logsumexp(gmm_log_joint(weights, means, variances, frames), axis=1)


def gmm_responsibilities(weights, means, variances, frames):
    table = gmm_log_joint(weights, means, variances, frames)
    return np.exp(table - logsumexp(table, axis=1, keepdims=True))


def gmm_statistics(weights, means, variances, frames, frame_weights, center):
    """Zeroth, first and second order about the center, summed frame by frame."""
    posteriors = gmm_responsibilities(weights, means, variances, frames)
    zeroth, first, second = np.zeros(len(weights)), np.zeros(means.shape), np.zeros(means.shape)
    for frame, posterior, frame_weight in zip(frames, posteriors, frame_weights, strict=True):
        for k in range(len(weights)):
            occupancy = frame_weight * posterior[k]
            zeroth[k] += occupancy
            first[k] += occupancy * (frame - center)
            second[k] += occupancy * (frame - center) ** 2
    return zeroth, first, second


def gmm_em_step(weights, means, variances, frames, frame_weights):
    """One EM iteration with two passes over the frames: variances about the new means."""
    occupancies = gmm_responsibilities(weights, means, variances, frames) * np.asarray(frame_weights)[:, np.newaxis]
    new_weights = occupancies.sum(axis=0) / occupancies.sum()
    new_means = np.stack([np.average(frames, axis=0, weights=column) for column in occupancies.T])
    new_variances = np.stack(
        [
            np.average((frames - mean) ** 2, axis=0, weights=column)
            for mean, column in zip(new_means, occupancies.T, strict=True)
        ]
    )
    return new_weights, new_means, new_variances


def reynolds_map(weights, means, variances, frames, relevance_factor):
    """Reynolds, Quatieri & Dunn 2000, eq. 7-13, scalar by scalar: adapted weights, means and variances."""
    posteriors = gmm_responsibilities(weights, means, variances, frames)
    n_frames, (n_components, n_features) = len(frames), means.shape
    new_weights, new_means, new_variances = np.empty(n_components), np.empty(means.shape), np.empty(means.shape)
    for i in range(n_components):
        n_i = sum(posteriors[t, i] for t in range(n_frames))
        alpha = n_i / (n_i + relevance_factor)
        new_weights[i] = alpha * n_i / n_frames + (1 - alpha) * weights[i]
        for d in range(n_features):
            mean_of_x = sum(posteriors[t, i] * frames[t, d] for t in range(n_frames)) / n_i
            mean_of_square = sum(posteriors[t, i] * frames[t, d] ** 2 for t in range(n_frames)) / n_i
            new_means[i, d] = alpha * mean_of_x + (1 - alpha) * means[i, d]
            new_variances[i, d] = (
                alpha * mean_of_square + (1 - alpha) * (variances[i, d] + means[i, d] ** 2) - new_means[i, d] ** 2
            )
    return new_weights / new_weights.sum(), new_means, new_variances
