import numpy as np
import pytest
from oracles import gmm_em_step, reynolds_map
from sklearn.mixture import GaussianMixture

from gmmaudio.em import run_em
from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, GmmStats, accumulate_stats, estimate_map, estimate_ml
from gmmaudio.gmm.estimation import OVER_RELAXATION, dead_components, global_moments, over_relaxed, split_heaviest

TINY_FLOOR = 1e-12  # small enough never to act in these tests
RTOL = 1e-10  # double precision, two digits of cancellation
RTOL_PEER_DOUBLE = 1e-8  # twenty iterations of another program
RTOL_PEER_SINGLE = 1e-4
FIELDS = ("weights", "means", "variances")


def assert_params_close(actual, expected, *, rtol=RTOL):
    for name in FIELDS:
        np.testing.assert_allclose(getattr(actual, name), getattr(expected, name), rtol=rtol, err_msg=name)


def map_all(stats, prior, **options):
    return estimate_map(stats, prior, update_weights=True, update_means=True, update_variances=True, **options)


def double_stats(params, frames, **options):
    return accumulate_stats(params, frames, precision="double", **options)


# Maximum likelihood


def test_estimate_ml_equals_one_brute_force_em_step(mixture, frames):
    frame_weights = np.random.default_rng(2).uniform(0.0, 2.0, len(frames))
    estimate = estimate_ml(double_stats(mixture, frames, frame_weights=frame_weights), variance_floor=TINY_FLOOR)
    expected = gmm_em_step(mixture.weights, mixture.means, mixture.variances, frames, frame_weights)
    assert_params_close(estimate, GmmParams(*expected))


def test_one_component_is_the_sample_mean_and_variance(frames):
    start = GmmParams([1.0], [[9.0, 9.0, 9.0]], [[5.0, 5.0, 5.0]])
    estimate = estimate_ml(double_stats(start, frames), variance_floor=TINY_FLOOR)
    assert_params_close(estimate, GmmParams([1.0], [frames.mean(axis=0)], [frames.var(axis=0)]))


@pytest.mark.parametrize(
    ("precision", "dtype", "rtol"),
    [("double", np.float64, RTOL_PEER_DOUBLE), ("single", np.float32, RTOL_PEER_SINGLE)],
)
def test_twenty_iterations_equal_scikit_learn(precision, dtype, rtol):
    rng = np.random.default_rng(0)
    centres = 2.0 * rng.standard_normal((8, 5))
    X = (centres[rng.integers(8, size=2000)] + rng.standard_normal((2000, 5))).astype(dtype)
    start = GmmParams(np.full(8, 1 / 8), X[:8], np.ones((8, 5)))
    ours = run_em(
        start,
        lambda params: accumulate_stats(params, X, precision=precision),
        lambda stats: estimate_ml(stats, variance_floor=TINY_FLOOR),
        max_iter=20,
        tol=0.0,
    )
    peer = GaussianMixture(
        8,
        covariance_type="diag",
        reg_covar=0.0,
        max_iter=20,
        tol=0.0,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=1.0 / start.variances,
    )
    with pytest.warns(match="did not converge"):
        peer.fit(X.astype(np.float64))
    np.testing.assert_allclose(ours.params.weights, peer.weights_, rtol=rtol)
    np.testing.assert_allclose(ours.params.means, peer.means_, rtol=rtol, atol=rtol)  # means cross zero
    np.testing.assert_allclose(ours.params.variances, peer.covariances_, rtol=rtol)
    np.testing.assert_allclose(ours.history[-1], peer.lower_bound_, rtol=rtol)


@pytest.mark.parametrize("n_chunks", [2, 10, 100])
def test_em_in_chunks_of_ordered_data_equals_em_on_the_whole(make_params, n_chunks):
    regimes = np.repeat([[-5.0, 0.0], [5.0, 1.0]], 1000, axis=0)
    frames = regimes + np.random.default_rng(0).standard_normal((2000, 2))

    def fit(pieces):
        return run_em(
            make_params(4, 3, 2),
            lambda params: sum((double_stats(params, piece) for piece in pieces), start=GmmStats.zeros_like(params)),
            lambda stats: estimate_ml(stats, variance_floor=TINY_FLOOR),
            max_iter=10,
            tol=0.0,
        ).params

    assert_params_close(fit(np.array_split(frames, n_chunks)), fit([frames]))


def test_permuted_components_give_permuted_estimates(mixture, frames):
    order = [2, 0, 3, 1]
    permuted = GmmParams(mixture.weights[order], mixture.means[order], mixture.variances[order])
    ours = estimate_ml(double_stats(permuted, frames), variance_floor=TINY_FLOOR)
    other = estimate_ml(double_stats(mixture, frames), variance_floor=TINY_FLOOR)
    assert_params_close(ours, GmmParams(other.weights[order], other.means[order], other.variances[order]))


def test_variance_floor_acts_per_feature(frames, mixture):
    floor = np.array([1e-6, 100.0, 1e-6])
    variances = estimate_ml(accumulate_stats(mixture, frames), variance_floor=floor).variances
    np.testing.assert_array_equal(variances[:, 1], 100.0)
    assert (variances[:, [0, 2]] < 100.0).all()


