"""Samples as lines of text, JSON or CSV, from files and pipes.

Conventions. A JSON line is an object, channel name -> number, or a list in the order of the channels. A CSV line has
its fields in the order of the channels, or of a header line (one without any number) before it. A channel that is
missing, empty or not a number counts as missing; fields that are no channel are ignored. The field `timestamp` or
`time` holds seconds since the epoch or ISO 8601, taken for UTC where it has no offset.
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError

TIME_FIELDS = ("timestamp", "time")


class MalformedLineError(GmmAudioError):
    """A line is no sample."""


@dataclass
class LineReader:
    """Turns lines into samples; it remembers the last header.

    Parameters
    ----------
    channels : sequence of str, optional
        Names of the channels. If it is not given, the first header or JSON object decides.
    """

    channels: tuple[str, ...] | None = None
    _header: tuple[str, ...] | None = field(default=None, init=False)

    def read(self, line: str) -> tuple[Float64Array, float] | None:
        """Return the values and the time (NaN: unknown) of a line; None for an empty line or a header.

        Raises
        ------
        MalformedLineError
            If the line is no sample.
        """
        text = line.strip()
        if not text:
            return None
        if text[0] in "{[":
            return self._from_json(text)
        return self._from_csv(text)

    def _from_json(self, text: str) -> tuple[Float64Array, float]:
        """Return the sample of a JSON line."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MalformedLineError(f"it is not JSON ({error})") from error
        if isinstance(value, list):
            return self._ordered(value), math.nan
        if self.channels is None:
            self.channels = tuple(name for name in value if name not in TIME_FIELDS)
        row = np.array([_number(value.get(name)) for name in self.channels])
        return row, _seconds(next((value[name] for name in TIME_FIELDS if name in value), None))

    def _from_csv(self, text: str) -> tuple[Float64Array, float] | None:
        """Return the sample of a CSV line, or None after taking note of a header."""
        try:
            fields = [name.strip() for name in next(csv.reader([text]))]
        except (csv.Error, StopIteration) as error:
            raise MalformedLineError(f"it is not CSV ({error})") from error
        if any(fields) and all(math.isnan(_number(text)) and text.lower() != "nan" for text in fields if text):
            if self.channels is not None and not set(fields) & set(self.channels):
                raise MalformedLineError("it names no channel of the detector and holds no number")
            self._header = tuple(fields)
            if self.channels is None:
                self.channels = tuple(name for name in fields if name not in TIME_FIELDS)
            return None
        if self._header is None or self.channels is None:
            return self._ordered(fields), math.nan
        if len(fields) != len(self._header):
            raise MalformedLineError(f"it has {len(fields)} fields but the header has {len(self._header)}")
        named = dict(zip(self._header, fields, strict=True))
        row = np.array([_number(named.get(name)) for name in self.channels])
        return row, _seconds(next((named[name] for name in TIME_FIELDS if name in named), None))

    def _ordered(self, values: Sequence[Any]) -> Float64Array:
        """Return values that have no names."""
        if self.channels is None:
            self.channels = tuple(str(index) for index in range(len(values)))
        if len(values) != len(self.channels) or not values:
            raise MalformedLineError(f"it has {len(values)} values but there are {len(self.channels)} channels")
        return np.array([_number(value) for value in values])


def read_samples(
    lines: Iterable[str], *, channels: tuple[str, ...] | None = None, name: str
) -> tuple[Float64Array, Float64Array | None, tuple[str, ...]]:
    """Return all samples of a text: values, times (None if any is unknown) and channel names.

    Raises
    ------
    GmmAudioError
        If there is no sample, or a line is none; the message says which.
    """
    reader, samples = LineReader(channels), []
    for number, line in enumerate(lines, 1):
        try:
            sample = reader.read(line)
        except MalformedLineError as error:
            raise GmmAudioError(f"{name}, line {number}: {error}") from error
        if sample is not None:
            samples.append(sample)
    if not samples or not reader.channels:
        raise GmmAudioError(f"there is no sample in {name}; write one JSON object or CSV line for each")
    times = np.array([time for _, time in samples])
    rows = np.stack([row for row, _ in samples])
    return rows, None if np.isnan(times).any() else times, reader.channels


def _number(value: Any) -> float:
    """Return a number, NaN for anything else."""
    if value is None or isinstance(value, bool | list | dict):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


def _seconds(value: Any) -> float:
    """Return seconds since the epoch, NaN where the value is no time."""
    seconds = _number(value)
    if math.isnan(seconds) and isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return math.nan
    return seconds if math.isfinite(seconds) else math.nan
