"""Samples as lines of text, JSON or CSV, from files and pipes.

Conventions. A JSON line is an object, channel name -> number, or a list in the order of the channels. A CSV line has
its fields in the order of the channels, or of a header line (one without a number and a time) before it. A channel
that is missing, empty or not a usable number counts as missing; fields that are no channel are ignored. The field
`timestamp` or `time` holds seconds since the epoch or ISO 8601, taken for UTC where it has no offset.
"""

import contextlib
import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError
from gmmaudio.validation import LARGEST_VALUE

TIME_FIELDS = ("timestamp", "time")

MALFORMED = {
    "not_json": "not JSON",
    "not_csv": "not CSV",
    "wrong_length": "with another number of fields than there are channels",
    "no_channel": "without any channel of the detector",
    "too_long": "too long",
}
"""Kinds of lines that are no sample."""

ODDITIES = {
    "missing": "with a channel missing",
    "unknown_channel": "with fields that are no channel",
    "not_a_number": "with text for a number",
    "nan": "with NaN",
    "infinite": "with an infinite number",
    "huge": f"with a number beyond {LARGEST_VALUE:g}",
    "bad_time": "with a time that is none",
}
"""Kinds of samples that are used, but not all of them."""


class MalformedLineError(GmmAudioError):
    """A line is no sample; `kind` is one of `MALFORMED`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Sample(NamedTuple):
    """One number for each channel (NaN: missing), the time (NaN: unknown) and what was odd about them."""

    values: Float64Array
    time: float
    oddities: frozenset[str]


@dataclass
class LineReader:
    """Turns lines into samples; it remembers the last header.

    Parameters
    ----------
    channels : sequence of str, optional
        Names of the channels. If it is not given, the first header or JSON object decides.
    header : sequence of str, optional
        Names of the fields of CSV lines, until a header line says otherwise.
    """

    channels: tuple[str, ...] | None = None
    header: tuple[str, ...] | None = field(default=None)

    def read(self, line: str) -> Sample | None:
        """Return the sample of a line; None for an empty line or a header.

        Raises
        ------
        MalformedLineError
            If the line is no sample.
        """
        text = line.strip("\ufeff \t\r\n\v\f")
        if not text:
            return None
        return self._from_json(text) if text[0] in "{[" else self._from_csv(text)

    def _from_json(self, text: str) -> Sample:
        """Return the sample of a JSON line."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MalformedLineError("not_json", f"it is not JSON ({error})") from error
        return self._ordered(value) if isinstance(value, list) else self._named(value)

    def _from_csv(self, text: str) -> Sample | None:
        """Return the sample of a CSV line, or None after taking note of a header."""
        try:
            fields = [name.strip() for name in next(csv.reader([text]))]
        except (csv.Error, StopIteration) as error:
            raise MalformedLineError("not_csv", f"it is not CSV ({error})") from error
        if any(fields) and all(_is_name(text) for text in fields if text):
            if self.channels is None or set(fields) & set(self.channels):
                self.header = tuple(fields)
                if self.channels is None:
                    self.channels = tuple(name for name in fields if name not in TIME_FIELDS)
                return None
            if self.header is None:
                raise MalformedLineError("no_channel", "it names no channel of the detector and holds no number")
        if self.header is None or self.channels is None:
            return self._ordered(fields)
        if len(fields) != len(self.header):
            raise MalformedLineError(
                "wrong_length", f"it has {len(fields)} fields but the header has {len(self.header)}"
            )
        return self._named(dict(zip(self.header, fields, strict=True)))

    def _named(self, fields: dict[str, Any]) -> Sample:
        """Return the sample of fields with names."""
        if self.channels is None:
            self.channels = tuple(name for name in fields if name not in TIME_FIELDS)
        stamp = next((fields[name] for name in TIME_FIELDS if name in fields), None)
        if stamp is None and not any(name in fields for name in self.channels):
            raise MalformedLineError("no_channel", "it has no channel of the detector and no time")
        extra = {"unknown_channel"} if fields.keys() - {*self.channels, *TIME_FIELDS} else set()
        return _sample([fields.get(name) for name in self.channels], stamp, extra)

    def _ordered(self, values: Sequence[Any]) -> Sample:
        """Return the sample of values that have no names."""
        if self.channels is None:
            self.channels = tuple(str(index) for index in range(len(values)))
        if len(values) != len(self.channels) or not values:
            raise MalformedLineError(
                "wrong_length", f"it has {len(values)} values but there are {len(self.channels)} channels"
            )
        return _sample(values, None, set())


def read_lines(
    lines: Iterable[str], *, channels: tuple[str, ...] | None, name: str
) -> tuple[list[Sample], tuple[str, ...]]:
    """Return all samples of a text and the channel names; without given ones, all that its JSON objects name.

    Raises
    ------
    GmmAudioError
        If there is no sample, or a line is none; the message says which.
    """
    texts = list(lines)
    reader, samples = LineReader(_all_names(texts) if channels is None else channels), []
    for number, line in enumerate(texts, 1):
        try:
            sample = reader.read(line)
        except MalformedLineError as error:
            raise GmmAudioError(f"{name}, line {number}: {error}") from error
        if sample is not None:
            samples.append(sample)
    if not samples or not reader.channels:
        raise GmmAudioError(f"there is no sample in {name}; write one JSON object or CSV line for each")
    return samples, reader.channels


def _all_names(texts: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names in the JSON objects of a text, in the order of their first appearance; None if it has none."""
    names: dict[str, None] = {}
    for text in texts:
        if text.lstrip().startswith("{"):
            with contextlib.suppress(ValueError, RecursionError):  # whoever reads the line says what is wrong with it
                names |= dict.fromkeys(json.loads(text))
    found = tuple(name for name in names if name not in TIME_FIELDS)
    return found or None


def _sample(values: Sequence[Any], stamp: Any, oddities: set[str]) -> Sample:
    """Return the sample of one value for each channel and a time, both of any type."""
    numbers = np.empty(len(values))
    for index, value in enumerate(values):
        numbers[index], oddity = _number(value)
        if oddity:
            oddities.add(oddity)
    time = _seconds(stamp)
    if stamp is not None and math.isnan(time):
        oddities.add("bad_time")
    return Sample(numbers, time, frozenset(oddities))


def _number(value: Any) -> tuple[float, str | None]:
    """Return a usable number or NaN, and what was odd about it."""
    if value is None or value == "":
        return math.nan, "missing"
    if isinstance(value, bool | list | dict):
        return math.nan, "not_a_number"
    try:
        number = float(value)
    except ValueError:
        return math.nan, "not_a_number"
    except OverflowError:
        return math.nan, "huge"
    if abs(number) <= LARGEST_VALUE:
        return number, None
    return math.nan, "nan" if math.isnan(number) else "infinite" if math.isinf(number) else "huge"


def _seconds(value: Any) -> float:
    """Return seconds since the epoch, NaN where the value is no time."""
    seconds, oddity = _number(value)
    if oddity == "not_a_number" and isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
            return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return math.nan
    return seconds


def _is_name(text: str) -> bool:
    """Whether a CSV field is neither a number nor a time."""
    return _number(text)[1] == "not_a_number" and math.isnan(_seconds(text))
