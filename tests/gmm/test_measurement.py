"""The mixture of frames and noisy measurements of them."""

import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES, matrices_of, random_mixture

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import ConditionalMixture, GmmParams, with_measurement

RTOL = 1e-10  # float64
INSTRUMENT = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 1.0]])


@pytest.mark.parametrize("name", STRUCTURE_NAMES)
def test_the_guess_given_a_measurement_is_that_of_a_kalman_update_of_each_component(name):
    params = random_mixture(name, 0, n_components=2, n_features=3)
    noise = np.array([0.3, 0.7])
    mixture = ConditionalMixture(with_measurement(params, noise, matrix=INSTRUMENT), given=[3, 4]).at([0.4, -1.0])
    for k, (mean, matrix) in enumerate(zip(params.means, matrices_of(params), strict=True)):
        gain = matrix @ INSTRUMENT.T @ np.linalg.inv(INSTRUMENT @ matrix @ INSTRUMENT.T + np.diag(noise))
        expected = mean + gain @ (np.array([0.4, -1.0]) - INSTRUMENT @ mean)
        np.testing.assert_allclose(mixture.means[k], expected, rtol=RTOL)
        remaining = (np.eye(3) - gain @ INSTRUMENT) @ matrix
        np.testing.assert_allclose(mixture.covariances.array[k], remaining, rtol=RTOL, atol=RTOL)


def test_a_measurement_with_little_noise_is_believed():
    params = random_mixture("full", 1, n_components=3, n_features=3)
    frames = np.random.default_rng(0).normal(size=(20, 3))
    mixture = ConditionalMixture(with_measurement(params, 1e-8), given=[3, 4, 5])
    np.testing.assert_allclose(mixture.means(frames), frames, atol=1e-5)  # 1e-8 over a variance of 0.05 and more


def test_the_error_that_is_made_is_the_variance_that_is_said():
    params = GmmParams([0.3, 0.7], [[-4.0, 0.0], [4.0, 1.0]], [[1.0, 0.2], [0.1, 2.0]])
    rng = np.random.default_rng(0)
    component = rng.choice(2, 20_000, p=params.weights)
    frames = params.means[component] + np.sqrt(params.variances[component]) * rng.standard_normal((20_000, 2))
    mixture = ConditionalMixture(with_measurement(params, 4.0), given=[2, 3])
    measured = frames + 2.0 * rng.standard_normal(frames.shape)
    error = np.square(mixture.means(measured) - frames).mean(axis=0)
    np.testing.assert_allclose(error, mixture.variances(measured).mean(axis=0), rtol=0.05)  # of 20,000 squares


@pytest.mark.parametrize("noise", [0.0, -1.0, np.nan, [1.0, 0.0, 1.0]])
def test_noise_must_be_positive(noise):
    with pytest.raises(ParameterError, match="positive"):
        with_measurement(random_mixture("diag", 0, 2, 3), noise)


def test_the_instrument_must_fit_the_features():
    with pytest.raises(ParameterError, match="2 columns"):
        with_measurement(random_mixture("diag", 0, 2, 3), 1.0, matrix=np.eye(2))
