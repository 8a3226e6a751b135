"""The M-step of the chain and the emissions; statistics are made by hand."""

import numpy as np
import pytest
from hmm.models import random_hmm, random_sequences

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, GmmStats, accumulate_stats, estimate_ml
from gmmaudio.hmm import HmmParams, HmmStats, MixtureEmissions, Prior, TiedEmissions, estimate_hmm
from gmmaudio.hmm.alignment import baum_welch
from gmmaudio.hmm.estimation import Updates, dead_gaussians
from gmmaudio.hmm.expectation import accumulate_hmm_stats
from gmmaudio.hmm.prior import log_prior
from gmmaudio.hmm.sequences import SequenceSource

FLOOR = 1e-9
RTOL = 1e-9
KINDS = pytest.mark.parametrize("tied", [False, True])


def stats_of(params, data, **options):
    source = SequenceSource(data, **options)
    return accumulate_hmm_stats(params, source, align=baum_welch, precision="double")


def model_and_stats(seed=0, **kind):
    rng = np.random.default_rng(seed)
    params = random_hmm(rng, **kind)
    return params, stats_of(params, random_sequences(rng, [40, 30, 9]))


def no_data(params, n_sequences=1):
    """Statistics of sequences that told nothing, as of missing frames of weight 0."""
    zero = HmmStats.zeros_like(params)
    return HmmStats(zero.start, zero.transitions, zero.ends, zero.emissions, zero.codebook_use, 0.0, 0.0, n_sequences)


def assert_same_model(found, expected, *, rtol=RTOL):
    for name in ("start_probs", "transition_matrix", "end_probs"):
        if getattr(expected, name) is not None:
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=rtol, atol=1e-12)
    for name, array in expected.emissions.to_arrays().items():
        np.testing.assert_allclose(found.emissions.to_arrays()[name], array, rtol=rtol, atol=1e-12)


def test_the_chain_is_counts_over_their_sums():
    params, stats = model_and_stats()
    found = estimate_hmm(stats, params, variance_floor=FLOOR)
    np.testing.assert_allclose(found.start_probs, stats.start / 3, rtol=RTOL)
    sums = stats.transitions.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.transition_matrix, stats.transitions / sums, rtol=RTOL)


def test_ends_and_transitions_share_the_visits_of_a_state():
    params, stats = model_and_stats(left_right=True, ends=True)
    found = estimate_hmm(stats, params, variance_floor=FLOOR)
    last = stats.transitions[2, 2] + stats.ends[2]
    np.testing.assert_allclose(found.end_probs, [0.0, 0.0, stats.ends[2] / last], rtol=RTOL)
    np.testing.assert_allclose(found.transition_matrix[2, 2], stats.transitions[2, 2] / last, rtol=RTOL)


def test_the_emissions_of_each_state_are_the_estimate_of_the_mixture():
    params, stats = model_and_stats(n_components=(1, 3))
    found = estimate_hmm(stats, params, variance_floor=FLOOR).emissions.mixtures[1]
    whole = stats.emissions
    part = GmmStats(whole.zeroth[1:], whole.first[1:], whole.second[1:], whole.center, 0.0, whole.zeroth[1:].sum())
    expected = estimate_ml(part, variance_floor=FLOOR)
    np.testing.assert_array_equal(found.weights, expected.weights)
    np.testing.assert_array_equal(found.variances, expected.variances)


def test_variances_are_about_the_new_means():
    """hmmlearn's GMMHMM: 25.7 instead of 1 after one step from mean 0 on N(5, 1)."""
    frames = np.random.default_rng(0).normal(5, 1, (2000, 1))
    params = HmmParams([1.0], [[1.0]], MixtureEmissions([GmmParams([1.0], [[0.0]], [[1.0]])]))
    found = estimate_hmm(stats_of(params, [frames]), params, variance_floor=FLOOR)
    np.testing.assert_allclose(found.emissions.pool.variances, [frames.var(axis=0)], rtol=RTOL)


def test_tied_weights_are_the_use_of_the_codebook():
    params, stats = model_and_stats(n_components=(4, 4), tied=True)
    found = estimate_hmm(stats, params, variance_floor=FLOOR).emissions
    use = stats.codebook_use
    np.testing.assert_allclose(found.weights, use / use.sum(axis=1, keepdims=True), rtol=RTOL)
    expected = estimate_ml(stats.emissions, variance_floor=FLOOR)
    np.testing.assert_allclose(found.codebook.means, expected.means, rtol=RTOL)


@KINDS
@pytest.mark.parametrize("ends", [False, True])
def test_without_data_everything_stays(tied, ends):
    params = random_hmm(np.random.default_rng(0), (3, 3), tied=tied, left_right=True, ends=ends)
    if tied:
        return assert_same_model(
            estimate_hmm(no_data(params), params, variance_floor=FLOOR, prior=Prior(params)), params
        )
    return assert_same_model(estimate_hmm(no_data(params), params, variance_floor=FLOOR), params)


@KINDS
def test_without_data_a_prior_gives_the_prior(tied):
    rng = np.random.default_rng(0)
    params, base = (random_hmm(rng, (3, 3), tied=tied) for _ in range(2))
    assert_same_model(estimate_hmm(no_data(params), params, variance_floor=FLOOR, prior=Prior(base)), base)


