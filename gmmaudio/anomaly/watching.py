"""A live stream of lines: nothing that comes in ends it, and everything it knows fits in one file.

Conventions. Lines become samples (`lines`), samples whose time does not go forward are judged (`ordering`), a model
with a grid gathers them (`grid`), and each row that comes out is scored once. Whatever is odd is counted by its kind.
"""

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from gmmaudio._typing import Float64Array
from gmmaudio.anomaly.events import Event
from gmmaudio.anomaly.grid import Grid
from gmmaudio.anomaly.lines import MALFORMED, ODDITIES, LineReader, MalformedLineError
from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.ordering import REFUSED, TAKEN, TimeOrder, nan_for_none, none_for_nan
from gmmaudio.anomaly.results import Result
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import StoredModel, restore

LEFT_OUT = MALFORMED | REFUSED | {"no_time": "without the time that the grid needs"}
"""Kinds of lines that are left out."""

KINDS = LEFT_OUT | TAKEN | ODDITIES
"""Every kind of line that is counted, with words for it."""

_KIND = "anomaly_watcher"


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


class Watcher:
    """Follows a stream of lines with a model.

    Parameters
    ----------
    model : AnomalyModel
        For streams of numbers; the watcher goes on with the stream of its detector.

    Raises
    ------
    GmmAudioError
        If the model is one of sound.
    """

    def __init__(self, model: AnomalyModel) -> None:
        if model.sound is not None:
            raise GmmAudioError("this model hears recordings; watch needs one that was trained on numbers")
        self.model = model
        self.n_samples = 0
        self.counts: Counter[str] = Counter()
        self.n_events = 0
        self.score = 0.0
        self.event_open = False
        self.position: dict[str, Any] | None = None
        self._reader = LineReader(model.detector.channels)
        self._order = TimeOrder()
        self._grid = None if model.grid_period is None else Grid(model.grid_period)
        rule = model.detector.rule
        self._times: deque[float] = deque(maxlen=rule.min_duration + rule.merge_gap + 2)
        self._start_time, self._peak, self._peak_time = math.nan, -1, math.nan

    @property
    def last_time(self) -> float:
        """Time of the last sample that had one, NaN before."""
        return self._order.time

    @property
    def n_left_out(self) -> int:
        """Number of lines that gave no sample."""
        return sum(self.counts[kind] for kind in LEFT_OUT)

    def take(self, line: str | None) -> list[Judged]:
        """Take a line, None for one that is too long to be looked at, and return the rows that it completed."""
        if line is None:
            self.counts["too_long"] += 1
            return []
        try:
            sample = self._reader.read(line)
        except MalformedLineError as error:
            self.counts[error.kind] += 1
            return []
        if sample is None:
            return []
        self.counts.update(sample.oddities)
        if self._grid is not None and math.isnan(sample.time):
            self.counts["no_time"] += 1
            return []
        kind = self._order.judge(sample.time, sample.values)
        if kind:
            self.counts[kind] += 1
        if kind in REFUSED:
            return []
        self.n_samples += 1
        rows = [(sample.time, sample.values)]
        if self._grid is not None:
            rows = self._grid.push(sample.time, sample.values)
        return [self._judge(time, values) for time, values in rows]

    def finish(self) -> list[Judged]:
        """Return the row of a grid that was not complete yet, at the end of the stream."""
        return [] if self._grid is None else [self._judge(time, values) for time, values in self._grid.flush()]

    def _judge(self, time: float, values: Float64Array) -> Judged:
        """Score one row and follow its event."""
        detector = self.model.detector
        result = detector.update(values, None if math.isnan(time) else time)
        index = detector.n_seen - 1
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

    def to_stored(self) -> StoredModel:
        """Return the model in the middle of its stream, and how far the stream has come."""
        inner = self.model.to_stored()
        progress = {
            "n_samples": self.n_samples,
            "n_events": self.n_events,
            "score": self.score,
            "counts": dict(self.counts),
            "position": self.position,
            "header": None if self._reader.header is None else list(self._reader.header),
            "order": self._order.to_json(),
            "grid": None if self._grid is None else self._grid.to_json(),
            "event_open": self.event_open,
            "times": [none_for_nan(time) for time in self._times],
            "start_time": none_for_nan(self._start_time),
            "peak": self._peak,
            "peak_time": none_for_nan(self._peak_time),
        }
        return StoredModel(_KIND, {"model": dict(inner.config), "progress": progress}, inner.arrays)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the watcher from a file, which may come from anywhere.

        Raises
        ------
        GmmAudioError
            If parts are missing or do not fit together.
        """
        watcher = cls(restore(StoredModel("anomaly_model", stored.config["model"], stored.arrays)))
        progress: Mapping[str, Any] = stored.config["progress"]
        watcher.n_samples, watcher.n_events = int(progress["n_samples"]), int(progress["n_events"])
        watcher.score, watcher.event_open = float(progress["score"]), bool(progress["event_open"])
        watcher.counts = Counter({str(kind): int(count) for kind, count in progress["counts"].items()})
        watcher.position = None if progress["position"] is None else dict(progress["position"])
        header = progress["header"]
        watcher._reader.header = None if header is None else tuple(map(str, header))
        watcher._order = TimeOrder.from_json(progress["order"])
        if watcher._grid is not None:
            watcher._grid.load_json(progress["grid"])
        watcher._times.extend(nan_for_none(time) for time in progress["times"])
        watcher._start_time, watcher._peak = nan_for_none(progress["start_time"]), int(progress["peak"])
        watcher._peak_time = nan_for_none(progress["peak_time"])
        return watcher
