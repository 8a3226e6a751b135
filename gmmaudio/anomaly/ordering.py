"""What to do with samples whose time does not go forward.

A late sample cannot be put where it belongs: what came after it has been judged already. It is left out. The same
sample delivered twice (as message brokers do) is left out once. If `SET_BACK` late samples in a row go forward among
themselves, the clock has been set back (or one stamp far ahead was wrong) and the stream goes on with them. Samples
without a time are taken in the order in which they come.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gmmaudio._typing import Float64Array

SET_BACK = 5

REFUSED = {"backwards": "earlier than the sample before", "repeated": "delivered twice"}
"""Kinds of samples that are left out."""

TAKEN = {"same_time": "at the time of the sample before", "clock_set_back": "after the clock was set back"}
"""Kinds of samples that are used all the same."""


@dataclass
class TimeOrder:
    """Remembers the last sample and judges the next one.

    Attributes
    ----------
    time : float
        Of the last sample that was taken and had one; NaN at first.
    values : ndarray, shape (n_channels,)
        Of that sample.
    late, n_late : float, int
        Time of the last sample that was left out as late, and how many in a row went forward up to it.

    Examples
    --------
    >>> order = TimeOrder()
    >>> [order.judge(time, np.ones(1)) for time in (10.0, 20.0, 20.0, 15.0, 30.0)]
    ['', '', 'repeated', 'backwards', '']
    """

    time: float = math.nan
    values: Float64Array = field(default_factory=lambda: np.zeros(0))
    late: float = math.nan
    n_late: int = 0

    def judge(self, time: float, values: Float64Array) -> str:
        """Return the kind of a sample, one of `REFUSED` or `TAKEN`, or "" where all is well; remember it if taken."""
        if math.isnan(time):
            return ""
        if time < self.time:
            self.n_late = self.n_late + 1 if self.n_late and time > self.late else 1
            self.late = time
            if self.n_late < SET_BACK:
                return "backwards"
            kind = "clock_set_back"
        elif time == self.time:
            if np.array_equal(values, self.values, equal_nan=True):
                return "repeated"
            kind = "same_time"
        else:
            kind = ""
        self.time, self.values, self.late, self.n_late = time, values, math.nan, 0
        return kind

    def to_json(self) -> dict[str, Any]:
        """Return the memory as JSON values, NaN as None."""
        return {
            "time": none_for_nan(self.time),
            "values": [none_for_nan(value) for value in self.values.tolist()],
            "late": none_for_nan(self.late),
            "n_late": self.n_late,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "TimeOrder":
        """Return the memory that `to_json` described."""
        values = np.array([nan_for_none(value) for value in stored["values"]])
        return cls(nan_for_none(stored["time"]), values, nan_for_none(stored["late"]), int(stored["n_late"]))


def none_for_nan(value: float) -> float | None:
    """Return a number as JSON has it."""
    return None if math.isnan(value) else value


def nan_for_none(value: float | None) -> float:
    """Return a number that JSON held."""
    return math.nan if value is None else float(value)
