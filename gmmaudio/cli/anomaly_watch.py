"""`gmmaudio anomaly watch`: lines in, events out, for months."""

import contextlib
import math
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import click

from gmmaudio.anomaly.incoming import FollowedFile, Stop, pipe_blocks, pipe_lines
from gmmaudio.anomaly.journal import Journal
from gmmaudio.anomaly.listening import Listener
from gmmaudio.anomaly.model import as_model
from gmmaudio.anomaly.telling import Judged
from gmmaudio.anomaly.watching import KINDS, LEFT_OUT, Watcher
from gmmaudio.cli.anomaly_output import event_json, judged_json
from gmmaudio.cli.console import print_json
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import load, remove_unfinished, save

SHOWN_OF_A_LINE = 60


@click.command()
@click.argument("model", type=click.Path())
@click.option("--state", type=click.Path(path_type=Path), help="File to keep the stream in, and to go on from.")
@click.option("--save-every", type=click.IntRange(1), default=1000, show_default=True, help="Samples between saves.")
@click.option("--samples", is_flag=True, help="Print every sample, not only events.")
@click.option(
    "--follow", type=click.Path(path_type=Path), help="File that grows, in place of standard input; rotation is seen."
)
@click.option(
    "--prometheus", metavar="[ADDRESS:]PORT", help="Serve counters there; the address is 127.0.0.1 if left out."
)
def watch(
    model: str, state: Path | None, save_every: int, samples: bool, follow: Path | None, prometheus: str | None
) -> None:
    """Read standard input and print events as they open and close.

    It is JSON lines or CSV for a model of numbers, and raw sound for a model of sound: 16-bit samples, mono, at the
    model's rate (ffmpeg ... -ac 1 -ar RATE -f s16le -).
    """
    watcher = _resume(model, state, follow is not None)
    if follow is not None and isinstance(watcher, Listener):
        raise GmmAudioError("--follow reads lines, but this model listens to sound; pipe it to standard input")
    told = set(watcher.counts)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(_stopped_by_signal())
        followed = None if follow is None else FollowedFile(follow, stop, position=watcher.position)
        if followed is not None:
            stack.enter_context(contextlib.closing(followed))
            if not followed.path.exists():
                click.echo(f"gmmaudio: waiting for {follow}", err=True)
        keeper = stack.enter_context(_Keeper(watcher, state, save_every, followed))
        if prometheus is not None:
            from gmmaudio.cli.prometheus import serve

            click.echo(f"gmmaudio: counters at {stack.enter_context(serve(watcher, prometheus))}", err=True)
        for piece, rows in _judged(watcher, stop, followed):
            keeper.note()
            for judged in rows:
                _print(judged, watcher, samples)
            for kind in watcher.counts.keys() - told:
                told.add(kind)
                _tell_first(kind, piece, watcher)
            keeper.save_if_due()
        if state is None and not stop.is_asked():
            for judged in watcher.finish():
                _print(judged, watcher, samples)
    _tell_counts(watcher)


def _judged(
    watcher: Watcher | Listener, stop: Stop, followed: FollowedFile | None
) -> Iterator[tuple[str | None, list[Judged]]]:
    """Yield lines with the rows that each completed, or rows of sound without a line."""
    if isinstance(watcher, Listener):
        for block in pipe_blocks(sys.stdin.fileno(), stop):
            yield None, watcher.take(block)
    else:
        for line in pipe_lines(sys.stdin.fileno(), stop) if followed is None else followed:
            yield line, watcher.take(line)


class _Keeper:
    """Saves the watcher now and then and in the end, and notes every sample between."""

    def __init__(
        self, watcher: Watcher | Listener, state: Path | None, save_every: int, followed: FollowedFile | None
    ) -> None:
        self._watcher, self._state, self._every, self._followed = watcher, state, save_every, followed
        self._saved = self._noted = watcher.n_samples
        self._journal = None if state is None else Journal(_journal_path(state))

    def __enter__(self) -> "_Keeper":
        return self

    def note(self) -> None:
        """Note a new sample, before anything is printed of it."""
        if self._journal is not None and self._watcher.n_samples != self._noted:
            self._noted = self._watcher.n_samples
            self._journal.write(self._noted, self._watcher.last_time)

    def save_if_due(self) -> None:
        """Save the state if it is time, with the place in the file that is followed."""
        if self._journal is not None and self._watcher.n_samples - self._saved >= self._every:
            self._saved = self._watcher.n_samples
            try:
                self._save()
            except GmmAudioError as error:  # a full disk is no reason to stop watching; the next save may succeed
                click.echo(f"gmmaudio: warning: the state was not saved: {error}", err=True)

    def __exit__(self, *_: object) -> None:
        if self._journal is not None:
            self._save()
            self._journal.close()

    def _save(self) -> None:
        """Save the watcher and the place in the file that it has come to."""
        if self._state is not None:
            self._watcher.position = None if self._followed is None else self._followed.position
            save(self._watcher, self._state)


