import pickle

import numpy as np
import pytest
from gmm.structures import STRUCTURE_NAMES, em_step, log_joint, matrices_of, random_mixture
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture

from gmmaudio import load, save
from gmmaudio.errors import ParameterError
from gmmaudio.gmm import (
    GMM,
    AdaptedModels,
    GmmParams,
    GmmStats,
    StatsAccumulator,
    accumulate_stats,
    component_log_densities,
    estimate_map,
    estimate_ml,
    frame_log_likelihoods,
)
from gmmaudio.gmm.covariances import Diagonal, Full, Spherical, Tied, structure_of
from gmmaudio.gmm.estimation import over_relaxed

TINY_FLOOR = 1e-12  # small enough never to act in these tests
RTOL = 1e-9  # double precision, some digits of cancellation in the expanded squares
RTOL_PEER = 1e-8  # twenty iterations of another program in float64
ATOL_SINGLE = 1e-3  # nats: float32
OFFSET = 1e6
RTOL_OFFSET = 1e-6  # at an offset of 1e6, frames themselves keep 10 digits

every_structure = pytest.mark.parametrize("name", STRUCTURE_NAMES)


@pytest.fixture(scope="module", name="X")
def three_correlated_clusters():
    rng = np.random.default_rng(0)
    clusters = [
        rng.standard_normal((size, 3)) @ rng.standard_normal((3, 3)) + center
        for size, center in ((600, [-6.0, 0.0, 0.0]), (300, [6.0, 0.0, 3.0]), (100, [0.0, 8.0, 0.0]))
    ]
    return np.concatenate(clusters)


def assert_same_mixture(params, expected, *, rtol, means_atol=0.0):
    weights, means, array = expected
    np.testing.assert_allclose(params.weights, weights, rtol=rtol)
    np.testing.assert_allclose(params.means, means, rtol=rtol, atol=means_atol)
    np.testing.assert_allclose(params.covariances.array, array, rtol=rtol, atol=rtol * np.abs(array).max())


# Densities


@every_structure
def test_log_densities_equal_those_of_scipy(name, make_frames):
    params, frames = random_mixture(name, 0, 4, 3), make_frames(1, 70, 3)
    ours = component_log_densities(params, frames, precision="double")
    np.testing.assert_allclose(ours, log_joint(params, frames), rtol=RTOL)


@every_structure
def test_single_precision_is_close(name, make_frames):
    params, frames = random_mixture(name, 0, 40, 5), make_frames(1, 200, 5)
    expected = logsumexp(log_joint(params, frames), axis=1)
    np.testing.assert_allclose(frame_log_likelihoods(params, frames), expected, atol=ATOL_SINGLE, rtol=0)


@every_structure
@pytest.mark.parametrize("precision", ["single", "double"])
def test_offset_changes_nothing(name, precision, make_frames):
    near, far = (random_mixture(name, 0, 4, 3, offset) for offset in (0.0, OFFSET))
    frames = make_frames(1, 70, 3)
    np.testing.assert_allclose(
        frame_log_likelihoods(far, frames + OFFSET, precision=precision),
        frame_log_likelihoods(near, frames, precision=precision),
        atol=ATOL_SINGLE if precision == "single" else 1e-7,
        rtol=0,
    )


@every_structure
@pytest.mark.parametrize("precision", ["single", "double"])
def test_a_frame_has_the_same_bits_alone_and_in_a_batch(name, precision, make_frames):
    params, frames = random_mixture(name, 0, 5, 4), make_frames(1, 600, 4)
    together = frame_log_likelihoods(params, frames, precision=precision)
    alone = [frame_log_likelihoods(params, frames[t : t + 1], precision=precision)[0] for t in (0, 17, 511, 599)]
    np.testing.assert_array_equal(together[[0, 17, 511, 599]], alone)


def test_nearly_collinear_features_keep_their_digits():
    rng = np.random.default_rng(0)
    base = rng.standard_normal((500, 1))
    frames = np.hstack([base, base + 1e-5 * rng.standard_normal((500, 1))])
    params = GMM(1, covariance_type="full", variance_floor=1e-14, precision="double").fit(frames).params_
    centred = frames - frames.mean(axis=0)
    distances = np.square(centred @ np.linalg.inv(np.linalg.cholesky(centred.T @ centred / 500)).T).sum(axis=1)
    expected = -0.5 * (distances + np.linalg.slogdet(2 * np.pi * np.cov(frames.T, bias=True))[1])
    # The covariance has a condition of 4e10, of which either calculation loses up to the square root squared.
    np.testing.assert_allclose(frame_log_likelihoods(params, frames, precision="double"), expected, atol=1e-4, rtol=0)


