"""Sequences drawn from a hidden Markov model."""

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.hmm.emissions import MixtureEmissions, TiedEmissions
from gmmaudio.hmm.parameters import HmmParams


def sample_sequence(
    params: HmmParams, n_frames: int, random_state: np.random.RandomState
) -> tuple[Float64Array, IntArray]:
    """Draw one sequence of so many frames, or fewer where the end probabilities end it before.

    Returns
    -------
    frames : array, shape (n_frames, n_features)
    states : array, shape (n_frames,)

    Examples
    --------
    >>> one = GmmParams(weights=[1.0], means=[[1.0]], covariances=[[1e-6]])
    >>> two = GmmParams(weights=[1.0], means=[[5.0]], covariances=[[1e-6]])
    >>> params = HmmParams([1.0, 0.0], [[0.0, 1.0], [1.0, 0.0]], MixtureEmissions([one, two]))
    >>> frames, states = sample_sequence(params, 3, np.random.RandomState(0))
    >>> frames.round().ravel(), states
    (array([1., 5., 1.]), array([0, 1, 0]))
    """
    states = _sample_states(params, n_frames, random_state)
    mixtures = mixtures_of(params)
    frames = np.empty((len(states), params.n_features))
    for state, mixture in enumerate(mixtures):
        rows = np.flatnonzero(states == state)
        components = random_state.choice(mixture.n_components, size=len(rows), p=_normalized(mixture.weights))
        noise = random_state.standard_normal((len(rows), params.n_features))
        frames[rows] = mixture.means[components] + np.sqrt(mixture.variances[components]) * noise
    return frames, states


def _sample_states(params: HmmParams, n_frames: int, random_state: np.random.RandomState) -> IntArray:
    """Draw the states of a sequence; the column after the last state is the end."""
    n_states = params.n_states
    ends = np.zeros(n_states) if params.end_probs is None else params.end_probs
    exits = np.column_stack([params.transition_matrix, ends])
    states = [int(random_state.choice(n_states, p=_normalized(params.start_probs)))]
    while len(states) < n_frames:
        following = int(random_state.choice(n_states + 1, p=_normalized(exits[states[-1]])))
        if following == n_states:
            break
        states.append(following)
    return np.array(states, dtype=np.intp)


def mixtures_of(params: HmmParams) -> list[GmmParams]:
    """Return the mixture of each state."""
    emissions = params.emissions
    if isinstance(emissions, MixtureEmissions):
        return list(emissions.mixtures)
    assert isinstance(emissions, TiedEmissions)
    codebook = emissions.codebook
    return [GmmParams(weights, codebook.means, codebook.variances) for weights in emissions.weights]


def _normalized(probs: Float64Array) -> Float64Array:
    """Return the probabilities with a sum of exactly 1, as far as rounding goes."""
    return np.asarray(probs / probs.sum())
