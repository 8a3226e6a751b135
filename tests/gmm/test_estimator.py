import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from oracles import gmm_frame_log_likelihoods
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmmaudio.em import ROUNDING
from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GMM, GmmParams, accumulate_stats, estimate_ml

METHODS = ("kmeans++", "trimmed", "greedy", "split", "random")
RTOL_SINGLE = 1e-3  # a training in float32 ends a little elsewhere


def expected_failures(estimator):
    if estimator.init != "kmeans++" or estimator.n_components == 1:
        return {}
    reason = "k-means++ draws frames by their place, so repeated rows draw others than weights (as in scikit-learn)"
    return {"check_sample_weight_equivalence_on_dense_data": reason}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        GMM(),
        GMM(2),
        GMM(2, init="split", precision="double"),
        GMM(covariance_type="full"),
        GMM(2, covariance_type="tied"),
    ],
    expected_failed_checks=expected_failures,
)
def test_keeps_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module", name="X")
def three_clusters():
    """Three clusters of unequal size in two dimensions."""
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(m, s, (n, 2)) for m, s, n in ((-4, 1, 300), (0, 0.5, 600), (5, 2, 100))])


@pytest.mark.parametrize("init", METHODS)
def test_finds_the_clusters(X, init):
    gmm = GMM(3, init=init, random_state=0, max_iter=200, tol=1e-6).fit(X)
    order = gmm.means_[:, 0].argsort()
    np.testing.assert_allclose(gmm.weights_[order], [0.3, 0.6, 0.1], atol=0.02)
    np.testing.assert_allclose(gmm.means_[order, 0], [-4, 0, 5], atol=0.6)  # three standard errors of the widest


def test_log_likelihood_is_as_good_as_scikit_learn(X):
    peer = GaussianMixture(3, covariance_type="diag", random_state=0, tol=1e-6, max_iter=200).fit(X)
    assert GMM(3, random_state=0, tol=1e-6, max_iter=200).fit(X).score(X) > peer.score(X) - 1e-3


def test_a_full_set_of_init_parameters_is_where_em_starts(X):
    start = {"weights_init": [0.5, 0.5], "means_init": [[-1.0, 0.0], [1.0, 0.0]], "covariances_init": np.ones((2, 2))}
    gmm = GMM(2, **start, max_iter=1, tol=0.0, precision="double").fit(X)
    expected = gmm_frame_log_likelihoods(*(np.asarray(value) for value in start.values()), X).mean()
    np.testing.assert_allclose(gmm.history_, [expected], rtol=1e-12)


def test_a_full_set_of_init_parameters_makes_the_random_state_irrelevant(X):
    start = {"weights_init": [0.5, 0.5], "means_init": X[:2], "covariances_init": np.ones((2, 2))}
    first, second = (GMM(2, **start, random_state=seed).fit(X) for seed in (0, 1))
    np.testing.assert_array_equal(first.means_, second.means_)


def test_a_partial_set_of_init_parameters_is_completed(X):
    gmm = GMM(2, means_init=[[-4.0, -4.0], [0.0, 0.0]], random_state=0, tol=1e-6).fit(X)
    assert gmm.means_[0, 0] < gmm.means_[1, 0]


def test_tol_zero_runs_all_iterations_without_a_warning(X):
    assert GMM(2, tol=0.0, max_iter=7, random_state=0).fit(X).n_iter_ == 7


def test_iteration_limit_is_a_warning_and_not_convergence(X):
    with pytest.warns(ConvergenceWarning, match="max_iter=2"):
        gmm = GMM(3, init="random", max_iter=2, tol=1e-9, random_state=0).fit(X)
    assert not gmm.converged_


def test_history_never_falls(X):
    history = GMM(6, random_state=0, tol=0.0, max_iter=50, precision="double").fit(X).history_
    assert (np.diff(history) > -1e-12).all()


def test_callback_sees_every_iteration(X):
    calls = []
    gmm = GMM(2, tol=0.0, max_iter=5, random_state=0).fit(X, callback=lambda *call: calls.append(call))
    assert [iteration for iteration, _, _ in calls] == [1, 2, 3, 4, 5]
    assert gmm.history_ == tuple(mean for _, _, mean in calls)