# Statistics and the M-step


@every_structure
def test_estimate_equals_one_brute_force_em_step(name, make_frames):
    params, frames = random_mixture(name, 0, 4, 3), make_frames(1, 70, 3)
    frame_weights = np.random.default_rng(2).uniform(0.0, 2.0, len(frames))
    stats = accumulate_stats(params, frames, frame_weights=frame_weights, precision="double")
    updated = estimate_ml(stats, variance_floor=TINY_FLOOR)
    assert_same_mixture(updated, em_step(params, frames, frame_weights), rtol=RTOL)


@every_structure
def test_statistics_have_the_same_bits_for_any_cutting_and_threads(name, make_frames):
    params, frames = random_mixture(name, 0, 4, 3), make_frames(1, 40_000, 3)
    whole = accumulate_stats(params, frames, n_threads=1)
    pieces = StatsAccumulator(params, n_threads=3)
    for piece in np.array_split(frames, [1, 2, 700, 17_000, 17_000, 39_999]):
        pieces.push(piece)
    for attribute in ("zeroth", "first", "second"):
        np.testing.assert_array_equal(getattr(pieces.result(), attribute), getattr(whole, attribute))


@every_structure
def test_integer_weights_equal_duplication_and_weight_zero_drops_a_frame(name, make_frames):
    params, frames = random_mixture(name, 0, 4, 3), make_frames(1, 70, 3)
    counts = np.arange(70) % 3
    weighted = accumulate_stats(params, frames, frame_weights=counts, precision="double")
    repeated = accumulate_stats(params, np.repeat(frames, counts, axis=0), precision="double")
    for attribute in ("zeroth", "first", "second"):
        np.testing.assert_allclose(getattr(weighted, attribute), getattr(repeated, attribute), rtol=RTOL, atol=RTOL)


@every_structure
def test_expected_statistics_are_the_inverse_of_the_estimate(name):
    params = random_mixture(name, 0, 4, 3)
    stats = GmmStats.expected(params, 100.0 * params.weights)
    expected = params.weights, params.means, params.covariances.array
    assert_same_mixture(estimate_ml(stats, variance_floor=TINY_FLOOR), expected, rtol=RTOL)


@every_structure
def test_statistics_add_up(name, make_frames):
    params, frames = random_mixture(name, 0, 4, 3), make_frames(1, 70, 3)
    whole = accumulate_stats(params, frames, precision="double")
    parts = sum(
        (accumulate_stats(params, part, precision="double") for part in np.array_split(frames, 3)),
        start=GmmStats.zeros_like(params),
    )
    np.testing.assert_allclose(parts.second, whole.second, rtol=RTOL, atol=RTOL)


def test_statistics_of_different_structures_do_not_add_up():
    full = random_mixture("full", 0, 4, 3)
    diagonal = GmmParams(full.weights, full.means, full.covariances.marginal_variances(4, 3))
    with pytest.raises(ParameterError, match="different centers or structures"):
        GmmStats.zeros_like(full) + GmmStats.zeros_like(diagonal)


@every_structure
def test_twenty_iterations_equal_scikit_learn(name, X):
    start_arrays = {
        "diag": np.tile(X.var(axis=0), (3, 1)),
        "full": np.tile(np.diag(X.var(axis=0)), (3, 1, 1)),
        "tied": np.diag(X.var(axis=0)),
        "spherical": np.full(3, X.var()),
    }
    start = start_arrays[name]
    precisions = 1.0 / start if name in ("diag", "spherical") else np.linalg.inv(start)
    weights, means = np.full(3, 1 / 3), X[[10, 610, 950]]
    peer = GaussianMixture(
        3,
        covariance_type=name,
        reg_covar=0.0,
        tol=0.0,
        max_iter=20,
        weights_init=weights,
        means_init=means,
        precisions_init=precisions,
    )
    with pytest.warns(match="did not converge"):
        peer.fit(X)
    ours = GMM(
        3,
        covariance_type=name,
        variance_floor=TINY_FLOOR,
        tol=0.0,
        max_iter=20,
        precision="double",
        weights_init=weights,
        means_init=means,
        covariances_init=start,
    ).fit(X)
    expected = peer.weights_, peer.means_, peer.covariances_
    assert_same_mixture(ours.params_, expected, rtol=RTOL_PEER, means_atol=RTOL_PEER)
    np.testing.assert_allclose(ours.score_samples(X), peer.score_samples(X), rtol=RTOL_PEER)
    np.testing.assert_allclose([ours.bic(X), ours.aic(X)], [peer.bic(X), peer.aic(X)], rtol=RTOL_PEER)


