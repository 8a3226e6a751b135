"""`StudentTMixture`: the contract of scikit-learn, files, streams, and what outliers do to it and to `GMM`."""

import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmaudio import load, save
from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GMM, StudentTMixture
from gmmaudio.gmm.student.parameters import StudentParams

OFFSET = 1e6
every_structure = pytest.mark.parametrize("name", STRUCTURE_NAMES)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        StudentTMixture(tol=1e-3),
        StudentTMixture(covariance_type="full", degrees_of_freedom=3.0, precision="single", tol=1e-2),
        StudentTMixture(2, covariance_type="tied", init="split", noise=True, tol=1e-2),
    ],
)
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


# What outliers do: a tenth of the frames is uniform over a box that is 20 σ wide and begins 5 σ to one side.


def contaminated(seed, centers):
    """2000 frames for each center in two dimensions, each replaced by an outlier with a probability of 0.1."""
    rng = np.random.default_rng(seed)
    centers = np.asarray(centers, dtype=np.float64)
    n_frames = 2000 * len(centers)
    frames = centers[rng.integers(len(centers), size=n_frames)] + rng.standard_normal((n_frames, 2))
    is_outlier = rng.random(n_frames) < 0.1
    corner = np.array([centers[:, 0].max() + 5.0, -10.0])
    frames[is_outlier] = rng.uniform(corner, corner + 20.0, (is_outlier.sum(), 2))
    return frames, is_outlier


def largest_error(model, centers):
    """The largest error of any mean in any feature, in σ."""
    order = model.means_[:, 0].argsort()
    return np.abs(model.means_[order] - centers).max()


@pytest.mark.parametrize("centers", [[[0.0, 0.0]], [[-4.0, 0.0], [4.0, 0.0]]], ids=["one", "two"])
@pytest.mark.parametrize("seed", range(20, 25))
def test_means_are_recovered_where_the_gaussian_mixture_is_off(seed, centers):
    frames, _ = contaminated(seed, centers)
    n_components = len(centers)
    assert largest_error(GMM(n_components, random_state=seed).fit(frames), centers) > 1.0
    assert largest_error(StudentTMixture(n_components, random_state=seed).fit(frames), centers) < 0.1


@pytest.mark.parametrize("degrees", [None, np.inf])
def test_with_noise_outliers_are_found_and_means_recovered(degrees):
    centers = [[-4.0, 0.0], [4.0, 0.0]]
    frames, is_outlier = contaminated(20, centers)
    model = StudentTMixture(2, noise=True, degrees_of_freedom=degrees, random_state=0).fit(frames)
    assert largest_error(model, centers) < 0.1
    assert (model.predict(frames)[is_outlier] == -1).mean() > 0.99
    assert (model.predict(frames)[~is_outlier] == -1).mean() < 0.02
    assert abs(model.noise_weight_ - is_outlier.mean()) < 0.02


def test_outliers_at_any_distance_leave_start_and_floor_alone():
    frames, is_outlier = contaminated(0, [[-4.0, 0.0], [4.0, 0.0]])
    frames[is_outlier] *= 1e9
    model = StudentTMixture(2, random_state=0).fit(frames)
    assert largest_error(model, [[-4.0, 0.0], [4.0, 0.0]]) < 0.1
    assert (model.variance_floor_ < 0.1).all()


def test_a_small_cluster_far_from_the_others_is_not_taken_for_outliers():
    rng = np.random.default_rng(0)
    centers = np.array([[-4.0, 0.0], [4.0, 0.0], [0.0, 15.0]])
    frames = np.repeat(centers, [950, 950, 60], axis=0) + rng.standard_normal((1960, 2))
    model = StudentTMixture(3, random_state=0).fit(frames)
    assert all(np.linalg.norm(model.means_ - center, axis=1).min() < 0.5 for center in centers)


# What a mixture of Gaussians does, done too