def test_training_resumed_from_a_checkpoint_has_the_same_bits(X):
    seen = {}
    whole = GMM(3, tol=0.0, max_iter=9, random_state=0).fit(X, callback=lambda i, params, _: seen.update({i: params}))
    checkpoint = seen[5]
    start = {name + "_init": getattr(checkpoint, name) for name in ("weights", "means")}
    resumed = GMM(3, tol=0.0, max_iter=5, covariances_init=checkpoint.variances, **start).fit(X)
    np.testing.assert_array_equal(resumed.means_, whole.means_)


@pytest.fixture(scope="module")
def overlapping():
    """Frames to train on and to judge by, of components that overlap, so that EM is slow."""
    rng = np.random.default_rng(0)
    frames = rng.normal(0, 1, (40, 4))[rng.integers(40, size=8000)] + rng.normal(0, 0.7, (8000, 4))
    return frames[:6000], frames[6000:]


def plain_em(frames, n_iterations):
    return GMM(40, tol=0.0, max_iter=n_iterations, random_state=0).fit(frames)


def test_over_relaxation_is_better_than_half_as_many_more_plain_iterations(overlapping):
    frames, held_out = overlapping
    relaxed = GMM(40, tol=1e-4, max_iter=200, random_state=0).fit(frames)
    plain = plain_em(frames, 3 * relaxed.n_iter_ // 2)
    assert relaxed.score(frames) > plain.score(frames)
    assert relaxed.score(held_out) > plain.score(held_out) - 1e-2


def test_an_over_relaxed_training_never_becomes_less_likely(overlapping):
    gmm = GMM(40, tol=1e-4, max_iter=200, random_state=0).fit(overlapping[0])
    assert np.diff([*gmm.history_, gmm.score(overlapping[0])]).min() > -ROUNDING


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("max_iter", [5, 6, 12])  # before the sixth, the seventh and a later step, all lengthened
def test_the_limit_does_not_leave_an_over_relaxed_step(overlapping, max_iter):
    seen = []
    gmm = GMM(40, tol=1e-6, max_iter=max_iter, random_state=0)
    gmm.fit(overlapping[0], callback=lambda _, params, __: seen.append(params))
    expected = after_plain_steps(seen[-1], overlapping[0], 1, gmm.variance_floor_)
    np.testing.assert_array_equal(gmm.means_, expected.means)


@pytest.mark.parametrize("chunk", [999, 4096])
def test_an_over_relaxed_training_has_the_same_bits_in_any_chunks(overlapping, chunk):
    frames = overlapping[0]
    chunks = [frames[start : start + chunk] for start in range(0, len(frames), chunk)]
    whole, cut = (GMM(40, tol=1e-3, random_state=0).fit(x) for x in (frames, chunks))
    np.testing.assert_array_equal(cut.means_, whole.means_)


def after_plain_steps(params, frames, n_steps, variance_floor):
    for _ in range(n_steps):
        params = estimate_ml(accumulate_stats(params, frames), variance_floor=variance_floor)
    return params


def test_without_a_tolerance_every_step_is_plain_em(overlapping):
    frames = overlapping[0]
    gmm = plain_em(frames, 8)
    expected = after_plain_steps(plain_em(frames, 1).params_, frames, 7, gmm.variance_floor_)
    np.testing.assert_array_equal(gmm.means_, expected.means)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_from_a_full_start_every_step_is_plain_em(overlapping):
    frames = overlapping[0]
    first = plain_em(frames, 1).params_
    start = {"weights_init": first.weights, "means_init": first.means, "covariances_init": first.variances}
    gmm = GMM(40, tol=1e-12, max_iter=7, **start).fit(frames)
    expected = after_plain_steps(first, frames, 7, gmm.variance_floor_)
    np.testing.assert_array_equal(gmm.means_, expected.means)


def test_single_and_double_precision_agree(X):
    start = {"weights_init": np.full(3, 1 / 3), "means_init": X[[0, 400, 950]], "covariances_init": np.ones((3, 2))}
    single, double = (GMM(3, **start, tol=0.0, max_iter=20, precision=name).fit(X) for name in ("single", "double"))
    np.testing.assert_allclose(single.covariances_, double.covariances_, rtol=RTOL_SINGLE)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_sample_weights_of_any_common_scale_give_the_same_model(X, precision):
    weights = np.random.default_rng(0).uniform(0, 1, len(X))
    first, second = (
        GMM(2, init="split", precision=precision).fit(X, sample_weight=scale * weights) for scale in (1.0, 1e-9)
    )
    np.testing.assert_allclose(first.means_, second.means_, rtol=RTOL_SINGLE)


def test_variance_floor_is_a_fraction_of_the_global_variance(X):
    scaled = X * [1.0, 1e6]
    gmm = GMM(10, variance_floor=0.5, random_state=0).fit(scaled)
    np.testing.assert_allclose(gmm.covariances_.min(axis=0), 0.5 * scaled.var(axis=0), rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 0.1, 1e6 + 0.1])
