"""What the commands take: options that several of them have, lists of files, recordings, models."""

from collections.abc import Sequence
from pathlib import Path

import click

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import Features
from gmmaudio.persistence import load
from gmmaudio.speaker import SpeakerIdentifier
from gmmaudio.speaker.recordings import Recording

Entry = tuple[str, str | None]
"""A file, and who speaks in it where a list says so."""


def parse_channel(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | str | None:
    """Return a channel policy from its text."""
    if value is None or value == "mix":
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither 'mix' nor the number of a channel, counted from 0")
    return int(value)


channel_option = click.option(
    "--channel", callback=parse_channel, metavar="N|mix", help="Which channel of files with several, or their mean."
)
files_argument = click.argument("files", nargs=-1, type=click.Path())
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, one object a line.")
list_option = click.option("--list", "list_file", type=click.Path(path_type=Path), help="File with one path a line.")
rate_option = click.option(
    "--false-accept-rate", type=float, help="Fraction of strangers that may be accepted; default: as the model says."
)


def list_entries(files: Sequence[str], list_file: Path | None) -> list[Entry]:
    """Return the files given as arguments, then those of the list, with the names that the list gives."""
    entries: list[Entry] = [(file, None) for file in files]
    if list_file is not None:
        entries += read_list(list_file)
    if not entries:
        raise GmmAudioError("no files were given; name them, or a list of them with --list")
    return entries


def read_list(path: Path) -> list[Entry]:
    """Return the lines of a list file: an audio file and, after a tab, a speaker's name.

    Empty lines and lines that begin with # are skipped. Paths are relative to the current folder.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise GmmAudioError(f"cannot read the list {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise GmmAudioError(f"the list {path} is not text in UTF-8; write one path a line")
    lines = [line.partition("\t") for line in text.splitlines() if line.strip() and not line.startswith("#")]
    entries = [(file.strip(), name.strip() or None) for file, _, name in lines]
    if not entries:
        raise GmmAudioError(f"the list {path} names no files; write one path a line")
    return entries


def all_names(entries: Sequence[Entry], list_file: Path | None) -> list[str]:
    """Return who speaks in each file; every file must have a name."""
    names = [name for _, name in entries if name]
    if len(names) < len(entries):
        nameless = next(file for file, name in entries if not name)
        raise ParameterError(f"the list {list_file} does not say who speaks in {nameless}; write it after a tab")
    return names


def load_identifier(path: str) -> SpeakerIdentifier:
    """Return the identifier in a model file."""
    identifier: SpeakerIdentifier = load(path, kind="speaker_identifier")
    return identifier


def as_recording(file: str) -> Recording:
    """Return what a file is: saved features, or audio by its path."""
    if file.endswith(".features"):
        features: Features = load(file, kind="features")
        return features
    return file


def check_output(path: str) -> str:
    """Return the path of a file to be written, or raise before the long work and not after it."""
    if Path(path).is_dir():
        raise GmmAudioError(f"cannot write {path}: it is a folder; name a file in it")
    if not Path(path).absolute().parent.is_dir():
        raise GmmAudioError(f"cannot write {path}: there is no folder {Path(path).parent}; make it first")
    return path
