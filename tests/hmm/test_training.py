"""The likelihood never falls: random problems, ragged, with missing values, priors, weights and all kinds of models."""

import numpy as np
import pytest
from hmm.models import random_hmm, random_sequences

from gmmaudio.errors import ParameterError
from gmmaudio.hmm import Prior
from gmmaudio.hmm.alignment import baum_welch, best_path
from gmmaudio.hmm.estimation import Updates
from gmmaudio.hmm.prior import log_prior
from gmmaudio.hmm.sequences import SequenceSource
from gmmaudio.hmm.training import EmSteps, LocalData, feature_moments

N_PROBLEMS, N_ITERATIONS = 200, 8
FALL = 1e-10  # of the objective per frame: rounding of float64
FLOOR = 1e-12  # never reached: raising a variance to the floor is no ascent
UPDATES = (Updates(), Updates(means=False), Updates(covariances=False), Updates(weights=False), Updates(start=False))


def random_problem(seed):
    """A model, EM steps over random ragged sequences, and whether the objective is that of the best path."""
    rng = np.random.default_rng(seed)
    tied, left_right, ends = rng.random(3) < (0.3, 0.4, 0.3)
    n_features = int(rng.integers(1, 4))
    n_states = int(rng.integers(1, 5))
    numbers = [int(rng.integers(2, 5))] * n_states if tied else rng.integers(1, 4, n_states).tolist()
    kind = {"tied": tied, "left_right": left_right, "ends": ends and left_right}
    params, base = (random_hmm(rng, numbers, n_features, **kind) for _ in range(2))
    # Long enough that no Gaussian is left with a single frame, whose variance would go to the floor.
    lengths = [*rng.integers(n_states, 80, 6), 250]
    data = random_sequences(rng, lengths, n_features, missing=rng.choice([0.0, 0.2]))
    weights = rng.uniform(0.2, 1.5, sum(lengths)) if rng.random() < 0.3 else None
    steps = EmSteps(
        LocalData(SequenceSource(data, sample_weight=weights)),
        best_path if rng.random() < 0.25 else baum_welch,
        np.full(n_features, FLOOR),
        "double",
        min_occupancy=0.0,
        prior=Prior(base, float(rng.choice([0.5, 5.0]))) if rng.random() < 0.6 else None,
        updates=UPDATES[int(rng.integers(len(UPDATES)))],
    )
    return params, steps


@pytest.mark.parametrize("seed", range(N_PROBLEMS))
def test_the_objective_never_falls(seed):
    params, steps = random_problem(seed)
    objectives = []
    for _ in range(N_ITERATIONS):
        stats = steps.accumulate(params)
        prior = 0.0 if steps.prior is None else log_prior(params, steps.prior)
        objectives.append((stats.log_likelihood + prior) / stats.n_frames)
        params = steps.estimate(stats)
    assert (np.diff(objectives) > -FALL * (1.0 + np.abs(objectives[1:]))).all()


def test_moments_of_features_are_those_of_what_is_observed():
    rng = np.random.default_rng(0)
    data = random_sequences(rng, [700, 900, 1, 3], 3, missing=0.3)
    mean, variance = feature_moments(SequenceSource(data)).mean_and_variance()
    frames = np.concatenate(data)
    np.testing.assert_allclose(mean, np.nanmean(frames, axis=0), rtol=1e-12)
    np.testing.assert_allclose(variance, np.nanvar(frames, axis=0), rtol=1e-12)


def test_moments_of_features_keep_their_digits_at_an_offset_of_a_million():
    frames = np.random.default_rng(0).normal(0, 1, (5000, 2))
    _, variance = feature_moments(SequenceSource(frames + 1e6, [100] * 50)).mean_and_variance()
    np.testing.assert_allclose(variance, frames.var(axis=0), rtol=1e-8)  # x + 1e6 has ten digits left


def test_moments_of_a_constant_feature_are_exactly_zero():
    _, variance = feature_moments(SequenceSource(np.full((5000, 1), 1e6 + 0.1), [50] * 100)).mean_and_variance()
    np.testing.assert_array_equal(variance, 0.0)


def test_integer_weights_are_repetitions_in_the_moments():
    frames = np.random.default_rng(0).normal(0, 1, (50, 2))
    weights = np.random.default_rng(1).integers(0, 4, 50)
    found = feature_moments(SequenceSource(frames, sample_weight=weights))
    np.testing.assert_allclose(found, feature_moments(SequenceSource(np.repeat(frames, weights, axis=0))), rtol=1e-12)


def test_a_feature_that_is_missing_everywhere_is_named():
    with pytest.raises(ParameterError, match="feature 1 is missing"):
        feature_moments(SequenceSource(np.column_stack([np.ones(5), np.full(5, np.nan)]))).mean_and_variance()
