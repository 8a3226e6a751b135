"""A live stream of lines: nothing that comes in ends it, and everything it knows fits in one file.

Conventions. Lines become samples (`lines`), samples whose time does not go forward are judged (`ordering`), a model
with a grid gathers them (`grid`), and each row that comes out is scored once. Whatever is odd is counted by its kind.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from gmmaudio.anomaly.grid import Grid
from gmmaudio.anomaly.lines import MALFORMED, ODDITIES, LineReader, MalformedLineError
from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.ordering import REFUSED, TAKEN, TimeOrder
from gmmaudio.anomaly.telling import Judged, Teller
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import StoredModel, restore

LEFT_OUT = MALFORMED | REFUSED | {"no_time": "without the time that the grid needs"}
"""Kinds of lines that are left out."""

KINDS = LEFT_OUT | TAKEN | ODDITIES
"""Every kind of line that is counted, with words for it."""

_KIND = "anomaly_watcher"


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
            raise GmmAudioError("this model listens to sound; a Watcher reads numbers, a Listener sound")
        self.model = model
        self.n_samples = 0
        self.counts: Counter[str] = Counter()
        self.teller = Teller(model.detector)
        self.position: dict[str, Any] | None = None
        self._reader = LineReader(model.detector.channels)
        self._order = TimeOrder()
        self._grid = None if model.grid_period is None else Grid(model.grid_period)

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
        return [self.teller.judge(time, values) for time, values in rows]

    def finish(self) -> list[Judged]:
        """Return the row of a grid that was not complete yet, at the end of the stream."""
        return [] if self._grid is None else [self.teller.judge(time, values) for time, values in self._grid.flush()]

    def to_stored(self) -> StoredModel:
        """Return the model in the middle of its stream, and how far the stream has come."""
        inner = self.model.to_stored()
        progress = {
            "n_samples": self.n_samples,
            "counts": dict(self.counts),
            "position": self.position,
            "header": None if self._reader.header is None else list(self._reader.header),
            "order": self._order.to_json(),
            "grid": None if self._grid is None else self._grid.to_json(),
            "told": self.teller.to_json(),
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
        watcher.n_samples = int(progress["n_samples"])
        watcher.counts = Counter({str(kind): int(count) for kind, count in progress["counts"].items()})
        watcher.position = None if progress["position"] is None else dict(progress["position"])
        header = progress["header"]
        watcher._reader.header = None if header is None else tuple(map(str, header))
        watcher._order = TimeOrder.from_json(progress["order"])
        if watcher._grid is not None:
            watcher._grid.load_json(progress["grid"])
        watcher.teller.load_json(progress["told"])
        return watcher
