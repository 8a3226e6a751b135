"""`gmmaudio separate`: train, run; evaluate is in a module of its own."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import click
import numpy as np
import soundfile

from gmmaudio._typing import Float32Array
from gmmaudio.audio import read
from gmmaudio.cli.arguments import channel_option, check_output, json_option
from gmmaudio.cli.console import print_json, progress_bars
from gmmaudio.cli.evaluate_separation import evaluate, load_separator
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import save
from gmmaudio.separation import BACKGROUND, Separator

AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".opus"}
"""Files in a folder that are taken for recordings."""

ABSENT_DB = 25.0
"""A source that is so much quieter than the loudest is reported as hardly there."""

LONGEST_PLOT = 60.0
"""Seconds of a mixture that are drawn; a picture of more shows nothing."""


@click.group()
def separate() -> None:
    """Pull known voices and sounds apart: train, run, evaluate."""


@separate.command()
@click.argument("sources", nargs=-1, metavar="NAME=FILE_OR_FOLDER…")
@click.option("-o", "--output", required=True, type=click.Path(), help="Model file to write.")
@click.option("--components", type=int, default=64, show_default=True, help="Spectra that a source is made of.")
@click.option("--sample-rate", type=int, default=16000, show_default=True, help="Of the models, in Hz.")
@click.option("--frame-length", type=float, default=0.064, show_default=True, help="Window in seconds.")
@click.option("--adapt", is_flag=True, help=f"Adapt the source '{BACKGROUND}' to the others, of which there is little.")
@channel_option
def train(
    sources: Sequence[str],
    output: str,
    components: int,
    sample_rate: int,
    frame_length: float,
    adapt: bool,
    channel: int | None,
) -> None:
    """Learn sources from recordings of each alone; the same name may be given several times.

    The source "background" stands for everything else: give it recordings of many.
    """
    check_output(output)
    recordings = _by_name(sources)
    separator = Separator(components, sample_rate, frame_length)
    with progress_bars() as progress:
        for number, name in enumerate(sorted(recordings, key=lambda name: name != BACKGROUND)):
            progress("sources", number, len(recordings))
            adapted = adapt and name != BACKGROUND
            separator.train_source(name, recordings[name], channel=channel, adapt=adapted)
        progress("sources", len(recordings), len(recordings))
    save(separator, output)
    click.echo(f"{output}: {', '.join(separator.sources)}; separate a mixture with: gmmaudio separate run", err=True)


@separate.command()
@click.argument("model", type=click.Path())
@click.argument("mixture", type=click.Path())
@click.option("--source", "sources", multiple=True, help="Who is in it; once for each. Default: the likeliest pair.")
@click.option("-d", "--folder", type=click.Path(path_type=Path), default=".", help="Where to write, default: here.")
@click.option(
    "--plots", is_flag=True, help="Also draw the spectrogram, the masks and the estimates of the first minute."
)
@channel_option
@json_option
def run(
    model: str,
    mixture: str,
    sources: Sequence[str],
    folder: Path,
    plots: bool,
    channel: int | None,
    as_json: bool,
) -> None:
    """Write one WAV file for each source of MIXTURE; together they are the mixture."""
    separator = load_separator(model)
    names = sources or separator.rank_sources(mixture, channel=channel)[0].sources
    levels = separator.estimate_levels(mixture, names, channel=channel)
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{Path(mixture).stem}_{_file_name(name)}.wav" for name in levels}
    _check_not_overwritten(mixture, files.values())
    blocks = separator.separate_blocks(mixture, tuple(levels), channel=channel, levels=levels)
    _write(blocks, list(files.values()), separator.sample_rate)
    if plots:
        _draw(files, folder / f"{Path(mixture).stem}.png", separator.stft.frame_length)
    loudest = max(levels.values())
    for name, file in files.items():
        if as_json:
            print_json({"source": name, "file": str(file), "level_db": round(levels[name], 2)})
        else:
            remark = "; hardly there" if levels[name] < loudest - ABSENT_DB else ""
            click.echo(f"{click.format_filename(file)}: {name}, {levels[name]:.1f} dB{remark}")


def _by_name(sources: Sequence[str]) -> dict[str, list[str]]:
    """Return the files of each source."""
    recordings: dict[str, list[str]] = {}
    for source in sources:
        name, _, path = source.partition("=")
        if not name.strip() or not path:
            raise ParameterError(f"{source!r} is not NAME=FILE_OR_FOLDER, such as anna=recordings/anna")
        recordings.setdefault(name.strip(), []).extend(_files(Path(path)))
    if not recordings:
        raise GmmAudioError("no sources were given; name them with their recordings, such as anna=recordings/anna")
    return recordings


def _files(path: Path) -> list[str]:
    """Return a file, or the audio files in a folder in alphabetical order."""
    if not path.is_dir():
        return [str(path)]
    files = sorted(str(file) for file in path.rglob("*") if file.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise GmmAudioError(f"there are no audio files in {path}; those with {', '.join(sorted(AUDIO_SUFFIXES))} count")
    return files


def _file_name(name: str) -> str:
    """Return the name of a source as a part of a file's name."""
    return "".join(character if character.isalnum() or character in "-_" else "_" for character in name)


def _check_not_overwritten(mixture: str, files: Iterable[Path]) -> None:
    """Raise if a file to be written is the one that is read, or two are the same."""
    targets = [file.resolve() for file in files]
    if Path(mixture).resolve() in targets or len(set(targets)) != len(targets):
        raise GmmAudioError("an estimate would overwrite the mixture or another estimate; choose another --folder")


def _write(blocks: Iterable[Float32Array], files: Sequence[Path], sample_rate: int) -> None:
    """Write the estimates as they come, in float32, so that they add up to the mixture."""
    with ExitStack() as stack:
        open_files: list[soundfile.SoundFile] = []
        for block in blocks:
            if not open_files:
                n_channels = block.shape[2] if block.ndim == 3 else 1
                open_files = [
                    stack.enter_context(soundfile.SoundFile(file, "w", sample_rate, n_channels, "FLOAT"))
                    for file in files
                ]
            for index, file in enumerate(open_files):
                file.write(block[:, index])


def _draw(files: dict[str, Path], picture: Path, frame_length: float) -> None:
    """Draw the first minute of what was written; the mixture is the sum."""
    # matplotlib takes longer to import than a minute takes to separate.
    from gmmaudio.plotting import plot_separation

    rates, estimates = [], {}
    for name, file in files.items():
        signal, rate = read(file, channel="mix")
        rates.append(rate)
        estimates[name] = signal[: int(LONGEST_PLOT * rate)]
    mixture = np.sum(list(estimates.values()), axis=0)
    plot_separation(mixture, estimates, rates[0], frame_length=frame_length).savefig(picture)


separate.add_command(evaluate)
