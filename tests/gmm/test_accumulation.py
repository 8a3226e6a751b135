"""The tiled, threaded, selecting E-step: same bits for any cutting, and a bound on what it leaves out."""

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, StatsAccumulator, _blas, accumulate_stats, estimate_ml, statistics
from gmmaudio.gmm._moments import WINDOW_FRAMES
from gmmaudio.gmm.density import MIN_COMPONENTS, SPAN
from gmmaudio.gmm.statistics import SUM_WIDTH, sum_of

RTOL_SINGLE = 1e-5  # of the largest value: 512 terms at 6e-8 per tile
RTOL_ITERATIONS = 1e-4  # what the fast path promises after 20 iterations
RTOL_NARROW = 1e-5  # moments about the center with m² / v = 2.5e9 leave float64 six digits
FIELDS = ("zeroth", "first", "second", "log_likelihood", "n_frames")
PRECISIONS = ("single", "double")
N_FRAMES = WINDOW_FRAMES + 1300


def assert_same_bits(actual, expected):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)


def assert_close(actual, expected, *, rtol):
    """Equal fields, relative to the largest value of each."""
    for name in FIELDS:
        want = np.asarray(getattr(expected, name))
        np.testing.assert_allclose(getattr(actual, name), want, rtol=0, atol=rtol * np.abs(want).max(), err_msg=name)


@pytest.fixture(scope="module")
def clusters(make_params):
    """A mixture of 40 well separated components: a few alive per frame."""
    rng = np.random.default_rng(0)
    return GmmParams(rng.dirichlet(np.full(40, 5.0)), 4 * rng.standard_normal((40, 5)), np.ones((40, 5)))


@pytest.fixture(scope="module")
def series(clusters):
    """More than a window of frames of the clusters, ordered in time."""
    rng = np.random.default_rng(1)
    components = np.sort(rng.choice(40, N_FRAMES, p=clusters.weights))
    return clusters.means[components] + rng.standard_normal((N_FRAMES, 5))


@pytest.fixture(autouse=True)
def _threads_for_little_work(monkeypatch):
    monkeypatch.setattr(_blas, "PRODUCTS_PER_THREAD", 1.0)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("n_threads", [2, 4, None])
def test_any_number_of_threads_gives_the_same_bits(clusters, series, precision, n_threads):
    expected = accumulate_stats(clusters, series, precision=precision, n_threads=1)
    assert_same_bits(accumulate_stats(clusters, series, precision=precision, n_threads=n_threads), expected)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, N_FRAMES), max_size=8),
    precision=st.sampled_from(PRECISIONS),
    n_threads=st.sampled_from([1, 2]),
)
def test_any_chunks_give_the_same_bits(clusters, series, cuts, precision, n_threads):
    frame_weights = np.linspace(0.0, 2.0, N_FRAMES)
    accumulator = StatsAccumulator(clusters, precision=precision, n_threads=n_threads)
    for start, stop in pairwise([0, *sorted(cuts), N_FRAMES]):
        accumulator.push(series[start:stop], frame_weights[start:stop])
    expected = accumulate_stats(clusters, series, frame_weights=frame_weights, precision=precision)
    assert_same_bits(accumulator.result(), expected)


@pytest.fixture
def short_chapters(monkeypatch):
    """Chapters of one window, so that a test has several."""
    monkeypatch.setattr(statistics, "CHAPTER_FRAMES", WINDOW_FRAMES)


@pytest.mark.parametrize("n_chapters", [1, 2, SUM_WIDTH, SUM_WIDTH + 1, SUM_WIDTH**2 + 3])
def test_chapters_may_be_accumulated_by_themselves_and_summed_in_a_tree(short_chapters, n_chapters):
    one = GmmParams([1.0], [[0.0]], [[1.0]])
    frames = np.random.default_rng(0).standard_normal((n_chapters * WINDOW_FRAMES, 1))
    sums = [accumulate_stats(one, chapter) for chapter in np.split(frames, n_chapters)]
    while len(sums) > 1:
        sums = [sum_of(sums[start : start + SUM_WIDTH]) for start in range(0, len(sums), SUM_WIDTH)]
    assert_same_bits(accumulate_stats(one, frames), sums[0])


def test_a_chunk_may_begin_in_one_chapter_and_end_in_another(short_chapters, clusters, series):
    thrice = np.concatenate([series] * 3)
    accumulator = StatsAccumulator(clusters)
    for chunk in np.split(thrice, [100, 2 * WINDOW_FRAMES + 5, 2 * WINDOW_FRAMES + 6]):
        accumulator.push(chunk)
    assert_same_bits(accumulator.result(), accumulate_stats(clusters, thrice))


def test_a_result_in_between_changes_nothing_that_follows(clusters, series):
    accumulator = StatsAccumulator(clusters)
    accumulator.push(series[:100])
    assert_same_bits(accumulator.result(), accumulate_stats(clusters, series[:100]))
    accumulator.push(series[100:])
    assert_same_bits(accumulator.result(), accumulate_stats(clusters, series))


def test_the_caller_may_overwrite_a_chunk_that_was_pushed(clusters, series):
    accumulator, chunk = StatsAccumulator(clusters), series[:100].copy()
    accumulator.push(chunk)
    chunk[:] = 0.0
    assert_same_bits(accumulator.result(), accumulate_stats(clusters, series[:100]))


def read_only(array):
    copied = array.copy()
    copied.flags.writeable = False
    return copied


