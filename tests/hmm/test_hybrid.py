import numpy as np
import pytest
from numpy.testing import assert_allclose

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams
from gmmaudio.hmm import MixtureEmissions, forward_backward, scaled_log_likelihoods, viterbi

RTOL = 1e-10  # of float64 recursions
EMISSIONS = MixtureEmissions([GmmParams([1.0], [[mean]], [[1.0]]) for mean in (0.0, 1.0, 3.0)])
FRAMES = np.random.default_rng(0).normal(1.0, 2.0, (30, 1))
LIKELIHOODS = EMISSIONS.frame_log_likelihoods(FRAMES, precision="double")
PRIORS = np.array([0.5, 0.3, 0.2])
CHAIN = [0.6, 0.4, 0.0], [[0.7, 0.3, 0.0], [0.1, 0.6, 0.3], [0.2, 0.0, 0.8]]


def bayes(priors):
    """The posteriors of a perfect classifier of the states, by Bayes' rule."""
    joint = np.exp(LIKELIHOODS) * priors
    return joint / joint.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("priors", [PRIORS, np.full(3, 1 / 3)])
def test_a_perfect_classifier_gives_the_posteriors_and_the_path_of_its_densities(priors):
    expected = forward_backward(*CHAIN, LIKELIHOODS)
    scaled = scaled_log_likelihoods(bayes(priors), priors)
    assert_allclose(forward_backward(*CHAIN, scaled).state_posteriors, expected.state_posteriors, rtol=RTOL)
    np.testing.assert_array_equal(viterbi(*CHAIN, scaled).path, viterbi(*CHAIN, LIKELIHOODS).path)


def test_the_difference_from_the_densities_is_one_number_for_each_frame():
    difference = LIKELIHOODS - scaled_log_likelihoods(bayes(PRIORS), PRIORS)
    assert_allclose(difference, np.log(np.exp(LIKELIHOODS) @ PRIORS)[:, np.newaxis] + np.zeros((30, 3)), rtol=1e-9)


def test_what_is_impossible_or_was_never_a_target_is_minus_infinity():
    found = scaled_log_likelihoods([[1.0, 0.0, 0.0], [0.5, 0.25, 0.25]], [0.5, 0.5, 0.0])
    assert_allclose(found, [[np.log(2), -np.inf, -np.inf], [0.0, np.log(0.5), -np.inf]], rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(
    ("posteriors", "priors", "message"),
    [
        ([[0.5, 0.4]], [0.5, 0.5], "state_posteriors must not be negative and must sum to 1"),
        ([[0.5, 0.5]], [0.7, 0.5], "state_priors must not be negative and must sum to 1"),
        ([[1.5, -0.5]], [0.5, 0.5], "state_posteriors must not be negative"),
        ([[0.5, 0.5]], [1.0], r"state_priors has shape \(1,\)"),
        ([[np.nan, 0.5]], [0.5, 0.5], "state_posteriors holds NaN"),
    ],
)
def test_what_are_no_probabilities_is_refused(posteriors, priors, message):
    with pytest.raises(ParameterError, match=message):
        scaled_log_likelihoods(posteriors, priors)
