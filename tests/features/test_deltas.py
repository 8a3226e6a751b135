import numpy as np
import pytest
from features.streaming import cuttings, fed
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.errors import ParameterError
from gmmaudio.features import Deltas, DeltasConfig

FLOAT32_RTOL = 1e-5


def regression(rows, window):
    """HTK Book, eq. 5.16, with the first and the last row repeated."""
    n_rows = len(rows)
    result = np.zeros(rows.shape)
    for t in range(n_rows):
        for theta in range(1, window + 1):
            result[t] += theta * (rows[min(t + theta, n_rows - 1)] - rows[max(t - theta, 0)])
    return result / (2 * sum(theta**2 for theta in range(1, window + 1)))


@pytest.mark.parametrize("n_frames", [1, 2, 3, 5, 30])
@pytest.mark.parametrize("window", [1, 2, 3])
def test_deltas_of_deltas_follow_the_equation_with_their_own_edges(n_frames, window):
    frames = np.random.default_rng(0).standard_normal((n_frames, 3))
    first = regression(frames, window)
    expected = np.hstack([frames, first, regression(first, window)])
    actual = Deltas(3, DeltasConfig(order=2, window=window)).transform(frames)
    np.testing.assert_allclose(actual, expected, rtol=FLOAT32_RTOL, atol=1e-6)


def test_an_offset_of_a_million_does_not_change_deltas():
    frames = np.arange(20.0)[:, None] ** 2
    moved = Deltas(1).transform(frames + 2.0**20)
    np.testing.assert_allclose(moved[:, 1], Deltas(1).transform(frames)[:, 1], rtol=FLOAT32_RTOL)


@pytest.mark.parametrize("order", [1, 2])
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30).flatmap(lambda n: st.tuples(st.just(n), cuttings(n), st.integers(0, 8))))
def test_stream_gives_the_bits_of_the_batch(order, case):
    n_frames, cuts, resume_after = case
    frames = np.random.default_rng(1).standard_normal((n_frames, 2)).astype(np.float32)
    deltas = Deltas(2, DeltasConfig(order=order))
    assert np.array_equal(fed(deltas, frames, cuts, resume_after), deltas.transform(frames))


@pytest.mark.parametrize("order", [1, 2])
def test_a_row_is_final_after_the_declared_lookahead(order):
    deltas = Deltas(1, DeltasConfig(order=order))
    assert len(deltas.push(np.zeros((10, 1)))) == 10 - deltas.lookahead


def test_no_frames_give_no_rows_of_the_right_width():
    assert Deltas(3, DeltasConfig(order=2)).transform(np.zeros((0, 3))).shape == (0, 9)


def test_another_number_of_columns_is_refused():
    with pytest.raises(ParameterError, match=r"\(4, 2\).*\(n_frames, 3\)"):
        Deltas(3).push(np.zeros((4, 2)))


@pytest.mark.parametrize("options", [{"order": 3}, {"order": 0}, {"window": 0}])
def test_impossible_orders_and_windows_are_refused(options):
    with pytest.raises(ParameterError, match="must be from 1"):
        DeltasConfig(**options)