@KINDS
def test_an_infinitely_relevant_prior_is_the_answer(tied):
    params, stats = model_and_stats(n_components=(3, 3), tied=tied)
    base = random_hmm(np.random.default_rng(7), (3, 3), tied=tied)
    found = estimate_hmm(stats, params, variance_floor=FLOOR, prior=Prior(base, relevance_factor=1e12))
    assert_same_model(found, base, rtol=1e-6)


@KINDS
def test_an_irrelevant_prior_says_nothing(tied):
    params, stats = model_and_stats(n_components=(3, 3), tied=tied)
    base = random_hmm(np.random.default_rng(7), (3, 3), tied=tied)
    found = estimate_hmm(stats, params, variance_floor=FLOOR, prior=Prior(base, relevance_factor=1e-13))
    assert_same_model(found, estimate_hmm(stats, params, variance_floor=FLOOR), rtol=1e-6)


def test_a_prior_is_as_much_data_that_it_has_explained():
    """One Gaussian: relevance factor r and r frames of the prior's moments are the same."""
    frames = np.random.default_rng(0).normal(2, 3, (50, 1))
    base = HmmParams([1.0], [[1.0]], MixtureEmissions([GmmParams([1.0], [[1.0]], [[4.0]])]))
    found = estimate_hmm(stats_of(base, [frames]), base, variance_floor=FLOOR, prior=Prior(base, 20.0))
    extra = np.repeat([[1.0 - 2.0], [1.0 + 2.0]], 10, axis=0)  # mean 1, variance 4
    together = np.concatenate([frames, extra])
    np.testing.assert_allclose(found.emissions.pool.means, [together.mean(axis=0)], rtol=RTOL)
    np.testing.assert_allclose(found.emissions.pool.variances, [together.var(axis=0)], rtol=RTOL)


def test_a_prior_does_not_destroy_the_zeros_of_the_topology():
    """dynamax: after three iterations 0 was 0.0017."""
    params, stats = model_and_stats(left_right=True)
    base = random_hmm(np.random.default_rng(7))  # everything is possible in it
    found = estimate_hmm(stats, params, variance_floor=FLOOR, prior=Prior(base))
    assert not found.transition_matrix[params.transition_matrix == 0].any()
    assert not found.start_probs[params.start_probs == 0].any()


@KINDS
def test_one_step_maximises_likelihood_and_prior(tied):
    """No parameters near the answer have a greater expected objective: checked along random directions."""
    params, stats = model_and_stats(n_components=(3, 3), tied=tied)
    prior = Prior(random_hmm(np.random.default_rng(7), (3, 3), tied=tied), 5.0)
    best = estimate_hmm(stats, params, variance_floor=FLOOR, prior=prior)
    data = GmmStats.expected(best.emissions.pool, np.ones(best.emissions.pool.n_components))
    assert data.n_frames > 0
    rng = np.random.default_rng(1)
    objective = expected_log_likelihood(stats, best) + log_prior(best, prior)
    for _ in range(20):
        other = perturbed(best, rng)
        assert expected_log_likelihood(stats, other) + log_prior(other, prior) < objective


def perturbed(params, rng):
    """A model nearby."""

    def mixed(rows):
        noise = rng.dirichlet(np.ones(rows.shape[-1]), rows.shape[:-1])
        return 0.99 * rows + 0.01 * noise

    pool = params.emissions.pool
    means = pool.means + 0.01 * rng.normal(size=pool.means.shape)
    variances = pool.variances * np.exp(0.01 * rng.normal(size=pool.means.shape))
    if isinstance(params.emissions, TiedEmissions):
        emissions = TiedEmissions(GmmParams(pool.weights, means, variances), mixed(params.emissions.weights))
    else:
        weights = np.concatenate([mixed(mixture.weights) for mixture in params.emissions.mixtures])
        numbers = [mixture.n_components for mixture in params.emissions.mixtures]
        emissions = MixtureEmissions.from_pool(numbers, weights, means, variances)
    return HmmParams(mixed(params.start_probs), mixed(params.transition_matrix), emissions)


def expected_log_likelihood(stats, params):
    """EM's auxiliary function of some parameters, up to a constant."""
    pool, center = params.emissions.pool, stats.emissions.center
    total = (stats.start * np.log(params.start_probs)).sum()
    total += (stats.transitions * np.log(params.transition_matrix)).sum()
    if stats.codebook_use is not None:
        total += (stats.codebook_use * np.log(params.emissions.weights)).sum()
    else:
        weights = np.concatenate([mixture.weights for mixture in params.emissions.mixtures])
        total += (stats.emissions.zeroth * np.log(weights)).sum()
    means, counts = pool.means - center, stats.emissions.zeroth[:, None]
    squares = stats.emissions.second - 2 * means * stats.emissions.first + counts * means**2
    return total - 0.5 * (counts * np.log(pool.variances) + squares / pool.variances).sum()