@pytest.fixture(scope="module", name="X")
def three_heavy_clusters():
    rng = np.random.default_rng(0)
    return np.concatenate([center + rng.standard_t(3, (400, 2)) for center in ([-15, 0], [0, 15], [15, 0])])


@every_structure
def test_finds_clusters_and_tails(name, X):
    model = StudentTMixture(3, covariance_type=name, random_state=0).fit(X)
    order = model.means_[:, 0].argsort()
    np.testing.assert_allclose(model.means_[order], [[-15, 0], [0, 15], [15, 0]], atol=0.3)  # five errors
    assert (model.degrees_of_freedom_ < 8.0).all()
    assert model.converged_


def test_with_infinite_degrees_of_freedom_training_is_that_of_gaussians(X):
    options = {"tol": 0.0, "max_iter": 10, "init": "kmeans++", "precision": "double", "random_state": 0}
    gaussians = GMM(3, **options).fit(X)
    ours = StudentTMixture(3, degrees_of_freedom=np.inf, **options).fit(X)
    np.testing.assert_allclose(ours.means_, gaussians.means_, rtol=1e-9)
    np.testing.assert_allclose(ours.score_samples(X), gaussians.score_samples(X), rtol=1e-9)
    np.testing.assert_allclose([ours.bic(X), ours.aic(X)], [gaussians.bic(X), gaussians.aic(X)], rtol=1e-9)


def test_criteria_count_degrees_of_freedom_and_noise(X):
    plain = StudentTMixture(3, degrees_of_freedom=4.0, random_state=0, tol=1e-2).fit(X)
    more = StudentTMixture(3, noise=True, random_state=0, tol=1e-2).fit(X)
    for model, n_parameters in ((plain, 2 + 6 + 6), (more, 2 + 6 + 6 + 3 + 1)):
        np.testing.assert_allclose(model.aic(X) + 2.0 * model.score_samples(X).sum(), 2.0 * n_parameters)


def test_the_same_bits_from_an_array_from_chunks_and_from_a_file(X, tmp_path):
    np.save(tmp_path / "frames.npy", X)
    model = StudentTMixture(3, noise=True, random_state=0, tol=1e-2)
    from_array = model.fit(X).params_
    for source in ([X[:1], X[1:700], X[700:]], lambda: iter(np.array_split(X, 5)), [tmp_path / "frames.npy"]):
        params = model.fit(source).params_
        np.testing.assert_array_equal(params.components.means, from_array.components.means)
        np.testing.assert_array_equal(params.degrees_of_freedom, from_array.degrees_of_freedom)
        assert params.noise_weight == from_array.noise_weight


