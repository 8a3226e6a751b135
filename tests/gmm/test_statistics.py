import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import gmm_frame_log_likelihoods, gmm_statistics

from gmmaudio.errors import ParameterError
from gmmaudio.gmm import GmmParams, GmmStats, accumulate_stats, estimate_ml, frame_log_likelihoods

RTOL_DOUBLE = 1e-11  # sums of some hundred terms at 1e-16
RTOL_CHUNKS = 1e-12  # the same terms in another order
RTOL_SINGLE = 1e-4
TOLERANCES = [("double", RTOL_DOUBLE), ("single", RTOL_SINGLE)]
FIELDS = ("zeroth", "first", "second")


def assert_stats_close(actual, expected, *, rtol):
    """Equal fields, relative to the largest value of each: sums of both signs cancel."""
    for name in (*FIELDS, "log_likelihood", "n_frames"):
        want = np.asarray(getattr(expected, name))
        largest = np.abs(want).max() + np.finfo(float).tiny
        np.testing.assert_allclose(getattr(actual, name), want, rtol=0, atol=rtol * largest, err_msg=name)


@pytest.mark.parametrize(("precision", "rtol"), TOLERANCES)
def test_statistics_equal_brute_force(mixture, frames, precision, rtol):
    frame_weights = np.random.default_rng(2).uniform(0.0, 2.0, len(frames))
    stats = accumulate_stats(mixture, frames, frame_weights=frame_weights, precision=precision)
    expected = gmm_statistics(mixture.weights, mixture.means, mixture.variances, frames, frame_weights, mixture.center)
    for name, want in zip(FIELDS, expected, strict=True):
        np.testing.assert_allclose(getattr(stats, name), want, rtol=0, atol=rtol * np.abs(want).max(), err_msg=name)


@pytest.mark.parametrize(("precision", "rtol"), TOLERANCES)
def test_log_likelihood_is_the_weighted_sum_over_frames(mixture, frames, precision, rtol):
    frame_weights = np.arange(len(frames)) % 3
    stats = accumulate_stats(mixture, frames, frame_weights=frame_weights, precision=precision)
    each = gmm_frame_log_likelihoods(mixture.weights, mixture.means, mixture.variances, frames)
    np.testing.assert_allclose(stats.log_likelihood, frame_weights @ each, rtol=rtol)


def test_number_of_frames_is_the_sum_of_weights(mixture, frames):
    assert accumulate_stats(mixture, frames, frame_weights=np.full(len(frames), 0.5)).n_frames == len(frames) / 2


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 1300), max_size=8))
def test_statistics_of_chunks_add_up_to_those_of_the_whole(make_params, make_frames, cuts):
    params = make_params(0, 4, 3)
    frames = np.sort(make_frames(1, 1300, 3), axis=0)  # ordered, as a time series may be
    whole = accumulate_stats(params, frames, precision="double")
    chunks = np.split(frames, sorted(cuts))
    parts = (accumulate_stats(params, chunk, precision="double") for chunk in chunks)
    assert_stats_close(sum(parts, start=GmmStats.zeros_like(params)), whole, rtol=RTOL_CHUNKS)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_integer_weights_equal_duplication(mixture, frames, precision):
    counts = np.arange(len(frames)) % 4
    weighted = accumulate_stats(mixture, frames, frame_weights=counts, precision=precision)
    repeated = accumulate_stats(mixture, np.repeat(frames, counts, axis=0), precision=precision)
    assert_stats_close(weighted, repeated, rtol=dict(TOLERANCES)[precision])


def test_weight_zero_drops_a_frame_however_far_away(mixture, frames):
    with_outlier = np.vstack([frames, [[1e100] * 3]])
    weights = np.append(np.ones(len(frames)), 0.0)
    assert_stats_close(
        accumulate_stats(mixture, with_outlier, frame_weights=weights), accumulate_stats(mixture, frames), rtol=1e-6
    )