@pytest.mark.parametrize("name", ["start", "transitions", "weights", "means", "covariances"])
@KINDS
def test_what_is_not_updated_stays(tied, name):
    params, stats = model_and_stats(n_components=(3, 3), tied=tied)
    found = estimate_hmm(stats, params, variance_floor=FLOOR, updates=Updates(**{name: False}))
    arrays = {
        "start": lambda model: model.start_probs,
        "transitions": lambda model: model.transition_matrix,
        "weights": lambda model: model.emissions.to_arrays()["weights"],
        "means": lambda model: model.emissions.pool.means,
        "covariances": lambda model: model.emissions.pool.variances,
    }
    for which, of_model in arrays.items():
        assert np.array_equal(of_model(found), of_model(params)) == (which == name)


def test_where_means_stay_variances_are_about_them():
    frames = np.random.default_rng(0).normal(5, 1, (100, 1))
    params = HmmParams([1.0], [[1.0]], MixtureEmissions([GmmParams([1.0], [[4.0]], [[1.0]])]))
    found = estimate_hmm(stats_of(params, [frames]), params, variance_floor=FLOOR, updates=Updates(means=False))
    np.testing.assert_allclose(found.emissions.pool.variances, [[np.square(frames - 4.0).mean()]], rtol=RTOL)


def test_an_empty_component_is_repaired_within_its_state():
    states = [GmmParams([0.5, 0.5], [[0.0], [1e4]], [[1.0], [1.0]]), GmmParams([1.0], [[50.0]], [[1.0]])]
    params = HmmParams([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], MixtureEmissions(states))
    frames = np.random.default_rng(0).normal(0, 1, (100, 1)) + 50.0 * (np.arange(100)[:, None] > 60)
    stats = stats_of(params, [frames])
    assert dead_gaussians(stats, params)
    found = estimate_hmm(stats, params, variance_floor=FLOOR).emissions.mixtures[0]
    assert (np.abs(found.means) < 2.0).all()
    np.testing.assert_allclose(found.weights, 0.5)


def test_a_state_that_no_frame_reached_stays():
    states = [GmmParams([1.0], [[0.0]], [[1.0]]), GmmParams([1.0], [[1e4]], [[1.0]])]
    params = HmmParams([0.5, 0.5], [[0.5, 0.5], [0.25, 0.75]], MixtureEmissions(states))
    found = estimate_hmm(stats_of(params, [np.zeros((10, 1))]), params, variance_floor=FLOOR)
    np.testing.assert_array_equal(found.emissions.mixtures[1].means, [[1e4]])
    np.testing.assert_array_equal(found.transition_matrix[1], [0.25, 0.75])


def test_variances_are_not_below_the_floor():
    params = HmmParams([1.0], [[1.0]], MixtureEmissions([GmmParams([1.0], [[0.0]], [[1.0]])]))
    found = estimate_hmm(stats_of(params, [np.zeros((9, 1))]), params, variance_floor=0.25)
    np.testing.assert_array_equal(found.emissions.pool.variances, [[0.25]])


def test_missing_features_add_the_variance_that_the_model_expects():
    """Ghahramani & Jordan 1994: half of the values missing, one Gaussian; its own expectation takes their place."""
    params = HmmParams([1.0], [[1.0]], MixtureEmissions([GmmParams([1.0], [[1.0]], [[4.0]])]))
    frames = np.array([[3.0], [np.nan], [5.0], [np.nan]])
    found = estimate_hmm(stats_of(params, [frames]), params, variance_floor=FLOOR).emissions.pool
    mean = (3.0 + 5.0 + 1.0 + 1.0) / 4
    np.testing.assert_allclose(found.means, [[mean]], rtol=RTOL)
    np.testing.assert_allclose(found.variances, [[(9 + 25 + 2 * (4.0 + 1.0)) / 4 - mean**2]], rtol=RTOL)


def test_accumulate_stats_and_one_state_agree_on_the_estimate():
    params, data = random_hmm(np.random.default_rng(0), (3,)), random_sequences(np.random.default_rng(1), [50])
    mixture = params.emissions.mixtures[0]
    found = estimate_hmm(stats_of(params, data), params, variance_floor=FLOOR).emissions.mixtures[0]
    expected = estimate_ml(accumulate_stats(mixture, data[0], precision="double"), variance_floor=FLOOR)
    np.testing.assert_allclose(found.variances, expected.variances, rtol=RTOL)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda params, stats: estimate_hmm(HmmStats.zeros_like(params), params, variance_floor=FLOOR), "no sequences"),
        (lambda params, stats: estimate_hmm(stats, params, variance_floor=0.0), "variance_floor must be positive"),
        (
            lambda params, stats: estimate_hmm(
                stats, random_hmm(np.random.default_rng(0), (1, 1)), variance_floor=FLOOR
            ),
            "accumulate them with this model",
        ),
        (
            lambda params, stats: estimate_hmm(
                stats, params, variance_floor=FLOOR, prior=Prior(random_hmm(np.random.default_rng(0), (2, 2, 1)))
            ),
            "the prior model must have as many states",
        ),
        (lambda params, stats: Prior(params, relevance_factor=0.0), "relevance_factor is 0.0"),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call(*model_and_stats())