@pytest.mark.parametrize("convert", [np.asfortranarray, read_only, lambda a: np.repeat(a, 2, axis=0)[::2]])
def test_memory_layout_does_not_matter(clusters, series, convert):
    assert_same_bits(accumulate_stats(clusters, convert(series)), accumulate_stats(clusters, series))


def test_float32_frames_give_what_the_same_values_give_in_float64(clusters, series):
    single = series.astype(np.float32)
    assert_same_bits(accumulate_stats(clusters, single), accumulate_stats(clusters, single.astype(np.float64)))


@pytest.mark.parametrize("n_components", [MIN_COMPONENTS, 33, 71, 300])
@pytest.mark.parametrize("spread", [0.1, 1.0, 5.0])
def test_statistics_equal_those_in_double_precision(n_components, spread):
    """From all components alive in every frame (spread 0.1, the dense product) to very few (spread 5)."""
    rng = np.random.default_rng(n_components)
    means = spread * rng.standard_normal((n_components, 4))
    params = GmmParams(rng.dirichlet(np.full(n_components, 5.0)), means, rng.uniform(0.5, 2, means.shape))
    frames = means[rng.integers(n_components, size=700)] + rng.standard_normal((700, 4))
    weights = rng.uniform(0.0, 2.0, 700)
    actual = accumulate_stats(params, frames, frame_weights=weights)
    assert_close(actual, accumulate_stats(params, frames, frame_weights=weights, precision="double"), rtol=RTOL_SINGLE)


@pytest.mark.parametrize("spread", [0.1, 5.0])
def test_a_component_too_narrow_for_float32_keeps_its_digits(spread):
    """Digital silence: frames far from all others that hardly vary; many components per frame, or few."""
    rng = np.random.default_rng(0)
    means = spread * rng.standard_normal((100, 4))
    means[7] = -50.0
    variances = np.ones((100, 4))
    variances[7] = 1e-6
    params = GmmParams(np.full(100, 0.01), means, variances)
    assert list(params.far_components) == [7]
    frames = means[rng.integers(100, size=600)] + rng.standard_normal((600, 4))
    frames[100:150] = means[7] + 1e-3 * rng.standard_normal((50, 4))
    single, double = (accumulate_stats(params, frames, precision=each) for each in ("single", "double"))
    assert_close(single, double, rtol=RTOL_SINGLE)
    silence = [estimate_ml(stats, variance_floor=1e-12) for stats in (single, double)]
    np.testing.assert_allclose(silence[0].variances[7], silence[1].variances[7], rtol=RTOL_NARROW)


def ladder(distance):
    """One component at 0, and all others so far that they are `distance` nats below it at 0."""
    means = np.full((MIN_COMPONENTS, 1), np.sqrt(2.0 * distance))
    means[0] = 0.0
    return GmmParams(np.full(MIN_COMPONENTS, 1.0 / MIN_COMPONENTS), means, np.ones_like(means))


@pytest.mark.parametrize(("distance", "is_counted"), [(SPAN - 0.01, True), (SPAN + 0.01, False)])
def test_components_count_within_the_span_only(distance, is_counted):
    occupancy = accumulate_stats(ladder(distance), np.zeros((1000, 1))).zeroth[1:]
    np.testing.assert_allclose(occupancy, 1000.0 * is_counted * np.exp(-distance), rtol=1e-4)


def test_what_the_span_drops_is_less_than_its_bound():
    params = ladder(SPAN + 0.01)
    bound = (params.n_components - 1) * np.exp(-SPAN)
    double, single = (accumulate_stats(params, np.zeros((1000, 1)), precision=each) for each in ("double", "single"))
    dropped = (double.zeroth[1:].sum() - single.zeroth[1:].sum()) / 1000
    assert 0.9 * bound < dropped < bound


def test_twenty_iterations_end_where_double_precision_ends(clusters, series):
    rng = np.random.default_rng(2)
    ends = {}
    start = GmmParams(clusters.weights, clusters.means + rng.standard_normal((40, 5)), 2 * clusters.variances)
    for precision in PRECISIONS:
        params = start
        for _ in range(20):
            params = estimate_ml(accumulate_stats(params, series, precision=precision), variance_floor=1e-2)
        ends[precision] = params
    for name in ("weights", "means", "variances"):
        single, double = (getattr(ends[precision], name) for precision in PRECISIONS)
        np.testing.assert_allclose(single, double, rtol=0, atol=RTOL_ITERATIONS * np.abs(double).max(), err_msg=name)


def test_weights_near_zero_neither_count_nor_warn(clusters, series):
    frame_weights = np.where(np.arange(600) % 3 == 0, 1.0, 1e-42)
    expected = accumulate_stats(clusters, series[:600:3])
    assert_close(accumulate_stats(clusters, series[:600], frame_weights=frame_weights), expected, rtol=RTOL_SINGLE)


def test_no_thread_is_refused(clusters, series):
    with pytest.raises(ParameterError, match="n_threads is 0"):
        accumulate_stats(clusters, series, n_threads=0)


def test_small_models_do_not_wait_for_the_compiler():
    code = (
        "import sys; from gmmaudio.gmm import GmmParams, accumulate_stats, frame_log_likelihoods;"
        "params = GmmParams([1.0], [[0.0]], [[1.0]]); accumulate_stats(params, [[0.0]]);"
        "frame_log_likelihoods(params, [[0.0]]); print('numba' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "False"
