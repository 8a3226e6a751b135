import copy
import pickle

import numpy as np
import pytest
from hmm.models import random_emissions, random_mixture
from scipy.special import logsumexp
from scipy.stats import norm

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, frame_log_likelihoods
from gmmaudio.hmm.emissions import MixtureEmissions, TiedEmissions

RTOL = 1e-10  # float64, sums of a handful of terms
KINDS = pytest.mark.parametrize("tied", [False, True])


def emissions_of(tied, seed=0, n_features=3):
    return random_emissions(np.random.default_rng(seed), (4, 4) if tied else (1, 4, 2), n_features, tied=tied)


def brute_force(emissions, frames):
    """Every Gaussian of every state, over what is observed of the frame."""
    if isinstance(emissions, TiedEmissions):
        book = emissions.codebook
        states = [(weights, book.means, book.variances) for weights in emissions.weights]
    else:
        states = [(m.weights, m.means, m.variances) for m in emissions.mixtures]
    result = np.empty((len(frames), len(states)))
    for t, frame in enumerate(frames):
        seen = ~np.isnan(frame)
        for s, (weights, means, variances) in enumerate(states):
            logs = norm.logpdf(frame[seen], means[:, seen], np.sqrt(variances[:, seen])).sum(axis=1)
            result[t, s] = logsumexp(logs, b=weights)
    return result


@KINDS
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_likelihoods_are_sums_over_the_gaussians_of_the_state(tied, missing):
    rng = np.random.default_rng(1)
    frames = np.where(rng.random((50, 3)) < missing, np.nan, rng.normal(0, 3, (50, 3)))
    found = emissions_of(tied).frame_log_likelihoods(frames, precision="double")
    np.testing.assert_allclose(found, brute_force(emissions_of(tied), frames), rtol=RTOL, atol=RTOL)


def test_one_state_has_the_likelihoods_of_the_mixture():
    mixture = random_mixture(np.random.default_rng(0), 4, 3)
    frames = np.random.default_rng(1).normal(0, 3, (50, 3))
    found = MixtureEmissions([mixture]).frame_log_likelihoods(frames, precision="double")[:, 0]
    np.testing.assert_allclose(found, frame_log_likelihoods(mixture, frames, precision="double"), rtol=RTOL)


@KINDS
def test_a_frame_has_the_same_bits_alone_and_in_a_batch(tied):
    frames = np.random.default_rng(1).normal(0, 3, (70, 3))
    frames[::7, 1] = np.nan
    emissions = emissions_of(tied)
    alone = np.vstack([emissions.frame_log_likelihoods(frame[np.newaxis]) for frame in frames])
    np.testing.assert_array_equal(alone, emissions.frame_log_likelihoods(frames))


@KINDS
def test_far_frames_have_finite_likelihoods_in_every_state(tied):
    found = emissions_of(tied).frame_log_likelihoods(np.full((1, 3), 1e4), precision="double")
    np.testing.assert_allclose(found, brute_force(emissions_of(tied), np.full((1, 3), 1e4)), rtol=RTOL)


def test_a_state_whose_gaussians_are_a_thousand_nats_behind_keeps_its_likelihood():
    """exp(−1000) is 0 in float64, but nothing is clamped."""
    codebook = GmmParams([0.5, 0.5], [[0.0], [100.0]], [[1.0], [1.0]])
    emissions = TiedEmissions(codebook, [[1.0, 0.0], [0.0, 1.0]])
    expected = norm.logpdf([[0.0, 100.0]])
    np.testing.assert_allclose(emissions.frame_log_likelihoods([[0.0]], precision="double"), expected, rtol=RTOL)


@KINDS
def test_copies_are_equal(tied):
    frames = np.zeros((1, 3))
    for twin in (copy.deepcopy(emissions_of(tied)), pickle.loads(pickle.dumps(emissions_of(tied)))):
        np.testing.assert_array_equal(
            twin.frame_log_likelihoods(frames), emissions_of(tied).frame_log_likelihoods(frames)
        )


def test_free_parameters_are_counted():
    assert emissions_of(False).n_parameters == 7 * 6 + (0 + 3 + 1)
    assert emissions_of(True).n_parameters == 4 * 6 + 2 * 3


def test_arrays_make_the_mixtures_again():
    emissions = emissions_of(False)
    again = MixtureEmissions.from_pool(*emissions.to_arrays().values())
    for mixture, twin in zip(emissions.mixtures, again.mixtures, strict=True):
        np.testing.assert_array_equal(mixture.weights, twin.weights)
        np.testing.assert_array_equal(mixture.means, twin.means)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MixtureEmissions([]), "mixtures is empty"),
        (lambda: MixtureEmissions([random_mixture(np.random.default_rng(0), 2, d) for d in (2, 3)]), "features"),
        (lambda: TiedEmissions(random_mixture(np.random.default_rng(0), 2, 1), [[0.5, 0.6]]), "sum to 1"),
        (lambda: TiedEmissions(random_mixture(np.random.default_rng(0), 2, 1), [[1.0]]), "weights has shape"),
        (lambda: MixtureEmissions.from_pool([2], np.ones(1), np.ones((1, 1)), np.ones((1, 1))), "add up"),
    ],
)
def test_impossible_emissions_are_refused(build, message):
    with pytest.raises(ParameterError, match=message):
        build()