def test_tiny_weights_keep_their_digits_in_single_precision(mixture, frames):
    weighted = accumulate_stats(mixture, frames, frame_weights=np.full(len(frames), 1e-12))
    whole = accumulate_stats(mixture, frames)
    np.testing.assert_allclose(weighted.second * 1e12, whole.second, rtol=RTOL_SINGLE)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_second_order_keeps_its_digits_at_an_offset_of_a_million(precision):
    frames = 1e6 + np.random.default_rng(0).standard_normal((5000, 2))
    params = GmmParams([1.0], frames[:1], [[1.0, 1.0]])
    estimate = estimate_ml(accumulate_stats(params, frames, precision=precision), variance_floor=1e-9)
    np.testing.assert_allclose(estimate.variances[0], frames.var(axis=0), rtol=1e-6)


@pytest.mark.parametrize("precision", ["single", "double"])
def test_far_apart_components_do_not_slow_down_or_leak(precision):
    params = GmmParams([0.5, 0.5], [[-10.0], [10.0]], [[1.0], [1.0]])
    stats = accumulate_stats(params, np.full((100, 1), -10.0), precision=precision)
    np.testing.assert_allclose(stats.zeroth, [100.0, 0.0], atol=1e-15)


def test_no_frames_give_the_neutral_element(mixture, frames):
    stats = accumulate_stats(mixture, frames)
    assert_stats_close(stats + accumulate_stats(mixture, np.zeros((0, 3))), stats, rtol=0.0)


def test_adding_changes_neither_operand(mixture, frames):
    first, second = accumulate_stats(mixture, frames[:30]), accumulate_stats(mixture, frames[30:])
    before = copy.deepcopy((first, second))
    _ = first + second
    for stats, copied in zip((first, second), before, strict=True):
        assert_stats_close(stats, copied, rtol=0.0)


def test_statistics_cannot_be_written_to(mixture, frames):
    stats = accumulate_stats(mixture, frames)
    with pytest.raises(ValueError, match="read-only"):
        stats.zeroth[0] = 0.0


def test_adding_statistics_of_different_models_is_refused(mixture, frames, make_params):
    with pytest.raises(ParameterError, match="are they of different models"):
        _ = accumulate_stats(mixture, frames) + accumulate_stats(make_params(9, 4, 3), frames)


def test_adding_statistics_of_another_number_of_components_is_refused(mixture, frames, make_params):
    with pytest.raises(ParameterError, match="are they of different models"):
        _ = accumulate_stats(mixture, frames) + accumulate_stats(make_params(9, 2, 3), frames)


def test_adding_something_else_is_a_type_error(mixture, frames):
    with pytest.raises(TypeError):
        _ = accumulate_stats(mixture, frames) + 1


def test_expected_statistics_are_the_inverse_of_estimation(mixture):
    again = estimate_ml(GmmStats.expected(mixture, 50.0 * mixture.weights), variance_floor=1e-9)
    for name in ("weights", "means", "variances"):
        np.testing.assert_allclose(getattr(again, name), getattr(mixture, name), rtol=RTOL_DOUBLE)


def test_expected_statistics_are_those_of_many_drawn_frames(mixture):
    rng = np.random.default_rng(0)
    drawn = mixture.means[0] + np.sqrt(mixture.variances[0]) * rng.standard_normal((200_000, 3))
    expected = GmmStats.expected(mixture, [1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(expected.second[0], np.square(drawn - mixture.center).mean(axis=0), rtol=0.02)


def test_log_likelihood_is_that_of_the_density(mixture, frames):
    stats = accumulate_stats(mixture, frames)
    np.testing.assert_allclose(stats.log_likelihood, frame_log_likelihoods(mixture, frames).sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("zeroth", [-1.0], "must not be negative"),
        ("second", [[-1.0]], "must not be negative"),
        ("n_frames", -1.0, "must not be negative"),
        ("n_frames", np.nan, "must not be negative"),
        ("zeroth", [1.0, 2.0], "zeroth has shape"),
        ("first", [[np.nan]], "first holds NaN"),
        ("center", [0.0, 0.0], "center has shape"),
    ],
)
def test_unusable_statistics_are_refused(name, value, message):
    good = {"zeroth": [1.0], "first": [[0.0]], "second": [[1.0]], "center": [0.0]}
    with pytest.raises(ParameterError, match=message):
        GmmStats(**(good | {"log_likelihood": 0.0, "n_frames": 1.0} | {name: value}))
