"""Whole files of samples: CSV and JSON lines, NumPy arrays, Parquet.

Conventions. `.npy` holds an array (n_samples, n_channels); `.npz` one under the name `values`, and if they are known
`times` (datetime64, or seconds since the epoch) and `channels`; `.parquet` has a column for each channel and may have
one named `timestamp` or `time`; every other file is text, as `gmmaudio.anomaly.lines` reads it. Late samples and
samples delivered twice are left out with a warning, as a live stream leaves them out.
"""

import contextlib
import math
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, BoolArray, Float64Array
from gmmaudio.anomaly.grid import on_grid
from gmmaudio.anomaly.lines import TIME_FIELDS, read_lines
from gmmaudio.anomaly.ordering import REFUSED, TimeOrder
from gmmaudio.errors import GmmAudioError, GmmAudioWarning
from gmmaudio.validation import LARGEST_VALUE


@dataclass(frozen=True, eq=False)
class Table:
    """Samples in the order of time.

    Attributes
    ----------
    values : ndarray, shape (n_samples, n_channels)
        NaN is missing.
    times : ndarray, shape (n_samples,), or None
        Seconds since the epoch, NaN where one is not known; None where none is.
    channels : tuple of str
        Names of the columns.
    """

    values: Float64Array
    times: Float64Array | None
    channels: tuple[str, ...]

    def on_grid(self, period: float) -> "Table":
        """Return the rows of a regular grid; needs a time for every sample.

        Raises
        ------
        GmmAudioError
            If a time is missing.
        """
        if self.times is None or np.isnan(self.times).any():
            raise GmmAudioError("a regular grid needs the time of every sample; give a field `time` or `timestamp`")
        times, values = on_grid(self.times, self.values, period)
        return Table(values, times, self.channels)


def read_table(path: str | Path, *, channels: Sequence[str] | None = None) -> Table:
    r"""Read a file of samples.

    Parameters
    ----------
    path : path-like
        Its suffix says what it is.
    channels : sequence of str, optional
        Which channels, in which order; all of the file if not given.

    Raises
    ------
    GmmAudioError
        If it cannot be read, holds no sample, or not these channels.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "x.csv"
    >>> _ = path.write_text("time,a,b\n0,1,2\n60,,4\n")
    >>> read_table(path, channels=["b", "a"]).values.tolist()
    [[2.0, 1.0], [4.0, nan]]
    """
    path = Path(path)
    wanted = None if channels is None else tuple(channels)
    readers = {".npy": _read_array, ".npz": _read_arrays, ".parquet": _read_parquet}
    try:
        table = readers.get(path.suffix.lower(), _read_text)(path, wanted)
    except OSError as error:
        raise GmmAudioError(f"cannot read {path}: {error.strerror or error}") from error
    return _in_order(table, path)


def with_numbers(table: Table) -> Table:
    """Return the channels that have a number at all; a warning names the others."""
    known: BoolArray = ~np.all(np.isnan(table.values), axis=0)
    if known.all() or not known.any():
        return table
    names = [name for name, has in zip(table.channels, known, strict=True) if not has]
    warnings.warn(f"left out, as they hold no number: {', '.join(names)}", GmmAudioWarning, stacklevel=2)
    kept = tuple(name for name, has in zip(table.channels, known, strict=True) if has)
    return Table(table.values[:, known], table.times, kept)


def join_tables(tables: Sequence[Table], gap: int) -> Table:
    """Return tables one after the other, with rows without data between, so that nothing is learnt across a seam."""
    empty = np.full((gap, len(tables[0].channels)), np.nan)
    values = [part for table in tables for part in (empty, table.values)][1:]
    stamps = [np.full(len(table.values), np.nan) if table.times is None else table.times for table in tables]
    times = [part for stamp in stamps for part in (empty[:, 0], stamp)][1:]
    return _table(np.concatenate(values), np.concatenate(times), tables[0].channels)


def _read_text(path: Path, channels: tuple[str, ...] | None) -> Table:
    """Return the samples of a text file."""
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        samples, names = read_lines(lines, channels=channels, name=str(path))
    return _table(np.stack([sample.values for sample in samples]), np.array([sample.time for sample in samples]), names)


def _read_array(path: Path, channels: tuple[str, ...] | None) -> Table:
    """Return the samples of a file with one array."""
    with _opened(path) as array:
        return _unnamed(array, None, channels, path)


def _read_arrays(path: Path, channels: tuple[str, ...] | None) -> Table:
    """Return the samples of a file with several arrays."""
    with _opened(path) as arrays:
        found = {name: arrays[name] for name in ("values", "times", "channels") if name in arrays}
        others = ", ".join(arrays.files)
    if "values" not in found:
        raise GmmAudioError(f"{path} holds the arrays {others}, but one named `values` is needed")
    if "channels" not in found:
        return _unnamed(found["values"], found.get("times"), channels, path)
    names = tuple(map(str, found["channels"].ravel()))
    table = _unnamed(found["values"], found.get("times"), names, path)
    return table if channels is None else _chosen(table, channels, path)


