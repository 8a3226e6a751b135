"""`gmmaudio anomaly`: train on normal data, score files, watch a pipe."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

import click
import numpy as np

from gmmaudio.anomaly import AnomalyDetector, Event, EventRule, Result, alarm_probability
from gmmaudio.anomaly.lines import LineReader, MalformedLineError, read_samples
from gmmaudio.cli.arguments import check_output
from gmmaudio.cli.console import print_json
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import load, save

LONGEST_LINE = 2**20
model_argument = click.argument("model", type=click.Path())
samples_option = click.option("--samples", is_flag=True, help="Print every sample, not only events.")


@click.group()
def anomaly() -> None:
    """Find what is wrong in streams of numbers: train, score, watch."""


@anomaly.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(), help="Model file to write.")
@click.option("--adaptive", is_flag=True, help="Go on learning while watching.")
@click.option("--false-alarms-per-day", type=float, help="How many are acceptable; default: p = 1e-4 for a sample.")
@click.option("--sample-period", type=float, help="Seconds between samples; default: from the time stamps.")
@click.option("--window", type=int, default=48, show_default=True, help="Samples whose mean is the level.")
def train(
    file: Path,
    output: str,
    adaptive: bool,
    false_alarms_per_day: float | None,
    sample_period: float | None,
    window: int,
) -> None:
    """Learn what is normal from a file of samples, JSON lines or CSV."""
    check_output(output)
    rows, times, channels = _read(file)
    rule = EventRule()
    if false_alarms_per_day is not None:
        if sample_period is None:
            if times is None:
                raise GmmAudioError(f"{file} has samples without time stamps; give --sample-period in seconds")
            sample_period = float(np.median(np.diff(times)))
        p = alarm_probability(false_alarms_per_day, sample_period)
        rule = EventRule(alarm_p=p, leave_p=max(p, rule.leave_p))
    save(AnomalyDetector(adaptive=adaptive, window=window, rule=rule).fit(rows, times, channels=channels), output)


@anomaly.command()
@model_argument
@click.argument("file", type=click.Path(path_type=Path))
@samples_option
def score(model: str, file: Path, samples: bool) -> None:
    """Score a file as a stream of its own; print its events, one JSON object a line."""
    detector = _load(model)
    rows, times, _ = _read(file, detector.channels)
    detector.reset()
    block = detector.process(rows, times)
    if samples:
        for index, (value, status) in enumerate(zip(block.scores.tolist(), block.statuses, strict=True)):
            print_json({"sample": index, "score": value, "status": status})
    for event in [*block.events, *([block.open_event] if block.open_event else [])]:
        print_json(_event(event, detector.channels))


@anomaly.command()
@model_argument
@click.option("--state", type=click.Path(path_type=Path), help="File to keep the stream in, and to go on from.")
@click.option("--save-every", type=click.IntRange(1), default=1000, show_default=True, help="Samples between saves.")
@samples_option
def watch(model: str, state: Path | None, save_every: int, samples: bool) -> None:
    """Read samples from standard input, JSON lines or CSV, and print events as they open and close."""
    detector = _load(str(state) if state is not None and state.exists() else model)
    if detector.n_seen:
        click.echo(f"gmmaudio: going on after sample {detector.n_seen - 1}", err=True)
    reader, malformed, was_open = LineReader(detector.channels), 0, False
    for line in _lines(sys.stdin.buffer):
        try:
            sample = reader.read(line)
        except MalformedLineError:
            malformed += 1
            continue
        if sample is None:
            continue
        result = detector.update(sample[0], None if np.isnan(sample[1]) else sample[1])
        if samples:
            print_json(_sample(detector.n_seen - 1, result, detector.channels))
        elif result.event is not None and (result.event.state == "closed" or not was_open):
            print_json(_event(result.event, detector.channels))
        was_open = result.event is not None and result.event.state == "open"
        if state is not None and detector.n_seen % save_every == 0:
            save(detector, state)
    if state is not None:
        save(detector, state)
    click.echo(f"gmmaudio: {detector.n_seen} samples, {malformed} malformed lines", err=True)


class _TerminatedError(Exception):
    """SIGTERM came while nothing was being worked on."""


def _lines(stream: BinaryIO) -> Iterator[str]:
    """Give the lines of a stream until it ends or SIGTERM comes; never in the middle of what is done with one."""
    waiting, asked = False, False

    def on_terminate(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        if waiting:
            raise _TerminatedError

    previous = signal.signal(signal.SIGTERM, on_terminate)
    try:
        while not asked:
            waiting = True
            line = stream.readline(LONGEST_LINE)
            waiting = False
            if not line:
                return
            yield line.decode("utf-8", errors="replace")
    except _TerminatedError:
        return
    finally:
        signal.signal(signal.SIGTERM, previous)


def _read(file: Path, channels: tuple[str, ...] | None = None) -> tuple[Any, Any, tuple[str, ...]]:
    """Return values, times and channel names of a file."""
    try:
        with file.open(encoding="utf-8-sig", errors="replace") as lines:
            return read_samples(lines, channels=channels, name=str(file))
    except OSError as error:
        raise GmmAudioError(f"cannot read {file}: {error.strerror}") from error


def _load(model: str) -> AnomalyDetector:
    """Return the detector in a model file."""
    detector: AnomalyDetector = load(model, kind="anomaly_detector")
    return detector


def _names(indices: tuple[int, ...], channels: tuple[str, ...]) -> list[str]:
    """Return channels by name."""
    return [channels[index] for index in indices]


def _event(event: Event, channels: tuple[str, ...]) -> dict[str, Any]:
    """Return an event as a JSON value."""
    return {
        "event": event.state,
        "start": event.start,
        "end": event.end,
        "peak": event.peak,
        "score": event.score,
        "p": event.p,
        "channels": _names(event.channels, channels),
    }


def _sample(index: int, result: Result, channels: tuple[str, ...]) -> dict[str, Any]:
    """Return a sample as a JSON value."""
    return {
        "sample": index,
        "score": result.score,
        "p": result.p,
        "status": result.status,
        "contributions": dict(zip(channels, result.contributions.tolist(), strict=True)),
        "event": None if result.event is None else _event(result.event, channels),
    }