@every_structure
def test_the_likelihood_never_falls(name, X):
    history = np.array(GMM(3, covariance_type=name, random_state=0, precision="double", tol=1e-6).fit(X).history_)
    assert (np.diff(history) > -1e-12 * np.abs(history[1:])).all()


@every_structure
def test_fit_finds_the_same_at_an_offset(name, X):
    near, far = (GMM(3, covariance_type=name, random_state=0, tol=1e-6).fit(X + offset) for offset in (0.0, OFFSET))
    np.testing.assert_allclose(far.covariances_, near.covariances_, atol=1e-2)  # float32, and ends a little elsewhere
    np.testing.assert_allclose(far.means_ - OFFSET, near.means_, atol=1e-2)


# Floors, dead components, shrinkage


@pytest.mark.parametrize("name", ["full", "tied"])
def test_no_direction_is_below_the_floor(name):
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((50, 1)) @ np.array([[1.0, 2.0, -1.0]])  # all on one line
    gmm = GMM(2, covariance_type=name, random_state=0).fit(frames)
    unit = np.sqrt(gmm.variance_floor_)
    assert np.linalg.eigvalsh(gmm.covariances_ / unit / unit[:, np.newaxis]).min() > 1.0 - 1e-6


@every_structure
def test_constant_features_duplicates_and_more_components_than_frames_give_numbers(name):
    frames = np.hstack([np.repeat([[0.0], [1.0], [4.0]], 5, axis=0), np.full((15, 1), 7.0)])
    gmm = GMM(20, covariance_type=name, random_state=0).fit(frames)
    assert np.isfinite(gmm.score_samples(frames)).all()


@every_structure
def test_a_dead_component_takes_half_of_the_heaviest(name, make_frames):
    params = random_mixture(name, 0, 3, 2)
    far = GmmParams(params.weights, params.means + np.array([[0.0], [0.0], [1e4]]), params.covariances)
    updated = estimate_ml(accumulate_stats(far, make_frames(1, 500, 2)), variance_floor=1e-6)
    assert updated.weights[2] > 0.1
    assert np.abs(updated.means[2]).max() < 10.0
    assert np.isfinite(updated.density_matrix).all()


def test_halves_of_a_component_have_its_moments():
    raw = np.array([[[4.0, 1.5], [1.5, 1.0]], [[9.0, 9.0], [9.0, 9.0]]])
    whole = raw[0].copy()
    shift = Full.halve(raw, 0, 1, np.array([1.0, 1.0]))
    np.testing.assert_allclose(0.5 * (raw[0] + raw[1]) + np.outer(shift, shift), whole, rtol=RTOL)


def test_full_shrinkage_leaves_the_variances_of_one_component(X):
    full, diagonal = (
        GMM(1, covariance_type=name, shrinkage=1.0, precision="double").fit(X).params_ for name in ("full", "diag")
    )
    np.testing.assert_allclose(full.covariances.array[0], np.diag(diagonal.variances[0]), rtol=RTOL)


def test_shrinkage_bears_fewer_frames_than_features(make_frames):
    frames = make_frames(0, 8, 20)
    held_out = make_frames(1, 200, 20)
    plain, shrunk = (GMM(1, covariance_type="full", shrinkage=share).fit(frames) for share in (0.0, 0.5))
    assert shrunk.score(held_out) > plain.score(held_out)


@pytest.mark.parametrize("name", ["full", "tied"])
def test_over_relaxed_covariances_are_positive_definite_and_go_the_same_way(name):
    before, after = random_mixture(name, 0, 2, 3), random_mixture(name, 1, 2, 3)
    beyond = over_relaxed(before, after, variance_floor=np.full(3, 1e-6))
    assert np.linalg.eigvalsh(beyond.covariances.array).min() > 0
    same = over_relaxed(after, after, variance_floor=np.full(3, 1e-6))
    np.testing.assert_allclose(same.covariances.array, after.covariances.array, rtol=RTOL)


# MAP adaptation, incremental training, sampling, files


