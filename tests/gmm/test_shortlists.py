"""Passes over shortlists: full ones are exact, the others miss only what has come near, and bits do not move."""

import numpy as np
import pytest

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, _blas, accumulate_stats, estimate_ml
from gmmaudio.gmm._moments import TILE_FRAMES, WINDOW_FRAMES
from gmmaudio.gmm.shortlists import ShortlistAccumulator, Shortlists

FIELDS = ("zeroth", "first", "second", "log_likelihood", "n_frames")
RTOL_SINGLE = 1e-5  # of the largest value, as for full passes
ATOL_HISTORY = 1e-4  # nats per frame, what the shortlists promise
N_FRAMES = WINDOW_FRAMES + 1300


@pytest.fixture(scope="module")
def clusters():
    """A mixture of 60 components, of which one stands for digital silence and a few are alive per frame."""
    rng = np.random.default_rng(0)
    means, variances = 4 * rng.standard_normal((60, 6)), rng.uniform(0.5, 2.0, (60, 6))
    means[0], variances[0] = -60.0, 1e-6
    return GmmParams(rng.dirichlet(np.full(60, 5.0)), means, variances)


@pytest.fixture(scope="module")
def series(clusters):
    """More than a window of frames of the clusters, ordered in time."""
    rng = np.random.default_rng(1)
    components = np.sort(rng.choice(60, N_FRAMES, p=clusters.weights))
    return clusters.means[components] + np.sqrt(clusters.variances[components]) * rng.standard_normal((N_FRAMES, 6))


@pytest.fixture
def start(clusters):
    """The mixture, disturbed: EM has some way to go."""
    rng = np.random.default_rng(2)
    means = clusters.means + np.sqrt(clusters.variances) * rng.standard_normal(clusters.means.shape)
    return GmmParams(clusters.weights, means, 2 * clusters.variances)


@pytest.fixture(autouse=True)
def _threads_for_little_work(monkeypatch):
    monkeypatch.setattr(_blas, "PRODUCTS_PER_THREAD", 1.0)


def one_pass(params, shortlists, frames, *, cuts=(), weights=None, n_threads=None):
    accumulator = ShortlistAccumulator(params, shortlists, n_threads=n_threads)
    bounds = [0, *cuts, len(frames)]
    for i, start_row in enumerate(bounds[:-1]):
        rows = slice(start_row, bounds[i + 1])
        accumulator.push(frames[rows], None if weights is None else weights[rows])
    return accumulator.result()


def assert_same_bits(actual, expected):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)


def assert_close(actual, expected):
    """Equal fields, relative to the largest value of each."""
    for name in FIELDS:
        want = np.asarray(getattr(expected, name))
        atol = RTOL_SINGLE * np.abs(want).max()
        np.testing.assert_allclose(getattr(actual, name), want, rtol=0, atol=atol, err_msg=name)


def em(params, accumulate, n_iterations):
    """Return the parameters after some iterations, and the log-likelihoods."""
    history = []
    for _ in range(n_iterations):
        stats = accumulate(params)
        history.append(stats.log_likelihood / stats.n_frames)
        params = estimate_ml(stats, variance_floor=1e-4)
    return params, np.array(history)


