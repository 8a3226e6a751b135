import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES, matrices_of, random_mixture
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GMM, GmmStats, StatsAccumulator, accumulate_stats, estimate_ml, frame_log_likelihoods
from gmmaudio.gmm.conditional.gaussians import ConditionalGaussians
from gmmaudio.gmm.covariances import structure_of
from gmmaudio.gmm.density import component_log_densities, most_likely_components, responsibilities
from gmmaudio.gmm.frame_moments import Moments
from gmmaudio.gmm.parameters import GmmParams

RTOL = 1e-9  # float64, inverses of well-conditioned matrices
OFFSET = 1e6
TINY_FLOOR = 1e-12

every_structure = pytest.mark.parametrize("name", STRUCTURE_NAMES)


def with_gaps(frames, share=0.3, seed=3):
    """NaN at random places; the first frame misses everything, the second nothing."""
    frames = np.where(np.random.default_rng(seed).random(frames.shape) < share, np.nan, frames)
    frames[0] = np.nan
    frames[1] = 0.5
    return frames


def brute_force_log_joint(params, frames):
    """Log of weight times marginal density of what is observed, frame by frame, by SciPy."""
    table = np.tile(np.log(params.weights), (len(frames), 1))
    for t, frame in enumerate(frames):
        seen = np.flatnonzero(~np.isnan(frame))
        for k, matrix in enumerate(matrices_of(params)):
            if len(seen):
                marginal = multivariate_normal(params.means[k, seen], matrix[np.ix_(seen, seen)])
                table[t, k] += marginal.logpdf(frame[seen])
    return table


def expectations(params, frame, k):
    """Expectation of a frame and of its outer product under one component, given what is observed."""
    seen, gone = np.flatnonzero(~np.isnan(frame)), np.flatnonzero(np.isnan(frame))
    matrix = matrices_of(params)[k]
    gain = matrix[np.ix_(gone, seen)] @ np.linalg.inv(matrix[np.ix_(seen, seen)])
    mean = frame.copy()
    mean[gone] = params.means[k, gone] + gain @ (frame[seen] - params.means[k, seen])
    spread = np.zeros((len(frame), len(frame)))
    spread[np.ix_(gone, gone)] = matrix[np.ix_(gone, gone)] - gain @ matrix[np.ix_(seen, gone)]
    return mean, np.outer(mean, mean) + spread


def brute_force_update(params, frames):
    """One EM iteration by explicit loops: weights, means and covariance matrices of each component."""
    table = brute_force_log_joint(params, frames)
    posteriors = np.exp(table - logsumexp(table, axis=1, keepdims=True))
    counts = posteriors.sum(axis=0)
    means, matrices = [], []
    for k, count in enumerate(counts):
        expected = [expectations(params, frame, k) for frame in frames]
        mean = sum(share * one for share, (one, _) in zip(posteriors[:, k], expected, strict=True)) / count
        square = sum(share * two for share, (_, two) in zip(posteriors[:, k], expected, strict=True)) / count
        means.append(mean)
        matrices.append(square - np.outer(mean, mean))
    return counts / counts.sum(), np.array(means), np.array(matrices)


# Conditional Gaussians


@every_structure
def test_conditional_gaussians_are_ratios_of_joint_and_marginal(name):
    params = random_mixture(name, 0, 3, 4)
    values = np.random.default_rng(1).standard_normal((6, 4))
    given, rest = np.array([2, 0]), np.array([1, 3])
    found = ConditionalGaussians(params, given)
    means = found.means(values[:, given])
    for t, frame in enumerate(values):
        for k, matrix in enumerate(matrices_of(params)):
            joint = multivariate_normal(params.means[k], matrix).logpdf(frame)
            marginal = multivariate_normal(params.means[k, given], matrix[np.ix_(given, given)]).logpdf(frame[given])
            conditional = multivariate_normal(means[t, k], found.covariances[k]).logpdf(frame[rest])
            np.testing.assert_allclose(conditional, joint - marginal, rtol=RTOL)


# Densities


@every_structure
def test_missing_features_are_integrated_out(name, make_frames):
    params, frames = random_mixture(name, 0, 3, 4), with_gaps(make_frames(1, 40, 4))
    expected = brute_force_log_joint(params, frames)
    np.testing.assert_allclose(component_log_densities(params, frames, precision="double"), expected, rtol=RTOL)
    np.testing.assert_allclose(
        frame_log_likelihoods(params, frames, precision="double"), logsumexp(expected, axis=1), rtol=RTOL, atol=RTOL
    )
    np.testing.assert_allclose(
        responsibilities(params, frames, precision="double"),
        np.exp(expected - logsumexp(expected, axis=1, keepdims=True)),
        rtol=RTOL,
        atol=RTOL,
    )
    np.testing.assert_array_equal(most_likely_components(params, frames), expected.argmax(axis=1))


