"""Marginal and conditional mixtures against SciPy's densities, numerical integration and linear regression."""

import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES, log_joint, matrices_of, random_mixture
from scipy import stats
from scipy.integrate import trapezoid
from scipy.special import logsumexp

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import ConditionalMixture, GmmParams, condition, frame_log_likelihoods, marginal
from gmmaudio.gmm.covariances import Full

RTOL = 1e-9  # float64; covariances of condition 1e3
RTOL_OFFSET = 1e-6  # x − 1e6 has ten digits left
GIVEN = [3, 0]
REST = [1, 2]

ALL_STRUCTURES = pytest.mark.parametrize("name", STRUCTURE_NAMES)


def four_features(name, offset=0.0):
    return random_mixture(name, 0, n_components=3, n_features=4, offset=offset)


def frames(n_frames, seed=1, n_features=4):
    return np.random.default_rng(seed).normal(0, 2, (n_frames, n_features))


def log_density(params, rows):
    return logsumexp(log_joint(params, rows), axis=1)


def integral(params, x, power=0):
    """∫ y^power p(x, y) dy of two features, by the trapezoidal rule, which is exact to rounding for such densities."""
    y = np.linspace(-30, 30, 6001)
    return trapezoid(y**power * np.exp(log_density(params, np.column_stack([np.full_like(y, x), y]))), y)


def log_ratio(params, rows):
    """log p(x, y) − log p(x) by SciPy."""
    matrices = [matrix[np.ix_(GIVEN, GIVEN)] for matrix in matrices_of(params)]
    parts = [
        np.log(weight) + stats.multivariate_normal(mean[GIVEN], matrix).logpdf(rows[:, GIVEN])
        for weight, mean, matrix in zip(params.weights, params.means, matrices, strict=True)
    ]
    return log_density(params, rows) - logsumexp(parts, axis=0)


@ALL_STRUCTURES
def test_the_marginal_keeps_its_structure_and_has_the_density_of_the_named_features(name):
    params = four_features(name)
    found = marginal(params, GIVEN)
    assert found.covariances.name == name
    expected = np.stack(matrices_of(params))[:, GIVEN][:, :, GIVEN]
    np.testing.assert_allclose(found.covariances.matrices(3, 2), expected, rtol=RTOL)
    np.testing.assert_allclose(found.means, params.means[:, GIVEN], rtol=RTOL)


def test_the_marginal_is_what_integrating_the_others_out_leaves():
    params = random_mixture("full", 3, n_components=2, n_features=2)
    found = np.exp(frame_log_likelihoods(marginal(params, [0]), [[0.3]], precision="double"))
    np.testing.assert_allclose(found, integral(params, 0.3), rtol=RTOL)


@ALL_STRUCTURES
def test_the_conditional_density_is_the_ratio_of_joint_and_marginal(name):
    params, rows = four_features(name), frames(20)
    found = [
        frame_log_likelihoods(condition(params, (GIVEN, row[GIVEN])), [row[REST]], precision="double")[0]
        for row in rows
    ]
    np.testing.assert_allclose(found, log_ratio(params, rows), rtol=RTOL)


@ALL_STRUCTURES
def test_log_likelihoods_of_the_others_are_the_ratio_of_joint_and_marginal(name):
    params, rows = four_features(name), frames(20)
    found = ConditionalMixture(params, GIVEN).log_likelihoods(rows[:, GIVEN], rows[:, REST])
    np.testing.assert_allclose(found, log_ratio(params, rows), rtol=RTOL)


def test_mean_and_variance_are_those_of_the_density_integrated_numerically():
    params = random_mixture("full", 5, n_components=3, n_features=2)
    mixture = ConditionalMixture(params, [0])
    for x in (-2.0, 0.1, 3.0):
        moments = [integral(params, x, power) for power in range(3)]
        mean = moments[1] / moments[0]
        np.testing.assert_allclose(mixture.means([[x]]), mean, rtol=RTOL)
        np.testing.assert_allclose(mixture.variances([[x]]), moments[2] / moments[0] - mean**2, rtol=RTOL)


@ALL_STRUCTURES
def test_moments_of_many_frames_are_those_of_each_frames_mixture(name):
    params, values = four_features(name), frames(15, n_features=2)
    mixture = ConditionalMixture(params, GIVEN)
    for row, mean, covariance in zip(values, mixture.means(values), mixture.covariances(values), strict=True):
        one = condition(params, dict(zip(GIVEN, row, strict=True)))
        within = np.einsum("k,kij->ij", one.weights, one.covariances.matrices(3, 2))
        deviations = one.means - one.weights @ one.means
        np.testing.assert_allclose(mean, one.weights @ one.means, rtol=RTOL)
        np.testing.assert_allclose(covariance, within + (one.weights * deviations.T) @ deviations, rtol=RTOL)


def test_variances_are_the_diagonals_of_the_covariances():
    mixture, values = ConditionalMixture(four_features("full"), GIVEN), frames(600, n_features=2)
    diagonals = np.diagonal(mixture.covariances(values), axis1=1, axis2=2)
    np.testing.assert_allclose(mixture.variances(values), diagonals, rtol=RTOL)


