"""One more component for a mixture, where it gains most: a start of EM that finds small clusters beside large ones."""

import numpy as np
from scipy.special import expit

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.gmm._blas import one_blas_thread
from gmmaudio.gmm.density import component_log_densities, frame_log_likelihoods, most_likely_components
from gmmaudio.gmm.parameters import GmmParams

PLACES_PER_COMPONENT = 2
"""Frames of each component at which a new one is tried."""

TRIAL_ITERATIONS = 6
"""EM iterations of a component on trial."""

LEAST_WEIGHT = 1e-6
"""Of a component on trial, so that it can come back."""


@one_blas_thread
def insert_component(
    params: GmmParams,
    frames: FloatArray,
    frame_weights: Float64Array,
    *,
    variance_floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return the mixture with one more component: of several on trial the one that raises the likelihood most.

    Each is tried at a frame, with a quarter of the variance of the component that the frame belongs to. EM then fits
    ``(1 − a) p(x) + a N(x; μ, σ²)`` in a, μ and σ alone, the rest p of the mixture held fixed (Verbeek, Vlassis & Kröse
    2003, "Efficient greedy learning of Gaussian mixture models", Neural Computation 15, sec. 3).

    Parameters
    ----------
    params : GmmParams
        With diagonal covariances.
    frames : array, shape (n_frames, n_features)
    frame_weights : array, shape (n_frames,)
    variance_floor : array, shape (n_features,)
    random_state : numpy.random.RandomState

    Examples
    --------
    >>> frames = np.array([[0.0], [0.1], [0.2], [9.0]])
    >>> one = GmmParams([1.0], frames.mean(axis=0)[np.newaxis], frames.var(axis=0)[np.newaxis])
    >>> random_state = np.random.RandomState(0)
    >>> insert_component(one, frames, np.ones(4), variance_floor=np.ones(1), random_state=random_state).means.round(1)
    array([[2.3],
           [0.1]])
    """
    others = frame_log_likelihoods(params, frames, precision="double")
    owners = most_likely_components(params, frames, precision="double")
    places = _places(others, owners, params.n_components, random_state)
    centered = frames - params.center
    design = frame_weights[:, np.newaxis] * np.hstack([np.ones((len(frames), 1)), centered, np.square(centered)])
    means = np.asarray(frames[places], dtype=np.float64)
    variances = np.maximum(params.variances[owners[places]] / 4.0, variance_floor)
    shares = np.full(len(places), 0.5 / (params.n_components + 1))
    total = float(frame_weights.sum())
    for _ in range(TRIAL_ITERATIONS):
        sums = expit(_log_odds(means, variances, shares, frames, others)).T @ design
        counts = np.maximum(sums[:, :1], LEAST_WEIGHT * total)
        offsets, squares = np.split(sums[:, 1:] / counts, 2, axis=1)
        means, variances = params.center + offsets, np.maximum(squares - np.square(offsets), variance_floor)
        shares = np.clip(counts[:, 0] / total, LEAST_WEIGHT, 1.0 - LEAST_WEIGHT)
    odds = _log_odds(means, variances, shares, frames, others)
    gains = (frame_weights[:, np.newaxis] * (np.logaddexp(0.0, odds) + np.log1p(-shares))).sum(axis=0)
    best = gains.argmax()
    return GmmParams(
        np.append((1.0 - shares[best]) * params.weights, shares[best]),
        np.vstack([params.means, means[best]]),
        np.vstack([params.variances, variances[best]]),
    )


def _places(
    log_likelihoods: Float64Array, owners: IntArray, n_components: int, random_state: np.random.RandomState
) -> IntArray:
    """Return frames of every component drawn at random, and the one that the mixture explains worst."""
    places = [int(log_likelihoods.argmin())]
    for component in range(n_components):
        own = np.flatnonzero(owners == component)
        places.extend(random_state.permutation(own)[:PLACES_PER_COMPONENT])
    return np.asarray(places)


def _log_odds(
    means: Float64Array, variances: Float64Array, shares: Float64Array, frames: FloatArray, others: Float64Array
) -> Float64Array:
    """Return the log odds that a frame belongs to a component on trial and not to the others, for each of them."""
    equal = GmmParams(np.full(len(means), 1.0 / len(means)), means, variances)
    log_densities = component_log_densities(equal, frames, precision="double") + np.log(len(means))
    return np.asarray(log_densities + np.log(shares) - np.log1p(-shares) - others[:, np.newaxis])
