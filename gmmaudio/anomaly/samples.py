"""Samples and times as the detector takes them: float64 with NaN for what is missing, and hours of the day."""

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.anomaly.heads import SEASONS_PER_DAY, SECONDS_PER_SEASON
from gmmaudio.errors import ParameterError
from gmmaudio.validation import LARGEST_VALUE


def as_rows(X: npt.ArrayLike, n_channels: int | None) -> Float64Array:
    """Return samples as (n_samples, n_channels) float64 with NaN where there is no usable number."""
    try:
        rows = np.array(X, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ParameterError(f"X is not an array of real numbers ({error})") from error
    if rows.ndim == 1:
        rows = rows[:, np.newaxis]
    if rows.ndim != 2 or rows.shape[1] == 0 or (n_channels is not None and rows.shape[1] != n_channels):
        raise ParameterError(f"X has shape {rows.shape}, but (n_samples, {n_channels or 'n_channels'}) is needed")
    rows[~(np.abs(rows) <= LARGEST_VALUE)] = np.nan
    return rows


def seasons(timestamps: npt.ArrayLike | None, n: int) -> IntArray:
    """Return the hour of the day of each time stamp, −1 where it is not known."""
    if timestamps is None:
        return np.full(n, -1, dtype=np.int64)
    stamps = np.asarray(timestamps)
    if stamps.shape != (n,):
        raise ParameterError(f"timestamps has shape {stamps.shape}, but there are {n} samples; give one for each")
    if stamps.dtype.kind == "M":
        known = ~np.isnat(stamps)
        seconds = stamps.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    elif stamps.dtype.kind in "iuf":
        seconds = stamps.astype(np.float64)
        known = np.abs(seconds) < 1e15
    else:
        raise ParameterError(f"timestamps is of type {stamps.dtype}; give datetime64 or seconds since the epoch")
    hours = np.where(known, seconds, 0.0) // SECONDS_PER_SEASON % SEASONS_PER_DAY
    return np.where(known, hours.astype(np.int64), -1)