def test_integer_weights_equal_duplication(X):
    start = {
        "weights_init": np.full(3, 1 / 3),
        "means_init": [[-15, 0], [0, 15], [15, 0]],
        "covariances_init": np.ones((3, 2)),
    }
    model = StudentTMixture(3, max_iter=10, tol=0.0, **start)
    counts = np.arange(len(X)) % 3
    weighted = model.fit(X, sample_weight=counts).params_
    repeated = model.fit(np.repeat(X, counts, axis=0)).params_
    np.testing.assert_allclose(weighted.components.means, repeated.components.means, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(weighted.degrees_of_freedom, repeated.degrees_of_freedom, rtol=1e-6)  # of a root


def test_a_frame_of_weight_zero_does_not_widen_the_box_of_noise(X):
    weights = np.ones(len(X))
    weights[0] = 0.0
    moved = X.copy()
    moved[0] = 1e6
    model = StudentTMixture(noise=True, tol=1e-2, random_state=0)
    expected = model.fit(X, sample_weight=weights).params_.noise.high
    np.testing.assert_array_equal(model.fit(moved, sample_weight=weights).params_.noise.high, expected)


def test_fit_finds_the_same_at_an_offset(X):
    near, far = (StudentTMixture(3, random_state=0).fit(X + offset) for offset in (0.0, OFFSET))
    np.testing.assert_allclose(far.means_ - OFFSET, near.means_, atol=1e-4)
    np.testing.assert_allclose(far.degrees_of_freedom_, near.degrees_of_freedom_, rtol=1e-3)


@every_structure
@pytest.mark.parametrize("noise", [False, True])
def test_constant_features_duplicates_and_more_components_than_frames_give_numbers(name, noise):
    frames = np.hstack([np.repeat([[0.0], [1.0], [4.0]], 5, axis=0), np.full((15, 1), 7.0)])
    model = StudentTMixture(20, covariance_type=name, noise=noise, random_state=0, tol=1e-2).fit(frames)
    assert np.isfinite(model.score_samples(frames)).all()


def test_one_frame_is_enough():
    assert np.isfinite(StudentTMixture(noise=True).fit([[1.0, 2.0]]).score([[1.0, 2.0]]))


@pytest.mark.parametrize(
    "options",
    [
        {"degrees_of_freedom": np.inf, "noise": True, "noise_volume": 1e4},
        {"degrees_of_freedom": np.float64(2.5), "random_state": np.int64(1)},
        {"covariance_type": "full"},
    ],
)
def test_a_loaded_model_scores_with_the_same_bits(options, X, tmp_path):
    model = StudentTMixture(3, **{"tol": 1e-2, "random_state": 0} | options).fit(X)
    save(model, tmp_path / "model.gmm")
    loaded = load(tmp_path / "model.gmm")
    np.testing.assert_array_equal(loaded.score_samples(X), model.score_samples(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert loaded.get_params() == model.get_params()
    assert (loaded.history_, loaded.converged_) == (model.history_, model.converged_)


def test_parameters_alone_can_be_saved(X, tmp_path):
    params = StudentTMixture(3, noise=True, degrees_of_freedom=np.inf, tol=1e-2, random_state=0).fit(X).params_
    save(params, tmp_path / "params.gmm")
    loaded = load(tmp_path / "params.gmm")
    assert isinstance(loaded, StudentParams)
    np.testing.assert_array_equal(loaded.degrees_of_freedom, params.degrees_of_freedom)
    np.testing.assert_array_equal(loaded.noise.high, params.noise.high)


def test_the_volume_of_noise_may_be_given(X):
    model = StudentTMixture(3, noise=True, noise_volume=1e4, tol=1e-2, random_state=0).fit(X)
    np.testing.assert_allclose(np.exp(model.params_.noise.log_volume), 1e4, rtol=1e-12)


def test_probabilities_of_noise_are_in_the_last_column_and_of_frames_that_are_drawn(X):
    model = StudentTMixture(3, noise=True, random_state=0, tol=1e-2).fit(X)
    frames, components = model.sample(300)
    assert frames.shape == (300, 2)
    assert set(components) <= {-1, 0, 1, 2}
    assert model.predict_proba(frames).shape == (300, 4)
    labels = model.predict_proba(frames).argmax(axis=1)
    np.testing.assert_array_equal(np.where(labels == 3, -1, labels), model.predict(frames))


def test_missing_features_are_refused(X):
    with pytest.raises(ParameterError, match="X holds NaN"):
        StudentTMixture(2).fit([X, np.full((1, 2), np.nan)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degrees_of_freedom": 0.0}, "degrees_of_freedom is 0.0"),
        ({"degrees_of_freedom": np.nan}, "degrees_of_freedom is nan"),
        ({"noise_volume": 2.0}, "needs noise=True"),
        ({"noise": True, "noise_volume": -1.0}, "noise_volume is -1.0"),
        ({"n_components": 0}, "n_components"),
        ({"covariance_type": "round"}, "covariance_type"),
        ({"variance_floor": 0.0}, "variance_floor"),
        ({"init": "luck"}, "init is 'luck'"),
        ({"precision": "half"}, "precision is 'half'"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options, message, X):
    with pytest.raises(ParameterError, match=message):
        StudentTMixture(**options).fit(X)