def _read_parquet(path: Path, channels: tuple[str, ...] | None) -> Table:
    """Return the samples of a Parquet file."""
    try:
        import pandas
        import pyarrow.parquet
    except ImportError as error:
        raise GmmAudioError(
            f"{path} is a Parquet file, which needs pandas and pyarrow; pip install 'gmmaudio[parquet]'"
        ) from error
    try:
        frame = pandas.read_parquet(path).reset_index()
    except (ValueError, pyarrow.lib.ArrowException) as error:
        raise GmmAudioError(f"{path} is not a Parquet file that can be read ({error})") from error
    stamp = next((name for name in TIME_FIELDS if name in frame), None)
    times = None
    if stamp is not None:
        column = frame[stamp]
        times = np.asarray(
            column if pandas.api.types.is_numeric_dtype(column) else pandas.to_datetime(column, utc=True)
        )
        if times.dtype.kind == "O":
            times = np.array([value.timestamp() for value in times])
    values = frame.drop(columns=[name for name in (*TIME_FIELDS, "index") if name in frame])
    numbers = values.apply(pandas.to_numeric, errors="coerce").to_numpy(np.float64)
    table = _unnamed(numbers, times, tuple(map(str, values.columns)), path)
    return table if channels is None else _chosen(table, channels, path)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Give what NumPy finds in a file, never a pickle."""
    with path.open("rb") as file:
        try:
            yield np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise GmmAudioError(f"{path} is not a NumPy file of plain numbers ({error})") from error


def _unnamed(values: AnyArray, times: AnyArray | None, channels: tuple[str, ...] | None, path: Path) -> Table:
    """Return a table of arrays as they were found."""
    rows = np.asarray(values)
    if rows.dtype.kind not in "biuf" or rows.ndim not in (1, 2) or 0 in rows.shape:
        raise GmmAudioError(f"{path} holds {rows.dtype} {rows.shape}, but numbers (n_samples, n_channels) are needed")
    rows = rows.astype(np.float64).reshape(len(rows), -1)
    names = tuple(map(str, range(rows.shape[1]))) if channels is None else channels
    if len(names) != rows.shape[1]:
        raise GmmAudioError(f"{path} has {rows.shape[1]} channels without names, but {len(names)} are needed")
    rows[~(np.abs(rows) <= LARGEST_VALUE)] = np.nan
    stamps = np.full(len(rows), np.nan) if times is None else _as_seconds(times)
    if stamps.shape != (len(rows),):
        raise GmmAudioError(f"{path} has {len(rows)} samples but times of shape {stamps.shape}; give one for each")
    return _table(rows, stamps, names)


def _as_seconds(times: AnyArray) -> Float64Array:
    """Return times as seconds since the epoch, NaN where one is none."""
    if times.dtype.kind == "M":
        seconds = times.astype("datetime64[us]").astype(np.int64) / 1e6
        return np.where(np.isnat(times), np.nan, seconds)
    seconds = times.astype(np.float64)
    return np.where(np.abs(seconds) <= LARGEST_VALUE, seconds, np.nan)


def _chosen(table: Table, channels: tuple[str, ...], path: Path) -> Table:
    """Return the channels asked for, NaN for one that the file lacks; at least one must be there."""
    if not set(channels) & set(table.channels):
        raise GmmAudioError(f"{path} has the channels {', '.join(table.channels)}, but none of {', '.join(channels)}")
    place = {name: index for index, name in enumerate(table.channels)}
    columns = [
        table.values[:, place[name]] if name in place else np.full(len(table.values), np.nan) for name in channels
    ]
    return Table(np.stack(columns, axis=1), table.times, channels)


def _table(values: Float64Array, times: Float64Array, channels: tuple[str, ...]) -> Table:
    """Return a table, without times where none is known."""
    return Table(values, None if np.isnan(times).all() else times, channels)


def _in_order(table: Table, path: Path) -> Table:
    """Leave out what a live stream would leave out."""
    if table.times is None or (np.diff(table.times) > 0).all():
        return table
    order, kinds = TimeOrder(), []
    for time, values in zip(table.times.tolist(), table.values, strict=True):
        kinds.append(order.judge(time, values))
    refused = Counter(kind for kind in kinds if kind in REFUSED)
    if not refused:
        return table
    said = ", ".join(f"{count} {REFUSED[kind]}" for kind, count in refused.items())
    warnings.warn(f"{path}: samples were left out: {said}", GmmAudioWarning, stacklevel=3)
    kept = np.array([kind not in REFUSED for kind in kinds])
    return Table(table.values[kept], table.times[kept], table.channels)


def sample_period(table: Table) -> float | None:
    """Return the median seconds from one sample to the next, None without times."""
    steps: npt.NDArray[np.float64] = np.zeros(0) if table.times is None else np.diff(table.times)
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) and math.isfinite(float(np.median(steps))) else None
