"""What the anomaly commands print, as JSON values; times are seconds, since the epoch or from the start of a sound."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from gmmaudio.anomaly import BlockResult, Event
from gmmaudio.anomaly.tables import Table
from gmmaudio.anomaly.telling import Judged


def event_json(event: Event, channels: tuple[str, ...], times: tuple[float, float, float]) -> dict[str, Any]:
    """Return an event; `times` are those of its start, end and peak."""
    start, end, peak = map(_time, times)
    return {
        "event": event.state,
        "kind": event.kind,
        "mode": event.mode,
        "start": event.start,
        "end": event.end,
        "peak": event.peak,
        "start_time": start,
        "end_time": end,
        "peak_time": peak,
        "score": event.score,
        "p": event.p,
        "channels": [channels[index] for index in event.channels],
    }


def judged_json(judged: Judged, channels: tuple[str, ...]) -> dict[str, Any]:
    """Return a row of a live stream."""
    result = judged.result
    return {
        "sample": judged.index,
        "time": _time(judged.time),
        "score": result.score,
        "p": result.p,
        "status": result.status,
        "mode": result.mode,
        "contributions": dict(zip(channels, result.contributions.tolist(), strict=True)),
        "event": None if result.event is None else event_json(result.event, channels, judged.event_times),
    }


def block_json(table: Table, block: BlockResult) -> Iterator[dict[str, Any]]:
    """Yield the rows of a scored file."""
    times = [math.nan] * len(block.scores) if table.times is None else table.times.tolist()
    for index, (time, score, status) in enumerate(zip(times, block.scores.tolist(), block.statuses, strict=True)):
        parts = dict(zip(table.channels, block.contributions[index].tolist(), strict=True))
        yield {"sample": index, "time": _time(time), "score": score, "status": status, "contributions": parts}


def block_events(table: Table, block: BlockResult) -> list[dict[str, Any]]:
    """Return the events of a scored file, the one that lasts at its end included."""
    times = np.full(len(block.scores), np.nan) if table.times is None else table.times
    return [
        event_json(event, table.channels, (times[event.start], times[event.end], times[event.peak]))
        for event in all_events(block)
    ]


def all_events(block: BlockResult) -> list[Event]:
    """Return the events of a scored file in their order."""
    return [*block.events, *([block.open_event] if block.open_event else [])]


def summary_json(block: BlockResult) -> dict[str, Any]:
    """Return a scored file in one line."""
    return {
        "n_samples": len(block.scores),
        "n_events": len(all_events(block)),
        "mean_score": float(block.scores.mean()),
        "max_score": float(block.scores.max()),
    }


def _time(seconds: float) -> float | None:
    """Return a time, None where it is not known."""
    return None if math.isnan(seconds) else float(seconds)
