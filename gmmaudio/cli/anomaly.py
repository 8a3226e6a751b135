"""`gmmaudio anomaly`: train on normal data, score files, watch a pipe or a growing file."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import click

from gmmaudio.anomaly import AnomalyDetector
from gmmaudio.anomaly.model import AnomalyModel, as_model
from gmmaudio.anomaly.sound import SUFFIXES, SoundConfig, read_sound
from gmmaudio.anomaly.tables import Table, join_tables, read_table, sample_period, with_numbers
from gmmaudio.cli.anomaly_output import block_events, block_json, summary_json
from gmmaudio.cli.anomaly_watch import watch
from gmmaudio.cli.arguments import channel_option, check_output
from gmmaudio.cli.console import print_json
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import load, save

WINDOW, SOUND_WINDOW = 48, 8
files_argument = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))


@click.group()
def anomaly() -> None:
    """Find what is wrong in streams of numbers and in machine sound: train, score, watch."""


@anomaly.command()
@files_argument
@click.option("-o", "--output", required=True, type=click.Path(), help="Model file to write.")
@click.option("--adaptive", is_flag=True, help="Go on learning while watching.")
@click.option(
    "--false-alarms-per-day", type=float, help="How many events are acceptable; default: p = 1e-4 for a sample."
)
@click.option("--sample-period", type=float, help="Seconds between samples; default: from the time stamps.")
@click.option(
    "--window", type=int, help=f"Samples whose mean is the level.  [default: {WINDOW}; sound: {SOUND_WINDOW}]"
)
@click.option("--lags", type=int, help="Past samples that the present one is judged by.  [default: 3; sound: 1]")
@click.option("--modes", type=int, default=0, help="Modes of operation to tell apart.  [default: none]")
@click.option(
    "--memory", type=int, default=3000, show_default=True, help="With --adaptive: scores that p-values come from."
)
@click.option(
    "--settle-after",
    type=int,
    help="Samples after which a stable new level is normal, 0: never.  [default: ten windows with --adaptive, else 0]",
)
@click.option("--grid", type=float, help="Put samples on a grid of this many seconds; gaps stay gaps.")
@click.option("--features", type=click.Choice(["log_mel", "mfcc"]), help="Of sound.  [default: log_mel]")
@click.option("--pooling", type=click.Choice(["mean", "max"]), help="Of sound, over a row.  [default: mean]")
@channel_option
@click.option("--row", "row_period", type=float, help="Seconds of sound in a row.  [default: 0.25]")
def train(
    files: Sequence[Path],
    output: str,
    adaptive: bool,
    false_alarms_per_day: float | None,
    sample_period: float | None,
    window: int | None,
    lags: int | None,
    modes: int,
    memory: int,
    settle_after: int | None,
    grid: float | None,
    features: str | None,
    pooling: str | None,
    row_period: float | None,
    channel: int | Literal["mix"] | None,
) -> None:
    """Learn what is normal from FILES: JSON lines, CSV, .npy, .npz, .parquet, or recordings of sound."""
    check_output(output)
    options = {"features": features, "pooling": pooling, "period": row_period}
    chosen = {"mix": True} if channel == "mix" else {"channel": channel}
    sound = _sound_config(files, {**options, **chosen})
    if window is None:
        window = WINDOW if sound is None else SOUND_WINDOW
    if lags is None:
        lags = 3 if sound is None else 1
    table = _training_table(files, sound, grid, gap=max(window, lags))
    period = None if false_alarms_per_day is None else _period(table, sample_period)
    detector = AnomalyDetector(
        adaptive=adaptive, n_lags=lags, window=window, n_modes=modes, memory=memory, settle_after=settle_after
    )
    detector.fit(table.values, None if sound else table.times, channels=table.channels)
    if false_alarms_per_day is not None and period is not None:
        detector.set_false_alarms(false_alarms_per_day, sample_period=period)
    save(detector if sound is None and grid is None else AnomalyModel(detector, grid, sound), output)


@anomaly.command()
@click.argument("model", type=click.Path())
@files_argument
@click.option("--samples", is_flag=True, help="Print every sample, then the events.")
@click.option("--summary", is_flag=True, help="Print one line for each file and not its events.")
@click.option("--plot", type=click.Path(path_type=Path), help="Picture of scores, events and contributions to write.")
@click.option("--report", type=click.Path(path_type=Path), help="Page (HTML, one file) with picture and events.")
def score(
    model: str, files: Sequence[Path], samples: bool, summary: bool, plot: Path | None, report: Path | None
) -> None:
    """Score each of FILES as a stream of its own; print its events, one JSON object a line."""
    if len(files) > 1 and (plot or report):
        raise GmmAudioError(f"{len(files)} files were given, but --plot and --report show one")
    anomaly_model = as_model(load(model), model)
    for file in files:
        table = anomaly_model.read(file)
        block = anomaly_model.score(table)
        about = {"file": str(file)}
        for row in block_json(table, block) if samples else ():
            print_json(about | row)
        for value in [summary_json(block)] if summary else block_events(table, block):
            print_json(about | value)
        if plot or report:
            from gmmaudio.cli.anomaly_report import write_plot, write_report

            if plot:
                write_plot(plot, anomaly_model, table, block)
            if report:
                write_report(report, file.name, anomaly_model, table, block)


anomaly.add_command(watch)


def _sound_config(files: Sequence[Path], options: Mapping[str, object]) -> SoundConfig | None:
    """Return how the recordings are heard, None for files of numbers."""
    heard = [file.suffix.lower() in SUFFIXES for file in files]
    given = {name: value for name, value in options.items() if value is not None}
    if not any(heard):
        if given:
            raise GmmAudioError(
                f"{files[0]} is no recording of sound, but --features, --pooling, --row and --channel belong to one"
            )
        return None
    if not all(heard):
        raise GmmAudioError("some of the files are sound and some are not; train one model for each")
    from gmmaudio.audio import stream_blocks

    with stream_blocks(files[0], channel=0) as stream:
        return dataclasses.replace(SoundConfig(sample_rate=stream.source_rate), **given)  # type: ignore[arg-type]


def _training_table(files: Sequence[Path], sound: SoundConfig | None, grid: float | None, gap: int) -> Table:
    """Return all samples, with a gap between files."""
    if sound is not None:
        if grid is not None:
            raise GmmAudioError("--grid is for numbers with time stamps; --row says how long a row of sound is")
        return join_tables([read_sound(file, sound) for file in files], gap)
    tables: list[Table] = []
    for file in files:
        table = read_table(file, channels=tables[0].channels if tables else None)
        tables.append(table if grid is None else table.on_grid(grid))
    return with_numbers(join_tables(tables, gap))


def _period(table: Table, given: float | None) -> float:
    """Return the seconds between samples."""
    period = sample_period(table) if given is None else given
    if period is None:
        raise GmmAudioError("the samples have no time stamps; give --sample-period in seconds")
    return period
