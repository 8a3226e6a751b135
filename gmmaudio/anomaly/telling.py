"""Rows of a live stream with what is to be told of them: events once when they open and once when they close."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gmmaudio._typing import Float64Array
from gmmaudio.anomaly.detector import AnomalyDetector
from gmmaudio.anomaly.events import Event
from gmmaudio.anomaly.ordering import nan_for_none, none_for_nan
from gmmaudio.anomaly.results import Result


@dataclass(frozen=True, eq=False)
class Judged:
    """One row of the stream.

    Attributes
    ----------
    index : int
        Its number in the stream, from 0.
    time : float
        Seconds since the epoch, NaN where not known.
    result : Result
        What the detector says.
    event : Event or None
        An event that is to be told now, because it has just become one or has just ended.
    event_times : tuple of float
        Times of the start, the end and the peak of the event that `result` names; NaN where not known.
    """

    index: int
    time: float
    result: Result
    event: Event | None
    event_times: tuple[float, float, float]


class Teller:
    """Lets a detector judge rows, and remembers what has been told.

    Parameters
    ----------
    detector : AnomalyDetector
        Its stream goes on.

    Attributes
    ----------
    n_events : int
        Events told so far.
    event_open : bool
        Whether one lasts.
    score : float
        Of the last row.
    """

    def __init__(self, detector: AnomalyDetector) -> None:
        self.detector = detector
        self.n_events = 0
        self.score = 0.0
        self.event_open = False
        rule = detector.rule
        self._times: deque[float] = deque(maxlen=rule.min_duration + rule.merge_gap + 2)
        self._start_time, self._peak, self._peak_time = math.nan, -1, math.nan

    def judge(self, time: float, values: Float64Array) -> Judged:
        """Score one row and follow its event."""
        result = self.detector.update(values, None if math.isnan(time) else time)
        index = self.detector.n_seen - 1
        self._times.append(time)
        self.score = result.score
        event, times = result.event, (math.nan, math.nan, math.nan)
        if event is not None:
            if not self.event_open:
                self._start_time, self._peak = self._time_of(event.start, index), -1
            if event.peak != self._peak:
                self._peak, self._peak_time = event.peak, self._time_of(event.peak, index)
            times = (self._start_time, self._time_of(event.end, index), self._peak_time)
        told = event is not None and (event.state != "open" or not self.event_open)
        if event is not None and not self.event_open:
            self.n_events += 1
        self.event_open = event is not None and event.state == "open"
        return Judged(index, time, result, event if told else None, times)

    def _time_of(self, row: int, now: int) -> float:
        """Return the time of one of the last rows."""
        back = now - row + 1
        return self._times[-back] if 0 < back <= len(self._times) else math.nan

    def to_json(self) -> dict[str, Any]:
        """Return the memory as JSON values."""
        return {
            "n_events": self.n_events,
            "score": self.score,
            "event_open": self.event_open,
            "times": [none_for_nan(time) for time in self._times],
            "start_time": none_for_nan(self._start_time),
            "peak": self._peak,
            "peak_time": none_for_nan(self._peak_time),
        }

    def load_json(self, stored: Mapping[str, Any]) -> None:
        """Go on with a memory that `to_json` described."""
        self.n_events, self.score = int(stored["n_events"]), float(stored["score"])
        self.event_open = bool(stored["event_open"])
        self._times.extend(nan_for_none(time) for time in stored["times"])
        self._start_time, self._peak = nan_for_none(stored["start_time"]), int(stored["peak"])
        self._peak_time = nan_for_none(stored["peak_time"])
