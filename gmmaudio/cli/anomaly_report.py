"""`gmmaudio anomaly score --plot, --report`: a picture, or a page with picture and events, of a scored file."""

import math
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gmmaudio.anomaly import BlockResult, Event
from gmmaudio.anomaly.model import AnomalyModel
from gmmaudio.anomaly.tables import Table
from gmmaudio.cli.anomaly_output import all_events
from gmmaudio.persistence import replacing
from gmmaudio.plotting import page, plot_anomalies

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_EVENTS, MOST_NAMES = 1000, 3
COLUMNS = ("event", "start", "end", "samples", "peak", "score", "p", "channels, the largest part first")


def write_plot(path: Path, model: AnomalyModel, table: Table, block: BlockResult) -> None:
    """Write the picture of a scored file, of the type that the suffix says."""
    with replacing(path) as file:
        _figure(model, table, block).savefig(file, format=path.suffix.lstrip(".") or "png")


def write_report(path: Path, name: str, model: AnomalyModel, table: Table, block: BlockResult) -> None:
    """Write a page about a scored file that needs no other file and no network."""
    events = all_events(block)
    alarm_p, n = model.detector.rule.alarm_p, len(block.scores)
    span = f" from {_when(model, table, 0)} to {_when(model, table, n - 1)}" if table.times is not None else ""
    counts = ", ".join(f"{count} {status}" for status, count in Counter(block.statuses).most_common())
    paragraphs = [
        f"{n} samples of {len(table.channels)} channels{span}: {counts}. {len(events)} events.",
        f"The score is −log10 of the probability that a normal sample is at least as strange; an event begins at "
        f"p = {alarm_p:.3g}, a score of {-math.log10(alarm_p):.3g}.",
    ]
    if len(events) > MOST_EVENTS:
        paragraphs.append(f"The table has the {MOST_EVENTS} events with the highest scores.")
        events = sorted(sorted(events, key=lambda event: -event.score)[:MOST_EVENTS], key=lambda event: event.start)
    text = page(
        f"Anomalies in {name}",
        paragraphs=paragraphs,
        figures=[("Score with threshold, events shaded, and the parts of the channels", _figure(model, table, block))],
        columns=COLUMNS,
        rows=[_row(number, event, model, table) for number, event in enumerate(events, 1)],
    )
    with replacing(path) as file:
        file.write(text.encode("utf-8", errors="replace"))


def _figure(model: AnomalyModel, table: Table, block: BlockResult) -> "Figure":
    """Return the picture of a scored file."""
    times: Any = table.times
    label = "sample"
    if times is not None and np.isfinite(times).all() and (np.diff(times) > 0).all():
        label = "seconds"
        if model.sound is None and np.abs(times).max() < 1e11:
            times, label = (times * 1e6).astype("datetime64[us]"), "time (UTC)"
    else:
        times = None
    return plot_anomalies(
        block.scores,
        threshold=-math.log10(model.detector.rule.alarm_p),
        events=[(event.start, event.end) for event in all_events(block)],
        contributions=block.contributions,
        channels=table.channels,
        times=times,
        time_label=label,
    )


def _row(number: int, event: Event, model: AnomalyModel, table: Table) -> list[str | float]:
    """Return an event as a row of the table."""
    marks = ["open"] if event.state == "open" else [event.kind] if event.kind != "anomaly" else []
    names = ", ".join(table.channels[index] for index in event.channels[:MOST_NAMES])
    more = f", and {len(event.channels) - MOST_NAMES} more" if len(event.channels) > MOST_NAMES else ""
    return [
        ", ".join([str(number), *marks]),
        _when(model, table, event.start),
        _when(model, table, event.end),
        float(event.end - event.start + 1),
        _when(model, table, event.peak),
        round(event.score, 2),
        float(f"{event.p:.1e}"),
        names + more,
    ]


def _when(model: AnomalyModel, table: Table, index: int) -> str:
    """Return the time of a sample for people, or its number where no time is known."""
    if table.times is None or math.isnan(table.times[index]):
        return f"sample {index}"
    seconds = float(table.times[index])
    if model.sound is not None:
        return f"{seconds:.2f} s"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"