def _resume(model: str, state: Path | None, follows: bool) -> Watcher | Listener:
    """Return a new watcher, or the one of the state file; say what it knows and what it does not."""
    anomaly_model = as_model(load(model), model)
    if state is None or not state.exists():
        if state is not None:
            _journal_path(state).unlink(missing_ok=True)
        return Watcher(anomaly_model) if anomaly_model.sound is None else Listener(anomaly_model)
    remove_unfinished(state)
    kind = "anomaly_watcher" if anomaly_model.sound is None else "anomaly_listener"
    watcher: Watcher | Listener = load(state, kind=kind)
    if not watcher.model.same_training(anomaly_model):
        raise GmmAudioError(f"{state} was made with another model than {model}; give that one, or delete the state")
    n = watcher.n_samples
    last = f"after sample {n - 1}{_at(watcher.last_time)}" if n else "before the first sample"
    click.echo(f"gmmaudio: going on {last}", err=True)
    note = Journal.read(_journal_path(state))
    if note is not None and note.n_samples > n:
        fate = "read again" if follows and watcher.position is not None else "lost"
        which = f"sample {n}" if note.n_samples == n + 1 else f"samples {n} to {note.n_samples - 1}"
        click.echo(
            f"gmmaudio: {which} came after the state was saved, the last{_at(note.time) or ' without a time'}; {fate}",
            err=True,
        )
    return watcher


def _journal_path(state: Path) -> Path:
    """Return where the note of the last sample is kept."""
    return state.with_name(f"{state.name}.seen")


@contextlib.contextmanager
def _stopped_by_signal() -> Iterator[Stop]:
    """Give a stop that SIGTERM and SIGINT ask for."""
    stop = Stop()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        stop.ask()

    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        stop.close()


def _print(judged: Judged, watcher: Watcher | Listener, samples: bool) -> None:
    """Print a row or the event that is to be told with it."""
    channels = watcher.model.detector.channels
    if samples:
        print_json(judged_json(judged, channels))
    elif judged.event is not None:
        print_json(event_json(judged.event, channels, judged.event_times))


def _tell_first(kind: str, line: str | None, watcher: Watcher | Listener) -> None:
    """Say when a kind of odd line comes for the first time."""
    start = "" if line is None else f": {line[:SHOWN_OF_A_LINE].strip()!a}"
    what = "left out" if kind in LEFT_OUT else "used"
    click.echo(f"gmmaudio: the first line {KINDS[kind]}, after {watcher.n_samples} samples, is {what}{start}", err=True)


def _tell_counts(watcher: Watcher | Listener) -> None:
    """Say how many samples and odd lines there were."""
    left_out = {kind: n for kind, n in watcher.counts.items() if kind in LEFT_OUT}
    used = {kind: n for kind, n in watcher.counts.items() if kind not in LEFT_OUT}
    parts = [f"{watcher.n_samples} samples, {watcher.n_left_out} lines left out"]
    parts += [f"{n} {KINDS[kind]}" for kind, n in [*left_out.items(), *used.items()]]
    click.echo(f"gmmaudio: {parts[0]}" + (f" ({'; '.join(parts[1:])})" if parts[1:] else ""), err=True)


def _at(time: float) -> str:
    """Return a time for people, empty where it is not known."""
    if math.isnan(time):
        return ""
    try:
        return f" ({datetime.fromtimestamp(time, UTC).isoformat().replace('+00:00', 'Z')})"
    except (ValueError, OverflowError, OSError):
        return f" (time {time:g})"