@every_structure
def test_map_of_means_and_weights_works_for_every_structure(name, make_frames):
    prior, frames = random_mixture(name, 0, 4, 3), make_frames(1, 70, 3)
    adapted = estimate_map(accumulate_stats(prior, frames, precision="double"), prior, update_weights=True)
    table = log_joint(prior, frames)
    posteriors = np.exp(table - logsumexp(table, axis=1, keepdims=True))
    alpha = (posteriors.sum(axis=0) / (posteriors.sum(axis=0) + 16.0))[:, np.newaxis]
    averages = posteriors.T @ frames / posteriors.sum(axis=0)[:, np.newaxis]
    np.testing.assert_allclose(adapted.means, alpha * averages + (1 - alpha) * prior.means, rtol=RTOL)
    assert adapted.covariances is prior.covariances


def test_map_of_correlated_covariances_is_refused(make_frames):
    prior = random_mixture("full", 0, 4, 3)
    with pytest.raises(ParameterError, match="full covariances but diagonal ones are needed"):
        estimate_map(accumulate_stats(prior, make_frames(1, 70, 3)), prior, update_variances=True)


def test_models_that_need_variances_refuse_correlations():
    with pytest.raises(ParameterError, match="covariance_type='diag'"):
        AdaptedModels([random_mixture("full", 0, 4, 3)], random_mixture("full", 0, 4, 3))


@every_structure
def test_partial_fit_in_two_batches_keeps_the_structure(name, X):
    shuffled = np.random.default_rng(0).permutation(X)
    gmm = GMM(3, covariance_type=name, random_state=0).partial_fit(shuffled[:500]).partial_fit(shuffled[500:])
    assert gmm.params_.covariances.name == name
    assert gmm.n_frames_seen_ == 1000


@every_structure
def test_samples_have_the_moments_of_the_mixture(name):
    params = random_mixture(name, 0, 3, 2)
    gmm = GMM.from_params(params)
    gmm.random_state = 0
    frames, components = gmm.sample(60_000)
    for k, matrix in enumerate(matrices_of(params)):
        mine = frames[components == k]
        np.testing.assert_allclose(mine.mean(axis=0), params.means[k], atol=0.05)  # a few standard errors
        np.testing.assert_allclose(np.cov(mine.T), matrix, atol=0.08)


@every_structure
def test_a_stored_model_scores_with_the_same_bits(name, X, tmp_path):
    gmm = GMM(3, covariance_type=name, random_state=0, max_iter=3, tol=0.0).fit(X)
    save(gmm, tmp_path / "gmm")
    loaded = load(tmp_path / "gmm")
    np.testing.assert_array_equal(loaded.score_samples(X), gmm.score_samples(X))
    assert loaded.covariances_.shape == gmm.covariances_.shape


@every_structure
def test_copies_stay_read_only(name):
    copied = pickle.loads(pickle.dumps(random_mixture(name, 0, 3, 2)))  # our own, for worker processes
    with pytest.raises(ValueError, match="read-only"):
        copied.covariances.array[...] = 1.0


# Values


@pytest.mark.parametrize(
    ("structure", "n_free"), [(Diagonal, 12), (Full, 4 * 6), (Tied, 6), (Spherical, 4)], ids=lambda value: str(value)
)
def test_number_of_free_parameters(structure, n_free):
    assert structure.from_variances(np.ones((4, 3))).n_free(4, 3) == n_free


@pytest.mark.parametrize(
    ("structure", "array", "message"),
    [
        (Diagonal, [[1.0, 0.0]], "variances must be positive"),
        (Spherical, [-1.0], "variances must be positive"),
        (Full, [[[1.0, 2.0], [2.0, 1.0]]], "not positive definite"),
        (Full, [[[1.0, 0.5], [0.2, 1.0]]], "square and symmetric"),
        (Tied, [[1.0, 2.0], [2.0, 1.0]], "not positive definite"),
        (Tied, [1.0], "tied covariances has shape"),
    ],
)
def test_unusable_covariances_are_refused(structure, array, message):
    with pytest.raises(ParameterError, match=message):
        structure(np.array(array))


def test_covariances_of_other_components_are_refused():
    with pytest.raises(ParameterError, match=r"full covariances have shape \(1, 2, 2\) but the means need \(2, 2, 2\)"):
        GmmParams([0.5, 0.5], np.zeros((2, 2)), Full(np.eye(2)[np.newaxis]))


def test_unknown_structure_is_refused():
    with pytest.raises(ParameterError, match="covariance_type is 'ful' but must be one of"):
        structure_of("ful")