@every_structure
def test_complete_frames_among_incomplete_ones_keep_their_bits(name, make_frames):
    params, frames = random_mixture(name, 0, 40, 4), make_frames(1, 100, 4)
    expected = frame_log_likelihoods(params, frames)
    frames[::7, 2] = np.nan
    complete = ~np.isnan(frames).any(axis=1)
    np.testing.assert_array_equal(frame_log_likelihoods(params, frames)[complete], expected[complete])


@every_structure
def test_an_incomplete_frame_has_the_same_bits_alone_and_in_a_batch(name, make_frames):
    params, frames = random_mixture(name, 0, 5, 4), with_gaps(make_frames(1, 300, 4))
    alone = [frame_log_likelihoods(params, frames[t : t + 1])[0] for t in (0, 17, 113, 299)]
    np.testing.assert_array_equal(frame_log_likelihoods(params, frames)[[0, 17, 113, 299]], alone)


@every_structure
def test_an_offset_changes_nothing(name, make_frames):
    near, far = (random_mixture(name, 0, 3, 4, offset) for offset in (0.0, OFFSET))
    frames = with_gaps(make_frames(1, 40, 4))
    np.testing.assert_allclose(
        frame_log_likelihoods(far, frames + OFFSET), frame_log_likelihoods(near, frames), atol=1e-3, rtol=0
    )


# Statistics


@every_structure
def test_estimate_equals_one_brute_force_em_step(name, make_frames):
    params, frames = random_mixture(name, 0, 3, 4), with_gaps(make_frames(1, 60, 4))
    updated = estimate_ml(accumulate_stats(params, frames, precision="double"), variance_floor=TINY_FLOOR)
    weights, means, matrices = brute_force_update(params, frames)
    np.testing.assert_allclose(updated.weights, weights, rtol=RTOL)
    np.testing.assert_allclose(updated.means, means, rtol=RTOL)
    array = {
        "diag": lambda: matrices.diagonal(axis1=1, axis2=2),
        "full": lambda: matrices,
        "tied": lambda: np.einsum("k,kij->ij", weights, matrices),
        "spherical": lambda: np.trace(matrices, axis1=1, axis2=2) / 4,
    }[name]()
    np.testing.assert_allclose(updated.covariances.array, array, rtol=RTOL, atol=RTOL)


@every_structure
def test_statistics_have_the_same_bits_for_any_cutting_and_threads(name, make_frames):
    params, frames = random_mixture(name, 0, 40, 4), make_frames(1, 20_000, 4)
    frames[3000:3100, 1] = np.nan  # some tiles miss something, others do not
    whole = accumulate_stats(params, frames, n_threads=1)
    pieces = StatsAccumulator(params, n_threads=3)
    for piece in np.array_split(frames, [1, 2, 700, 3050, 17_000, 19_999]):
        pieces.push(piece)
    for attribute in ("zeroth", "first", "second"):
        np.testing.assert_array_equal(getattr(pieces.result(), attribute), getattr(whole, attribute))


@every_structure
def test_a_frame_without_any_feature_leaves_the_expectations_of_the_model(name):
    params = random_mixture(name, 0, 3, 4)
    stats = accumulate_stats(params, np.full((10, 4), np.nan), precision="double")
    expected = GmmStats.expected(params, 10 * params.weights)
    np.testing.assert_allclose(stats.second, expected.second, rtol=RTOL, atol=RTOL)
    np.testing.assert_allclose(stats.log_likelihood, 0.0, atol=1e-12)


def test_moments_leave_out_what_is_missing():
    frames = np.array([[np.nan, 1.0], [2.0, 3.0], [4.0, np.nan], [9.0, 5.0]]) + OFFSET
    weights = np.array([1.0, 2.0, 1.0, 0.0])
    moments = Moments()
    moments.push(frames[:3], weights[:3])
    moments.push(frames[3:], weights[3:])
    mean, variance = moments.result()
    np.testing.assert_allclose(mean - OFFSET, [8 / 3, 7 / 3], rtol=RTOL)
    np.testing.assert_allclose(variance, [8 / 9, 8 / 9], rtol=1e-6)  # of numbers around a million


# The estimator


def two_clusters(seed, name="full", n_frames=4000):
    """Two overlapping clusters in four dimensions, and the mixture that they are drawn from."""
    rng = np.random.default_rng(seed)
    params = random_mixture(name, seed, 2, 4)
    params = GmmParams([0.4, 0.6], params.means * 2.0, params.covariances)
    gmm = GMM.from_params(params)
    gmm.random_state = int(rng.integers(2**31))
    return rng.permutation(gmm.sample(n_frames)[0]), params


def fitted(X, name, start, **options):
    """EM from the same start, whatever is missing."""
    array = structure_of(name).from_variances(start.covariances.marginal_variances(2, 4)).array
    options = {"variance_floor": 1e-6, "precision": "double", "max_iter": 400, "tol": 1e-7} | options
    return GMM(
        2,
        covariance_type=name,
        weights_init=start.weights,
        means_init=start.means,
        covariances_init=array,
        **options,
    ).fit(X)


