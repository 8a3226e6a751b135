"""Irregular samples on a regular grid."""

import json
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gmmaudio.anomaly.grid import LONGEST_GAP, Grid, on_grid
from gmmaudio.errors import ParameterError

ROUNDING = 1e-12  # sums of a few numbers in another order


def by_hand(times, values, period):
    """Cell by cell, each looking at all samples."""
    cells = np.floor(times / period)
    rows = []
    for cell in range(int(cells[0]), int(cells[-1]) + 1):
        inside = values[cells == cell]
        rows.append([np.mean(c[~np.isnan(c)]) if (~np.isnan(c)).any() else math.nan for c in inside.T])
    return np.array(rows)


@pytest.fixture(scope="module")
def irregular():
    rng = np.random.default_rng(0)
    times = 1.6e9 + np.cumsum(rng.exponential(7.0, size=300))
    values = np.where(rng.random((300, 2)) < 0.3, np.nan, rng.normal(size=(300, 2)))
    return times, values


def test_rows_are_the_means_of_their_cells_and_gaps_stay_gaps(irregular):
    _, rows = on_grid(*irregular, 10.0)
    expected = by_hand(*irregular, 10.0)
    assert np.isnan(expected).all(axis=1).any()
    assert_allclose(rows, expected, rtol=ROUNDING)


def test_times_are_multiples_of_the_period(irregular):
    times, _ = on_grid(*irregular, 10.0)
    assert set(np.diff(times)) == {10.0}
    assert times[0] % 10.0 == 0.0


def test_a_stream_saved_in_the_middle_of_a_cell_goes_on(irregular):
    whole, first, second = Grid(10.0), Grid(10.0), Grid(10.0)
    samples = list(zip(irregular[0].tolist(), irregular[1], strict=True))
    expected = [row for sample in samples for row in whole.push(*sample)]
    rows = [row for sample in samples[:150] for row in first.push(*sample)]
    second.load_json(json.loads(json.dumps(first.to_json(), allow_nan=False)))
    rows += [row for sample in samples[150:] for row in second.push(*sample)]
    np.testing.assert_equal(rows, expected)


def test_a_long_gap_is_cut_short():
    times, rows = on_grid([0.0, 1e12], [[1.0], [2.0]], 1.0)
    assert len(rows) == LONGEST_GAP + 2
    assert times[-2] == 1e12 - 1


def test_a_clock_set_back_makes_no_gap():
    times, rows = on_grid([100.0, 10.0, 11.0], [[1.0], [2.0], [3.0]], 1.0)
    assert times.tolist() == [100.0, 10.0, 11.0]
    assert rows.ravel().tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("period", [0.0, -1.0, math.nan, math.inf])
def test_a_period_that_is_none_is_refused(period):
    with pytest.raises(ParameterError, match="seconds above 0"):
        Grid(period)


def test_samples_without_a_time_are_refused():
    with pytest.raises(ParameterError, match="one finite time each"):
        on_grid([0.0, math.nan], [[1.0], [2.0]], 1.0)