def test_a_constant_feature_counts_as_having_unit_variance(X, offset):
    frames = np.column_stack([X, np.full(len(X), offset)])
    np.testing.assert_allclose(GMM(2, random_state=0).fit(frames).covariances_[:, 2], 1e-3, rtol=1e-6)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_absolute_variance_floor_is_published(X, method):
    gmm = getattr(GMM(2, variance_floor=0.25, random_state=0, precision="double"), method)(X)
    np.testing.assert_allclose(gmm.variance_floor_, 0.25 * X.var(axis=0), rtol=1e-10)


# Hostile data: never an exception, never NaN

HOSTILE = {
    "constant": np.full((50, 2), 1e6 + 0.1),
    "one constant feature": np.column_stack([np.arange(50.0), np.zeros(50)]),
    "duplicated rows": np.repeat([[0.0, 1.0], [1.0, 0.0]], 100, axis=0),
    "fewer frames than components": np.array([[0.0, 1.0], [2.0, 3.0]]),
    "one frame": np.array([[1.0, 2.0]]),
    "an outlier at 8 sigma": np.vstack([np.random.default_rng(0).standard_normal((300, 2)), [[8.0, 8.0]]]),
    "huge": np.random.default_rng(0).standard_normal((50, 2)) * 1e100,
    "tiny": np.random.default_rng(0).standard_normal((50, 2)) * 1e-200,
    "mixed units": np.random.default_rng(0).standard_normal((50, 2)) * [1e-8, 1e8],
    "rounding noise at an offset": 1e6 + 1e-9 * np.random.default_rng(0).standard_normal((50, 2)),
    "float32 at an offset": (1e6 + np.random.default_rng(0).standard_normal((300, 2))).astype(np.float32),
}


def assert_usable(gmm, frames):
    for array in (gmm.weights_, gmm.means_, gmm.covariances_, gmm.score_samples(frames), gmm.predict_proba(frames)):
        assert np.isfinite(array).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("precision", ["single", "double"])