@ALL_STRUCTURES
def test_features_may_be_given_one_after_the_other_in_any_order(name):
    params = four_features(name)
    at_once = condition(params, {0: 0.5, 3: -1.0})
    for steps in (({0: 0.5}, {2: -1.0}), ({3: -1.0}, {0: 0.5})):
        one_by_one = condition(condition(params, steps[0]), steps[1])
        np.testing.assert_allclose(one_by_one.weights, at_once.weights, rtol=RTOL)
        np.testing.assert_allclose(one_by_one.means, at_once.means, rtol=RTOL)
        np.testing.assert_allclose(one_by_one.covariances.array, at_once.covariances.array, rtol=RTOL)


@ALL_STRUCTURES
def test_an_offset_of_a_million_changes_nothing_but_the_place(name):
    near, far = four_features(name), four_features(name, offset=1e6)
    values = frames(30, n_features=2)
    here, there = ConditionalMixture(near, GIVEN), ConditionalMixture(far, GIVEN)
    np.testing.assert_allclose(there.means(values + 1e6) - 1e6, here.means(values), rtol=RTOL_OFFSET, atol=RTOL_OFFSET)
    np.testing.assert_allclose(there.covariances(values + 1e6), here.covariances(values), rtol=RTOL_OFFSET, atol=1e-8)


@ALL_STRUCTURES
def test_a_frame_has_the_same_bits_alone_and_in_a_batch(name):
    mixture, values = ConditionalMixture(four_features(name), GIVEN), frames(530, n_features=2)
    for of in (mixture.means, mixture.variances, mixture.covariances):
        together = of(values)
        np.testing.assert_array_equal(np.concatenate([of(values[:1]), of(values[1:514]), of(values[514:])]), together)


@ALL_STRUCTURES
def test_a_component_of_weight_0_plays_no_part(name):
    params = four_features(name)
    weights = np.array([0.4, 0.0, 0.6])
    array = params.covariances.array
    kept = array if name == "tied" else array[[0, 2]]
    with_empty = ConditionalMixture(GmmParams(weights, params.means, params.covariances), GIVEN)
    without = ConditionalMixture(
        GmmParams(weights[[0, 2]], params.means[[0, 2]], type(params.covariances)(kept)), GIVEN
    )
    values = frames(10, n_features=2)
    np.testing.assert_allclose(with_empty.covariances(values), without.covariances(values), rtol=RTOL)


@ALL_STRUCTURES
@pytest.mark.parametrize("distance", [1e3, 1e8, 1e20, 1e100])
def test_frames_far_from_all_components_are_never_nan(name, distance):
    mixture = ConditionalMixture(four_features(name), GIVEN)
    far = np.array([[distance, 0.0], [0.0, -distance], [distance, distance]])
    for found in (mixture.means(far), mixture.variances(far), mixture.covariances(far)):
        assert np.isfinite(found).all()
    np.testing.assert_allclose(mixture.at(far[0]).weights.sum(), 1.0, rtol=RTOL)


def test_no_frames_give_no_frames():
    mixture = ConditionalMixture(four_features("full"), GIVEN)
    assert mixture.means(np.empty((0, 2))).shape == (0, 2)
    assert mixture.covariances(np.empty((0, 2))).shape == (0, 2, 2)


def test_samples_have_the_mean_and_the_covariance_of_the_density():
    mixture, n_samples = ConditionalMixture(four_features("full"), GIVEN), 40_000
    value = np.array([[0.5, -0.5]])
    drawn = mixture.sample(np.repeat(value, n_samples, axis=0), np.random.RandomState(0))
    covariance = mixture.covariances(value)[0]
    error = np.sqrt(np.diagonal(covariance) / n_samples)
    assert (np.abs(drawn.mean(axis=0) - mixture.means(value)[0]) < 4 * error).all()
    np.testing.assert_allclose(np.cov(drawn.T), covariance, rtol=0.05, atol=0.02)  # 40,000 draws of heavy tails


def test_samples_come_from_the_component_that_the_given_features_name():
    params = GmmParams([0.5, 0.5], [[-50.0, -9.0], [50.0, 9.0]], Full(np.tile(0.01 * np.eye(2), (2, 1, 1))))
    drawn = ConditionalMixture(params, [0]).sample([[-50.0], [50.0]] * 50, np.random.RandomState(1))
    assert (np.sign(drawn[:, 0]) == [-1, 1] * 50).all()


@pytest.mark.parametrize("features", [[], [4], [-1], [0, 0], [0.0], [[0]], "ab"])
def test_features_that_do_not_exist_are_refused(features):
    with pytest.raises(ParameterError, match="features are"):
        marginal(four_features("diag"), features)


def test_nothing_is_left_where_all_is_given():
    with pytest.raises(ParameterError, match="nothing is left"):
        ConditionalMixture(four_features("diag"), range(4))


def test_values_must_fit_the_given_features():
    with pytest.raises(ParameterError, match="2 given features"):
        condition(four_features("diag"), ([0, 1], [1.0]))
    with pytest.raises(ParameterError, match="NaN"):
        condition(four_features("diag"), {0: np.nan})
