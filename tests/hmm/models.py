"""Random hidden Markov models and sequences for tests."""

import numpy as np

from gmmaudio.gmm import GmmParams
from gmmaudio.hmm.emissions import MixtureEmissions, TiedEmissions
from gmmaudio.hmm.parameters import HmmParams


def random_mixture(rng, n_components, n_features, *, spread=3.0):
    return GmmParams(
        rng.dirichlet(np.full(n_components, 5.0)),
        rng.normal(0, spread, (n_components, n_features)),
        rng.uniform(0.5, 2.0, (n_components, n_features)),
    )


def random_emissions(rng, n_components, n_features, *, tied=False):
    if tied:
        codebook = random_mixture(rng, n_components[0], n_features)
        return TiedEmissions(codebook, rng.dirichlet(np.ones(n_components[0]), len(n_components)))
    return MixtureEmissions([random_mixture(rng, number, n_features) for number in n_components])


def random_hmm(rng, n_components=(2, 2, 2), n_features=2, *, tied=False, left_right=False, ends=False):
    """A model with one state for each of the numbers of components."""
    n_states = len(n_components)
    allowed = np.ones((n_states, n_states))
    if left_right:
        allowed = np.triu(allowed) - np.triu(allowed, 2)
    start = np.eye(n_states)[0] if left_right else rng.dirichlet(np.ones(n_states))
    end = np.zeros(n_states)
    if ends:
        end[-1] = rng.uniform(0.05, 0.3)
    weights = allowed * rng.uniform(0.1, 1.0, (n_states, n_states))
    matrix = weights / weights.sum(axis=1, keepdims=True) * (1.0 - end)[:, np.newaxis]
    emissions = random_emissions(rng, n_components, n_features, tied=tied)
    return HmmParams(start, matrix, emissions, end if ends else None)


def random_sequences(rng, lengths, n_features=2, *, missing=0.0):
    """Sequences whose level moves slowly, with a share of missing values."""
    sequences = []
    for length in lengths:
        frames = rng.normal(0, 1, (length, n_features)) + 3.0 * np.sin(np.arange(length) / 5.0)[:, np.newaxis]
        frames[rng.random(frames.shape) < missing] = np.nan
        sequences.append(frames)
    return sequences