@pytest.mark.parametrize("init", METHODS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_gives_a_usable_model(name, init, precision):
    assert_usable(GMM(8, init=init, precision=precision, max_iter=20, random_state=0).fit(HOSTILE[name]), HOSTILE[name])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@settings(max_examples=40, deadline=None)
@given(
    frames=arrays(np.float64, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.integers(-3, 3)),
    n_components=st.integers(1, 9),
    init=st.sampled_from(METHODS),
)
def test_any_small_grid_of_frames_gives_a_usable_model(frames, n_components, init):
    assert_usable(GMM(n_components, init=init, max_iter=10, random_state=0).fit(frames), frames)


# Scores and predictions


@pytest.fixture(scope="module")
def fitted(X):
    return GMM(3, random_state=0).fit(X)


def test_score_is_the_mean_of_score_samples(fitted, X):
    np.testing.assert_allclose(fitted.score(X), fitted.score_samples(X).mean(), rtol=1e-14)


def test_predict_is_the_maximum_of_predict_proba(fitted, X):
    np.testing.assert_array_equal(fitted.predict(X), fitted.predict_proba(X).argmax(axis=1))


def test_criteria_and_scores_equal_scikit_learn_with_the_same_parameters(fitted, X):
    peer = GaussianMixture(3, covariance_type="diag")
    peer.weights_, peer.means_, peer.covariances_ = fitted.weights_, fitted.means_, fitted.covariances_
    peer.precisions_cholesky_ = 1.0 / np.sqrt(fitted.covariances_)
    for ours, theirs in ((fitted.bic(X), peer.bic(X)), (fitted.aic(X), peer.aic(X)), (fitted.score(X), peer.score(X))):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_samples_have_the_moments_of_the_mixture():
    params = GmmParams([0.2, 0.8], [[-5.0, 0.0], [5.0, 1.0]], [[1.0, 4.0], [0.25, 1.0]])
    gmm = GMM.from_params(params)
    gmm.random_state = 0
    frames, components = gmm.sample(50_000)
    np.testing.assert_allclose(np.bincount(components) / 50_000, params.weights, atol=0.01)
    for k in range(2):
        np.testing.assert_allclose(frames[components == k].mean(axis=0), params.means[k], atol=0.05)
        np.testing.assert_allclose(frames[components == k].var(axis=0), params.variances[k], rtol=0.05)


def test_from_params_scores_with_exactly_these_parameters(fitted, X):
    np.testing.assert_array_equal(GMM.from_params(fitted.params_).score_samples(X), fitted.score_samples(X))


@pytest.mark.parametrize("method", ["score", "score_samples", "predict", "predict_proba", "bic", "aic"])
def test_an_unfitted_estimator_says_so(X, method):
    with pytest.raises(NotFittedError):
        getattr(GMM(2), method)(X)


@pytest.mark.parametrize("name", ["weights_", "means_", "covariances_"])
def test_an_unfitted_estimator_has_no_parameters(name):
    assert not hasattr(GMM(2), name)


# Training in batches


def test_partial_fit_of_one_batch_is_one_em_step(X):
    start = {"weights_init": [0.5, 0.5], "means_init": X[:2], "covariances_init": np.ones((2, 2))}
    online = GMM(2, **start).partial_fit(X)
    batch = GMM(2, **start, max_iter=1, tol=0.0).fit(X)
    np.testing.assert_allclose(online.means_, batch.means_, rtol=1e-12)


def test_partial_fit_of_one_component_is_exact_on_ordered_batches(X):
    gmm = GMM(1)
    for batch in np.array_split(np.sort(X, axis=0), 10):
        gmm.partial_fit(batch)
    np.testing.assert_allclose(gmm.means_[0], X.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(gmm.covariances_[0], np.sort(X, axis=0).var(axis=0), rtol=1e-4)


def test_partial_fit_counts_the_frames(X):
    gmm = GMM(2, random_state=0).partial_fit(X[:300]).partial_fit(X[300:])
    assert gmm.n_frames_seen_ == len(X)


def test_partial_fit_in_several_passes_approaches_fit(X):
    shuffled = np.random.default_rng(0).permutation(X)
    online = GMM(3, random_state=0)
    for _ in range(5):
        for batch in np.array_split(shuffled, 4):
            online.partial_fit(batch)
    assert online.score(X) > GMM(3, random_state=0).fit(X).score(X) - 0.02


def test_partial_fit_after_fit_keeps_what_was_learnt(X):
    gmm = GMM(3, random_state=0, precision="double", tol=1e-10, max_iter=1000).fit(X)
    before = gmm.means_
    gmm.partial_fit(X[::100])
    np.testing.assert_allclose(gmm.means_, before, atol=0.1)


def forgetful_moments(x, memory_frames):
    """Mean and variance with exponentially decaying weights, by the definition."""
    weights = np.exp(-np.arange(len(x))[::-1] / memory_frames)
    mean = np.average(x, axis=0, weights=weights)
    return mean, np.average(np.square(x - mean), axis=0, weights=weights)


@pytest.mark.parametrize("n_batches", [1, 3, 50])
def test_forgetting_gives_one_component_the_decaying_moments_whatever_the_batches(X, n_batches):
    gmm = GMM(1, memory_frames=60.0, precision="double")
    for batch in np.array_split(X, n_batches):
        gmm.partial_fit(batch)
    mean, variance = forgetful_moments(X, 60.0)
    np.testing.assert_allclose(gmm.means_[0], mean, rtol=1e-9)
    np.testing.assert_allclose(gmm.covariances_[0], variance, rtol=1e-9)


def test_forgetting_never_stands_for_more_than_its_memory(X):
    gmm = GMM(2, memory_frames=100.0, random_state=0)
    for _ in range(3):
        gmm.partial_fit(X)
    np.testing.assert_allclose(gmm.n_frames_seen_, 100.5, rtol=1e-4)  # 1 / (1 − exp(−1 / 100))


def test_forgetting_follows_a_drift_that_remembering_does_not():
    rng = np.random.default_rng(0)
    forgetful, retentive = (GMM(2, memory_frames=memory, random_state=0) for memory in (2000.0, None))
    for step in range(60):
        batch = rng.normal(np.where(rng.random(500) < 0.5, -3.0, 3.0) + 0.2 * step, 0.5)[:, np.newaxis]
        forgetful.partial_fit(batch)
        retentive.partial_fit(batch)
    assert forgetful.score(batch) > retentive.score(batch) + 0.5


def test_age_is_counted_in_sums_of_weights(X):
    counts = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    counts *= len(X) / counts.sum()  # weights that average 1 are taken as they are
    weighted = GMM(1, memory_frames=80.0, precision="double").partial_fit(X, sample_weight=counts)
    ages = counts.sum() - counts.cumsum()
    expected = np.average(X, axis=0, weights=counts * np.exp(-ages / 80.0))
    np.testing.assert_allclose(weighted.means_[0], expected, rtol=1e-9)


# Arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"covariance_type": "ful"}, "covariance_type is 'ful'"),
        ({"shrinkage": -0.1}, "shrinkage is -0.1"),
        ({"n_components": 0}, "n_components is 0"),
        ({"n_components": 2.0}, "n_components is 2.0"),
        ({"variance_floor": 0.0}, "variance_floor is 0.0"),
        ({"memory_frames": 0.0}, "memory_frames is 0.0"),
        ({"init": "kmeans"}, "init is 'kmeans'"),
        ({"precision": "half"}, "precision is 'half'"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"tol": -1.0}, "tol is -1.0"),
        ({"means_init": np.zeros((2, 5))}, "covariances have shape|means has shape"),
        (
            {"weights_init": [1.0], "means_init": [[0.0, 0.0]], "covariances_init": [[1.0, 1.0]]},
            "_init parameters have",
        ),
    ],
)
def test_unusable_option_is_refused_when_fitting(X, options, message):
    with pytest.raises(ParameterError, match=message):
        GMM(**({"n_components": 2} | options)).fit(X)


def test_drawing_no_samples_is_refused(fitted):
    with pytest.raises(ParameterError, match="n_samples is 0"):
        fitted.sample(0)


# Cost


def test_memory_does_not_grow_with_frames_times_components():
    X = np.random.default_rng(0).standard_normal((40_000, 4)).astype(np.float32)
    gmm = GMM(64, init="random", max_iter=2, tol=0.0, random_state=0)
    gmm.fit(X[:600]).score_samples(X[:600])  # imports, compiles and caches
    tracemalloc.start()
    try:
        gmm.fit(X).score_samples(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.3 * 40_000 * 64 * 4  # of one float32 table of responsibilities


def test_importing_the_functions_does_not_import_scikit_learn():
    code = (
        "import sys; from gmmaudio.gmm import accumulate_stats, estimate_map, log_likelihood_ratio; print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "sklearn" not in modules


def test_training_is_silent_in_single_precision_on_tight_clusters():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(m, 1e-3, (200, 6)) for m in (-1, 0, 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GMM(3, init="split", tol=0.0, max_iter=30).fit(X)
