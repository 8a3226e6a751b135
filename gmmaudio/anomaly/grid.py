"""Irregular samples on a regular grid; a gap stays a gap.

Conventions. Cell k covers the times from k·period up to but not including (k + 1)·period, counted from the epoch, so
that a stream and a file that begin at different times have the same cells. A cell's row is the mean of each channel
over its samples, NaN where there was none; nothing is interpolated or carried forward. A row is given out when the
first sample of a later cell comes, and stamped with the start of its cell.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError

LONGEST_GAP = 1000
"""Empty rows for one gap at most, so that a wrong time stamp cannot make millions; a detector has forgotten by then."""


class Grid:
    """Takes samples one by one and gives out the rows of a regular grid.

    Parameters
    ----------
    period : float
        Seconds from one row to the next.

    Raises
    ------
    ParameterError
        If the period is not positive.

    Examples
    --------
    >>> grid = Grid(60.0)
    >>> rows = [row for t in (0.0, 30.0, 185.0) for row in grid.push(t, np.array([t]))]
    >>> [(time, float(values[0])) for time, values in rows]
    [(0.0, 15.0), (60.0, nan), (120.0, nan)]
    """

    def __init__(self, period: float) -> None:
        if not (math.isfinite(period) and period > 0):
            raise ParameterError(f"the period of the grid is {period}, but it is a number of seconds above 0")
        self.period = period
        self._cell: int | None = None
        self._sum, self._count = np.zeros(0), np.zeros(0)

    def push(self, time: float, values: Float64Array) -> list[tuple[float, Float64Array]]:
        """Take a sample and return the rows that are final now, with their times."""
        cell = math.floor(time / self.period)
        rows: list[tuple[float, Float64Array]] = []
        if self._cell is not None and cell != self._cell:
            last = self._cell
            rows = self.flush()
            # Where a gap is cut short, its last rows are kept. A clock set back leaves none.
            empty = range(max(last + 1, cell - LONGEST_GAP), cell)
            rows += [(gap * self.period, np.full(len(values), np.nan)) for gap in empty]
        if self._cell is None:
            self._cell, self._sum, self._count = cell, np.zeros(len(values)), np.zeros(len(values))
        known = ~np.isnan(values)
        self._sum[known] += values[known]
        self._count += known
        return rows

    def flush(self) -> list[tuple[float, Float64Array]]:
        """Return the row of the cell that has begun, and forget it."""
        if self._cell is None:
            return []
        row = np.where(self._count > 0, self._sum / np.maximum(self._count, 1.0), np.nan)
        time, self._cell = self._cell * self.period, None
        return [(time, row)]

    def to_json(self) -> dict[str, Any]:
        """Return the cell that has begun as JSON values."""
        return {"cell": self._cell, "sum": self._sum.tolist(), "count": self._count.tolist()}

    def load_json(self, stored: Mapping[str, Any]) -> None:
        """Go on with a cell that `to_json` described."""
        self._cell = None if stored["cell"] is None else int(stored["cell"])
        self._sum, self._count = np.array(stored["sum"], np.float64), np.array(stored["count"], np.float64)


def on_grid(times: npt.ArrayLike, values: npt.ArrayLike, period: float) -> tuple[Float64Array, Float64Array]:
    """Return the rows of a regular grid and their times.

    Parameters
    ----------
    times : array-like, shape (n_samples,)
        Seconds since the epoch, in order.
    values : array-like, shape (n_samples, n_channels)
        The samples; NaN is missing.
    period : float
        Seconds from one row to the next.

    Returns
    -------
    times : ndarray, shape (n_rows,)
    values : ndarray, shape (n_rows, n_channels)

    Raises
    ------
    ParameterError
        If the period is not positive, a time is not finite, or the shapes do not fit.

    Examples
    --------
    >>> times, values = on_grid([0, 1, 3], [[2.0], [4.0], [8.0]], period=2.0)
    >>> times.tolist(), values.ravel().tolist()
    ([0.0, 2.0], [3.0, 8.0])
    """
    stamps, samples = np.asarray(times, np.float64), np.asarray(values, np.float64)
    if samples.ndim != 2 or stamps.shape != (len(samples),) or not len(samples) or not np.isfinite(stamps).all():
        raise ParameterError(
            f"times {stamps.shape} and values {samples.shape} do not fit; samples need (n_samples, n_channels) and one "
            "finite time each"
        )
    grid = Grid(period)
    rows = [row for time, sample in zip(stamps.tolist(), samples, strict=True) for row in grid.push(time, sample)]
    rows += grid.flush()
    return np.array([time for time, _ in rows]), np.stack([row for _, row in rows])
