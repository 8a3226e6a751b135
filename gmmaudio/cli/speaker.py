"""`gmmaudio speaker`: train, enroll, identify, verify, evaluate."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gmmaudio.audio import PcmFormat, stream_blocks
from gmmaudio.cli.console import channel_option, json_option, print_json, print_table, progress_bars, read_list
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import Features
from gmmaudio.persistence import load, save
from gmmaudio.speaker import Identification, SpeakerIdentifier
from gmmaudio.speaker.recordings import Recording

rate_option = click.option(
    "--false-accept-rate", type=float, help="Fraction of strangers that may be accepted; default: as the model says."
)
files_argument = click.argument("files", nargs=-1, type=click.Path())
list_option = click.option("--list", "list_file", type=click.Path(path_type=Path), help="File with one path a line.")


@click.group()
def speaker() -> None:
    """Who is speaking: train, enroll, identify, verify, evaluate."""


@speaker.command()
@files_argument
@click.option(
    "--list",
    "list_file",
    type=click.Path(path_type=Path),
    help="File with one path a line; after a tab, who speaks (needed where one person has several files).",
)
@click.option("-o", "--output", required=True, type=click.Path(), help="Model file to write.")
@click.option("--components", type=int, help="Size of the background model; default: chosen by the amount of speech.")
@click.option("--false-accept-rate", type=float, default=0.01, show_default=True, help="Default of the model.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the initialisation.")
@channel_option
def train(
    files: Sequence[str],
    list_file: Path | None,
    output: str,
    components: int | None,
    false_accept_rate: float,
    seed: int,
    channel: int | None,
) -> None:
    """Train a background model on speech of many people, minutes in all."""
    entries = _entries(files, list_file)
    names = [name for _, name in entries]
    if any(names) and not all(names):
        raise ParameterError(f"some lines of {list_file} name a speaker and some do not; name all of them or none")
    identifier = SpeakerIdentifier(n_components=components, false_accept_rate=false_accept_rate, random_state=seed)
    with progress_bars() as progress:
        identifier.train(
            [file for file, _ in entries],
            speakers=[name for name in names if name] or None,
            channel=channel,
            progress=progress,
        )
    save(identifier, output)
    click.echo(
        f"{output}: {identifier.ubm.n_components} components from {len(entries)} recordings, "
        f"a cohort of {len(identifier.cohort.speakers)}; enroll speakers next",
        err=True,
    )


@speaker.command()
@click.argument("model", type=click.Path())
@click.argument("name")
@files_argument
@list_option
@click.option("--add", is_flag=True, help="Add to the recordings of a speaker who is enrolled.")
@channel_option
def enroll(model: str, name: str, files: Sequence[str], list_file: Path | None, add: bool, channel: int | None) -> None:
    """Enroll a speaker NAME in MODEL from one or more recordings, 10 s or more in all."""
    identifier = _load(model)
    recordings = [_recording(file) for file, _ in _entries(files, list_file)]
    learn = identifier.add_recordings if add else identifier.enroll
    learn(name, recordings, channel=channel)
    save(identifier, model)
    click.echo(f"{model}: enrolled are {', '.join(identifier.speakers)}", err=True)


@speaker.command()
@click.argument("model", type=click.Path())
@click.argument("name")
def remove(model: str, name: str) -> None:
    """Remove the speaker NAME from MODEL."""
    save(_load(model).remove(name), model)


@speaker.command()
@click.argument("model", type=click.Path())
@files_argument
@list_option
@rate_option
@channel_option
@json_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a voice is unknown.")
@click.option("--pcm-rate", type=int, default=16000, show_default=True, help="Sample rate of raw samples, for '-'.")
@click.option("--pcm-encoding", default="s16le", show_default=True, help="Encoding of raw samples, for '-'.")
@click.option("--pcm-channels", type=int, default=1, show_default=True, help="Channels of raw samples, for '-'.")
def identify(
    model: str,
    files: Sequence[str],
    list_file: Path | None,
    false_accept_rate: float | None,
    channel: int | None,
    as_json: bool,
    exit_code: bool,
    pcm_rate: int,
    pcm_encoding: str,
    pcm_channels: int,
) -> int:
    """Say who speaks in each file, or "unknown"; the file "-" is raw samples from standard input."""
    identifier = _load(model)
    results: list[tuple[str, Identification]] = []
    for file, _ in _entries(files, list_file):
        recording = _recording(file)
        if file == "-":
            pcm_format = PcmFormat(pcm_rate, pcm_channels, pcm_encoding)  # type: ignore[arg-type]  # checked there
            rate = identifier.pipeline.config.sample_rate
            recording = stream_blocks(sys.stdin.buffer, sample_rate=rate, channel=channel, pcm_format=pcm_format)
        result = identifier.identify(recording, channel=channel, false_accept_rate=false_accept_rate)
        results.append((file, result))
        if as_json:
            print_json({"file": file, **result.to_dict()})
    if not as_json:
        print_table(("file", "decision", "best", "LLR", "score", "needed", "speech"), [_row(*pair) for pair in results])
    return int(exit_code and any(not result.is_known for _, result in results))


@speaker.command()
@click.argument("model", type=click.Path())
@click.argument("name")
@click.argument("file", type=click.Path())
@rate_option
@channel_option
@json_option
def verify(
    model: str, name: str, file: str, false_accept_rate: float | None, channel: int | None, as_json: bool
) -> int:
    """Say whether FILE is the voice of NAME; exit with 1 if it is not."""
    result = _load(model).verify(name, _recording(file), channel=channel, false_accept_rate=false_accept_rate)
    if as_json:
        print_json({"file": file, **result.to_dict()})
    else:
        verdict = "accepted" if result.accepted else "rejected"
        click.echo(f"{verdict}: {file} as {name} (score {result.score:.2f}, needed {result.threshold:.2f})")
    return int(not result.accepted)


def _load(path: str) -> SpeakerIdentifier:
    """Return the identifier in a model file."""
    identifier: SpeakerIdentifier = load(path, kind="speaker_identifier")
    return identifier


def _entries(files: Sequence[str], list_file: Path | None) -> list[tuple[str, str | None]]:
    """Return the files given as arguments, then those of the list, with the names that the list gives."""
    entries: list[tuple[str, str | None]] = [(file, None) for file in files]
    if list_file is not None:
        entries += read_list(list_file)
    if not entries:
        raise GmmAudioError("no files were given; name them, or a list of them with --list")
    return entries


def _recording(file: str) -> Recording:
    """Return what a file is: saved features, or audio by its path."""
    if file.endswith(".features"):
        features: Features = load(file, kind="features")
        return features
    return file


def _row(file: str, result: Identification) -> tuple[str, ...]:
    """Return a line of the table of decisions."""
    best, llr = (result.ranking[0][0], f"{result.ranking[0][1]:.2f}") if result.ranking else ("no speech", "")
    score = f"{result.score:.2f}" if result.ranking else ""
    return file, result.decision, best, llr, score, f"{result.threshold:.2f}", f"{result.speech_duration:.1f} s"