def test_global_moments_are_those_of_all_frames(mixture, frames):
    mean, variance = global_moments(double_stats(mixture, frames))
    np.testing.assert_allclose(mean, frames.mean(axis=0), rtol=RTOL)
    np.testing.assert_allclose(variance, frames.var(axis=0), rtol=RTOL)


# Dead components


@pytest.fixture
def stats_with_dead():
    """Three components, of which the middle one has no frames; one frame in four belongs to the last."""
    params = GmmParams([0.7, 0.0, 0.3], [[0.0, 0.0], [5.0, 5.0], [100.0, 0.0]], np.ones((3, 2)))
    frames = np.random.default_rng(0).standard_normal((400, 2)) * [2.0, 1.0]
    frames[::4, 0] += 100.0
    return double_stats(params, frames)


def test_a_dead_component_takes_half_of_the_heaviest(stats_with_dead):
    repaired = estimate_ml(stats_with_dead, variance_floor=TINY_FLOOR)
    np.testing.assert_allclose(repaired.weights, [0.375, 0.375, 0.25], rtol=1e-12)


def test_the_halves_keep_mean_and_variance_of_the_component_that_was_split(stats_with_dead):
    repaired = estimate_ml(stats_with_dead, variance_floor=TINY_FLOOR)
    whole_mean = stats_with_dead.center + stats_with_dead.first[0] / stats_with_dead.zeroth[0]
    second = stats_with_dead.second[0] / stats_with_dead.zeroth[0] - (whole_mean - stats_with_dead.center) ** 2
    pair = GmmParams([0.5, 0.5], repaired.means[:2], repaired.variances[:2])
    np.testing.assert_allclose(pair.center, whole_mean, rtol=RTOL, atol=RTOL)
    np.testing.assert_allclose(pair.scale**2, second, rtol=RTOL)


def test_many_dead_components_become_distinct():
    params = GmmParams(np.eye(1, 6)[0], np.arange(6.0)[:, np.newaxis] * 1e3, np.ones((6, 1)))
    stats = double_stats(params, np.random.default_rng(0).standard_normal((300, 1)))
    assert len(np.unique(estimate_ml(stats, variance_floor=TINY_FLOOR).means)) == 6


def test_the_heaviest_component_is_never_dead(mixture):
    stats = GmmStats.expected(mixture, [1e-9, 2e-9, 1e-9, 0.0])
    np.testing.assert_array_equal(dead_components(stats), [True, False, True, True])


def test_repair_never_splits_along_a_constant_feature():
    params = GmmParams([1.0, 0.0], [[0.0, 7.0], [1e3, 7.0]], np.ones((2, 2)))
    frames = np.column_stack([np.random.default_rng(0).standard_normal(50), np.full(50, 7.0)])
    repaired = estimate_ml(double_stats(params, frames), variance_floor=1e-3)
    np.testing.assert_allclose(repaired.means[:, 1], 7.0, rtol=1e-12)


def test_split_heaviest_takes_the_heaviest_first():
    params = GmmParams([0.7, 0.3], [[0.0], [10.0]], [[1.0], [1.0]])
    np.testing.assert_allclose(split_heaviest(params, 1, spread=np.ones(1)).weights, [0.35, 0.3, 0.35], rtol=1e-12)


def test_statistics_without_frames_are_refused(mixture):
    with pytest.raises(ParameterError, match="no frames"):
        estimate_ml(GmmStats.zeros_like(mixture), variance_floor=1.0)


@pytest.mark.parametrize("floor", [0.0, -1.0, [1.0, 1.0], np.nan])
def test_unusable_floor_is_refused(mixture, frames, floor):
    with pytest.raises(ParameterError, match="variance_floor"):
        estimate_ml(accumulate_stats(mixture, frames), variance_floor=floor)


# Maximum a posteriori


@pytest.mark.parametrize("relevance_factor", [0.5, 4.0, 16.0])
def test_estimate_map_equals_reynolds_equations_11_to_13(mixture, frames, relevance_factor):
    adapted = map_all(double_stats(mixture, frames), mixture, relevance_factor=relevance_factor)
    expected = reynolds_map(mixture.weights, mixture.means, mixture.variances, frames, relevance_factor)
    assert_params_close(adapted, GmmParams(*expected))


def test_estimate_map_by_default_updates_the_means_only(mixture, frames):
    adapted = estimate_map(double_stats(mixture, frames), mixture)
    expected = reynolds_map(mixture.weights, mixture.means, mixture.variances, frames, 16.0)
    assert_params_close(adapted, GmmParams(mixture.weights, expected[1], mixture.variances))


def test_estimate_map_without_data_returns_prior(mixture):
    adapted = map_all(GmmStats.zeros_like(mixture), mixture)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(adapted, name), getattr(mixture, name))