@every_structure
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_fifth_missing_at_random_moves_parameters_by_less_than_the_sampling_error(name, seed):
    # Of a wrong model the most likely parameters depend on which values are seen, so each structure gets its own data.
    X, truth = two_clusters(seed, name)
    complete = fitted(X, name, truth)
    incomplete = fitted(with_gaps(X, share=0.2, seed=seed), name, truth)
    # Standard errors of a component's mean from its complete frames; a fifth missing adds at most about a half of one.
    deviations = np.sqrt(complete.params_.covariances.marginal_variances(2, 4))
    errors = deviations / np.sqrt(complete.weights_ * len(X))[:, np.newaxis]
    assert (np.abs(incomplete.means_ - complete.means_) < 3.0 * errors).all()
    assert np.abs(incomplete.weights_ - complete.weights_).max() < 3.0 * np.sqrt(0.24 / len(X))
    now, before = (gmm.params_.covariances.marginal_variances(2, 4) for gmm in (incomplete, complete))
    assert (np.abs(now / before - 1.0) < 3.0 * np.sqrt(2.0 / (complete.weights_ * len(X)))[:, np.newaxis]).all()


@every_structure
def test_the_likelihood_of_incomplete_frames_never_falls(name):
    X, truth = two_clusters(0, n_frames=600)
    history = np.array(fitted(with_gaps(X), name, truth, tol=0.0, max_iter=60).history_)
    assert (np.diff(history) > -1e-12 * np.abs(history[1:])).all()


@every_structure
def test_a_column_and_a_row_of_nothing_give_numbers(name):
    X, _ = two_clusters(0, n_frames=500)
    X = with_gaps(X)
    X[:, 2] = np.nan
    gmm = GMM(2, covariance_type=name, random_state=0).fit(X)
    assert np.isfinite(gmm.score_samples(X)).all()
    assert np.isfinite(gmm.means_).all()
    np.testing.assert_allclose(gmm.predict_proba(X)[0], gmm.weights_, rtol=RTOL)


def test_full_covariances_learn_a_correlation_that_imputing_means_would_lose():
    rng = np.random.default_rng(0)
    X = rng.multivariate_normal([5.0, -5.0], [[1.0, 0.9], [0.9, 1.0]], size=4000)
    X[rng.random(X.shape) < 0.3] = np.nan
    covariance = GMM(1, covariance_type="full", precision="double", tol=1e-7).fit(X).covariances_[0]
    assert abs(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]) - 0.9) < 0.02


@every_structure
def test_impute_gives_the_expectation_of_the_mixture(name, make_frames):
    params, frames = random_mixture(name, 0, 3, 4), with_gaps(make_frames(1, 30, 4))
    table = brute_force_log_joint(params, frames)
    posteriors = np.exp(table - logsumexp(table, axis=1, keepdims=True))
    expected = [
        sum(share * expectations(params, frame, k)[0] for k, share in enumerate(shares))
        for frame, shares in zip(frames, posteriors, strict=True)
    ]
    np.testing.assert_allclose(GMM.from_params(params).impute(frames), expected, rtol=RTOL)


def test_impute_leaves_complete_frames_alone(make_frames):
    params, frames = random_mixture("full", 0, 3, 4), make_frames(1, 30, 4)
    np.testing.assert_array_equal(GMM.from_params(params).impute(frames), frames)


def test_frames_of_weight_zero_may_miss_anything():
    X, truth = two_clusters(0, n_frames=300)
    weights = np.ones(400)
    weights[300:] = 0.0
    padded = np.concatenate([X, np.full((100, 4), np.nan)])
    weighted = GMM(2, random_state=0, precision="double", weights_init=truth.weights, means_init=truth.means).fit(
        padded, sample_weight=weights
    )
    plain = GMM(2, random_state=0, precision="double", weights_init=truth.weights, means_init=truth.means).fit(X)
    np.testing.assert_allclose(weighted.means_, plain.means_, rtol=1e-6)


def test_partial_fit_takes_incomplete_batches():
    X, _ = two_clusters(0, n_frames=1000)
    X = with_gaps(X)
    gmm = GMM(2, covariance_type="full", random_state=0).partial_fit(X[:500]).partial_fit(X[500:])
    assert np.isfinite(gmm.score(X))


def test_incomplete_files_and_arrays_give_the_same_bits(tmp_path):
    X, _ = two_clusters(0, n_frames=1000)
    X = with_gaps(X)
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for path, part in zip(paths, np.array_split(X, 2), strict=True):
        np.save(path, part)
    from_files, from_array = (GMM(2, random_state=0, max_iter=5, tol=0.0).fit(source) for source in (paths, X))
    np.testing.assert_array_equal(from_files.means_, from_array.means_)


def test_infinity_is_not_missing():
    with pytest.raises(ParameterError, match="infinity"):
        frame_log_likelihoods(random_mixture("full", 0, 3, 2), [[np.nan, np.inf]])
