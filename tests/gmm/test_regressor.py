"""`GaussianMixtureRegressor`: least squares, bends, spread, files, scikit-learn's contract."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GaussianMixtureRegressor
from gmmaudio.persistence import load, save

RTOL_LEAST_SQUARES = 1e-10  # the normal equations of the mixture against LAPACK's least squares; measured 4e-14


def expected_failures(estimator):
    if estimator.n_components == 1:
        return {}
    reason = "k-means++ draws frames by their place, so repeated rows draw others than weights (as in scikit-learn)"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [GaussianMixtureRegressor(), GaussianMixtureRegressor(2)], expected_failed_checks=expected_failures
)
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def linear_data(n_frames=200, n_targets=2, noise=0.3, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(0, [1.0, 5.0, 0.1], (n_frames, 3))
    return X + offset, X @ rng.normal(0, 2, (3, n_targets)) + rng.normal(0, noise, (n_frames, n_targets)) + offset


def bent_data(n_frames=600, seed=0):
    """|x|, with a spread that grows to the right."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, n_frames)
    return x[:, np.newaxis], np.abs(x) + np.where(x > 0, 0.5, 0.05) * rng.standard_normal(n_frames)


@pytest.mark.parametrize("noise", [1.0, 1e-2])
def test_one_component_is_ordinary_least_squares(noise):
    X, y = linear_data(noise=noise)
    found, expected = GaussianMixtureRegressor().fit(X, y).predict(X), LinearRegression().fit(X, y).predict(X)
    np.testing.assert_allclose(found, expected, rtol=RTOL_LEAST_SQUARES, atol=RTOL_LEAST_SQUARES)


def test_one_component_is_ordinary_least_squares_at_an_offset_of_a_million():
    X, y = linear_data(offset=1e6)
    found = GaussianMixtureRegressor().fit(X, y).predict(X) - 1e6
    expected = LinearRegression().fit(X - 1e6, y - 1e6).predict(X - 1e6)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)  # x − 1e6 has ten digits left


def test_one_component_with_weights_is_weighted_least_squares():
    X, y = linear_data()
    weights = np.random.default_rng(1).uniform(0, 2, len(X))
    found = GaussianMixtureRegressor().fit(X, y, sample_weight=weights).predict(X)
    expected = LinearRegression().fit(X, y, sample_weight=weights).predict(X)
    np.testing.assert_allclose(found, expected, rtol=RTOL_LEAST_SQUARES, atol=RTOL_LEAST_SQUARES)


def test_the_covariance_of_one_component_is_that_of_the_residuals():
    X, y = linear_data()
    means, covariances = GaussianMixtureRegressor().fit(X, y).predict(X, return_cov=True)
    residuals = y - means
    expected = np.broadcast_to(residuals.T @ residuals / len(y), covariances.shape)
    np.testing.assert_allclose(covariances, expected, rtol=RTOL_LEAST_SQUARES)


def test_two_lines_follow_a_bend_and_know_where_it_spreads():
    X, y = bent_data()
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
    means, deviations = regressor.predict([[-2.0], [2.0]], return_std=True)
    np.testing.assert_allclose(means, [2.0, 2.0], rtol=0.05)  # sampling error of 300 frames
    np.testing.assert_allclose(deviations[1], 0.5, rtol=0.1)
    assert deviations[0] < 0.15  # a trace of the other line is left here, four units away
    assert regressor.score(X, y) > GaussianMixtureRegressor().fit(X, y).score(X, y) + 0.5


def test_the_log_density_prefers_the_model_that_knows_the_spread():
    X, y = bent_data(seed=1)
    tied = GaussianMixtureRegressor(2, covariance_type="tied", random_state=0).fit(*bent_data())
    full = GaussianMixtureRegressor(2, random_state=0).fit(*bent_data())
    assert full.log_likelihoods(X, y).mean() > tied.log_likelihoods(X, y).mean() + 0.1


def test_a_prediction_is_what_imputation_puts_in_the_place_of_the_target():
    X, y = bent_data()
    regressor = GaussianMixtureRegressor(3, random_state=0).fit(X, y)
    imputed = regressor.mixture_.impute(np.column_stack([X, np.full(len(X), np.nan)]))
    np.testing.assert_allclose(imputed[:, 1], regressor.predict(X), rtol=1e-9)  # float64


def test_samples_have_the_shape_and_the_place_of_the_targets():
    X, y = bent_data()
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y)
    drawn = regressor.sample(np.full((2000, 1), 2.0))
    assert drawn.shape == (2000,)
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [2.0, 0.5], rtol=0.1)


@pytest.mark.parametrize("n_targets", [None, 1, 3])
def test_predictions_have_the_shape_of_the_targets(n_targets):
    X, y = linear_data(n_targets=n_targets or 1)
    targets = y[:, 0] if n_targets is None else y
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, targets)
    means, deviations = regressor.predict(X[:5], return_std=True)
    assert means.shape == deviations.shape == regressor.sample(X[:5]).shape == targets[:5].shape
    assert regressor.predict(X[:5], return_cov=True)[1].shape == (5, n_targets or 1, n_targets or 1)


@pytest.mark.parametrize("n_targets", [None, 2])
def test_a_loaded_regressor_predicts_the_same_bits(n_targets, tmp_path):
    X, y = linear_data(n_targets=n_targets or 1)
    regressor = GaussianMixtureRegressor(2, random_state=0).fit(X, y[:, 0] if n_targets is None else y)
    save(regressor, tmp_path / "model.gmm")
    loaded = load(tmp_path / "model.gmm")
    assert loaded.get_params() == regressor.get_params()
    np.testing.assert_array_equal(loaded.predict(X), regressor.predict(X))


def test_a_file_with_more_targets_than_features_is_refused():
    stored = GaussianMixtureRegressor().fit(*linear_data()).to_stored()
    stored.config["n_targets"] = 5
    with pytest.raises(ParameterError, match="n_targets is 5"):
        GaussianMixtureRegressor.from_stored(stored)


def test_constant_inputs_and_targets_give_finite_predictions():
    X, y = np.full((50, 2), 7.0), np.full(50, 3.0)
    means, deviations = GaussianMixtureRegressor(3, random_state=0).fit(X, y).predict(X, return_std=True)
    np.testing.assert_allclose(means, y, rtol=1e-9)
    assert np.isfinite(deviations).all()


def test_spread_is_asked_for_in_one_form():
    regressor = GaussianMixtureRegressor().fit(*linear_data())
    with pytest.raises(ParameterError, match="both True"):
        regressor.predict([[0.0, 0.0, 0.0]], return_std=True, return_cov=True)


def test_an_unfitted_regressor_says_so():
    with pytest.raises(NotFittedError):
        GaussianMixtureRegressor().predict([[0.0]])