def test_the_first_pass_has_the_bits_of_a_full_one(clusters, series):
    assert list(clusters.far_components) == [0]
    weights = np.linspace(0.0, 2.0, N_FRAMES)
    expected = accumulate_stats(clusters, series, frame_weights=weights)
    assert_same_bits(one_pass(clusters, Shortlists(), series, weights=weights), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_pass_over_fresh_lists_equals_a_full_one(clusters, series, dtype):
    frames, shortlists, weights = series.astype(dtype), Shortlists(), np.linspace(0.0, 2.0, N_FRAMES)
    full = one_pass(clusters, shortlists, frames, weights=weights)
    assert not shortlists.next_is_full
    assert_close(one_pass(clusters, shortlists, frames, weights=weights), full)


def test_a_pass_over_lists_looks_at_nothing_else(clusters, series):
    """All components change places, so that those which are listed are the wrong ones."""
    shortlists = Shortlists()
    one_pass(clusters, shortlists, series)
    moved = GmmParams(np.roll(clusters.weights, 7), np.roll(clusters.means, 7, 0), np.roll(clusters.variances, 7, 0))
    assert (
        one_pass(moved, shortlists, series).log_likelihood < accumulate_stats(moved, series).log_likelihood - N_FRAMES
    )


@pytest.mark.parametrize(("cuts", "n_threads"), [((), 2), ((), 4), ((1, 5000, WINDOW_FRAMES, WINDOW_FRAMES + 3), 2)])
def test_neither_threads_nor_chunks_change_a_bit(clusters, start, series, cuts, n_threads):
    ends = []
    for options in ({"n_threads": 1}, {"n_threads": n_threads, "cuts": cuts}):
        shortlists = Shortlists()
        one_pass(start, shortlists, series, **options)
        ends.append(one_pass(clusters, shortlists, series, **options))
    assert_same_bits(*ends)


def test_em_over_shortlists_follows_em_over_all_components(start, series):
    shortlists, is_full = Shortlists(), []

    def accumulate(params):
        is_full.append(shortlists.next_is_full)
        return one_pass(params, shortlists, series)

    _, history = em(start, accumulate, 20)
    _, expected = em(start, lambda params: accumulate_stats(params, series), 20)
    np.testing.assert_allclose(history, expected, rtol=0, atol=ATOL_HISTORY)
    assert 1 < sum(is_full) < 15


def test_without_any_gain_allowed_every_second_pass_is_full(start, series):
    shortlists, is_full = Shortlists(max_gain=0.0), []

    def accumulate(params):
        is_full.append(shortlists.next_is_full)
        return one_pass(params, shortlists, series[:2000])

    em(start, accumulate, 6)
    assert is_full == [True, False] * 3


def test_forgetting_makes_the_next_pass_full(clusters, series):
    shortlists = Shortlists()
    one_pass(clusters, shortlists, series)
    shortlists.forget()
    assert_same_bits(one_pass(clusters, shortlists, series), accumulate_stats(clusters, series))


def test_a_tile_that_was_shorter_when_it_was_listed_is_calculated_in_full(clusters, series):
    shortlists, n_first = Shortlists(), TILE_FRAMES + 100
    one_pass(clusters, shortlists, series[:n_first])
    longer = series[: n_first + 50]
    assert_close(one_pass(clusters, shortlists, longer), accumulate_stats(clusters, longer))


def test_a_listed_component_that_loses_its_weight_leaves_all_to_its_twin(clusters, series):
    twin = np.where(np.arange(60) == 5, 6, np.arange(60))
    shares, shortlists = [], Shortlists()
    for share in (0.5, 0.0):
        weights = clusters.weights.copy()
        weights[5], weights[6] = share * weights[6], (1 - share) * weights[6]
        params = GmmParams(weights / weights.sum(), clusters.means[twin], clusters.variances[twin])
        shares.append(one_pass(params, shortlists, series).zeroth[5:7])
    np.testing.assert_allclose(shares[1], [0.0, shares[0].sum()], rtol=RTOL_SINGLE)


@pytest.mark.parametrize("n_components", [3, 50])
def test_models_without_shortlists_are_calculated_in_full_every_time(n_components):
    """A small one, and one whose components are all alive in every frame."""
    rng = np.random.default_rng(3)
    means = 0.1 * rng.standard_normal((n_components, 4))
    params = GmmParams(np.full(n_components, 1 / n_components), means, np.ones_like(means))
    frames, shortlists = rng.standard_normal((2000, 4)), Shortlists()
    for _ in range(2):
        assert_same_bits(one_pass(params, shortlists, frames), accumulate_stats(params, frames))


def test_a_negative_gain_is_refused():
    with pytest.raises(ParameterError, match="max_gain is -1"):
        Shortlists(max_gain=-1)