def test_a_component_without_data_stays_exactly_as_it_is():
    prior = GmmParams([0.5, 0.5], [[0.1], [1e4]], [[0.3], [0.7]])
    adapted = map_all(double_stats(prior, np.zeros((20, 1))), prior)
    assert (adapted.means[1, 0], adapted.variances[1, 0]) == (1e4, 0.7)


def test_an_infinite_relevance_factor_is_approached_by_the_prior(mixture, frames):
    assert_params_close(map_all(double_stats(mixture, frames), mixture, relevance_factor=1e14), mixture, rtol=1e-9)


def test_a_vanishing_relevance_factor_gives_maximum_likelihood(mixture, frames):
    stats = double_stats(mixture, frames)
    assert_params_close(
        map_all(stats, mixture, relevance_factor=1e-13), estimate_ml(stats, variance_floor=TINY_FLOOR), rtol=1e-9
    )


def test_variances_alone_are_taken_about_the_means_that_are_kept():
    prior = GmmParams([1.0], [[0.0]], [[1.0]])
    adapted = estimate_map(
        double_stats(prior, [[3.0]] * 16), prior, update_means=False, update_variances=True, relevance_factor=16.0
    )
    assert (adapted.means[0, 0], adapted.variances[0, 0]) == (0.0, 5.0)  # half of 3² and half of 1


def test_adapted_variance_is_positive_for_constant_data_at_any_offset():
    prior = GmmParams([1.0], [[1e6]], [[1.0]])
    adapted = map_all(double_stats(prior, np.full((1_000_000, 1), 1e6)), prior)
    np.testing.assert_allclose(adapted.variances, 16.0 / 1_000_016.0, rtol=1e-6)


def test_iterated_map_is_em_with_estimate_map(mixture, frames):
    prior_only_once = estimate_map(double_stats(mixture, frames), mixture)
    result = run_em(
        mixture,
        lambda params: double_stats(params, frames),
        lambda stats: estimate_map(stats, mixture),
        max_iter=2,
        tol=0.0,
        may_fall=lambda params, stats: True,
    )
    expected = estimate_map(double_stats(prior_only_once, frames), mixture)
    assert_params_close(result.params, expected)


def test_a_recording_added_later_counts_as_if_enrolled_together(mixture, frames):
    apart = double_stats(mixture, frames[:20]) + double_stats(mixture, frames[20:])
    assert_params_close(estimate_map(apart, mixture), estimate_map(double_stats(mixture, frames), mixture), rtol=1e-12)


@pytest.mark.parametrize("relevance_factor", [0.0, -1.0, np.inf, np.nan])
def test_unusable_relevance_factor_is_refused(mixture, frames, relevance_factor):
    with pytest.raises(ParameterError, match="relevance_factor is"):
        estimate_map(accumulate_stats(mixture, frames), mixture, relevance_factor=relevance_factor)


def test_statistics_of_another_shape_than_the_prior_are_refused(mixture, frames, make_params):
    with pytest.raises(ParameterError, match="accumulate them with the prior"):
        estimate_map(accumulate_stats(mixture, frames), make_params(0, 2, 3))


def moved(params, updated, name):
    """Return how far an over-relaxed step goes, in steps of EM, where the step is not zero."""
    relaxed = over_relaxed(params, updated, variance_floor=np.full(params.n_features, 1e-12))
    before, after, beyond = (getattr(each, name) for each in (params, updated, relaxed))
    if name == "variances":
        before, after, beyond = np.log(before), np.log(after), np.log(beyond)
    return (beyond - before) / (after - before)


@pytest.mark.parametrize("name", ["means", "variances"])
def test_an_over_relaxed_step_is_a_longer_step_of_em(mixture, frames, name):
    updated = estimate_ml(accumulate_stats(mixture, frames, precision="double"), variance_floor=1e-12)
    np.testing.assert_allclose(moved(mixture, updated, name), OVER_RELAXATION, rtol=1e-6)


def test_over_relaxed_weights_go_further_in_their_ratios():
    params, updated = (GmmParams([w, 1 - w], [[0.0], [1.0]], np.ones((2, 1))) for w in (0.5, 0.6))
    weights = over_relaxed(params, updated, variance_floor=np.array([0.1])).weights
    np.testing.assert_allclose(np.log(weights[0] / weights[1]), OVER_RELAXATION * np.log(0.6 / 0.4))


def test_a_fixed_point_of_em_is_one_of_over_relaxation(mixture):
    same = over_relaxed(mixture, mixture, variance_floor=np.zeros(mixture.n_features))
    np.testing.assert_allclose(same.variances, mixture.variances)
    np.testing.assert_allclose(same.weights, mixture.weights)


def test_an_over_relaxed_variance_keeps_the_floor_and_a_weight_of_zero_is_borne():
    params = GmmParams([0.0, 1.0], [[0.0], [1.0]], [[1.0], [1.0]])
    updated = GmmParams([0.0, 1.0], [[0.0], [1.0]], [[0.2], [0.2]])
    relaxed = over_relaxed(params, updated, variance_floor=np.array([0.1]))
    np.testing.assert_array_equal(relaxed.variances, 0.1)
    np.testing.assert_array_equal(relaxed.weights, [0.0, 1.0])
