"""`gmmaudio words`: train, recognize, align, adapt."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from gmmaudio.audio import AudioStream, PcmFormat, stream_blocks
from gmmaudio.audio.reading import ChannelPolicy
from gmmaudio.cli.alignments import check_alignment_output, write_alignments
from gmmaudio.cli.arguments import (
    Entry,
    channel_option,
    check_output,
    files_argument,
    json_option,
    list_entries,
    list_option,
    read_list,
)
from gmmaudio.cli.console import print_json, print_table, progress_bars, show_error
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.persistence import load, save
from gmmaudio.words import (
    GARBAGE,
    Alignment,
    WordAcceptor,
    WordRecognizer,
    parse_grammar,
    to_json_values,
    word_loop,
)

LIVE_BLOCK = 0.1
"""Seconds of raw samples after which a live result is looked at."""

grammar_option = click.option(
    "--grammar", "grammar_file", type=click.Path(path_type=Path), help="File with a grammar of what may be said (JSGF)."
)
connected_option = click.option("--connected", is_flag=True, help="Any number of words, in any order.")
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="File for the times of the words: .TextGrid, .ctm or .json; or a folder, for a TextGrid of each recording.",
)


@click.group()
def words() -> None:
    """Which words are said: train, recognize, align, adapt."""


@words.command()
@files_argument
@click.option(
    "--list", "list_file", type=click.Path(path_type=Path), help="File with one path a line and, after a tab, the word."
)
@click.option("-o", "--output", required=True, type=click.Path(), help="Model file to write.")
@channel_option
def train(files: Sequence[str], list_file: Path | None, output: str, channel: ChannelPolicy) -> None:
    """Train models of words from recordings of one word each, 10 or more of each word and by several people.

    FILES are folders, each with one folder of recordings for each word, named by the word; or --list says what is said
    in which file.
    """
    check_output(output)
    entries = _labelled_entries(files, list_file)
    with progress_bars() as progress:
        recognizer = WordRecognizer().train(
            [path for path, _ in entries], [word for _, word in entries], channel=channel, progress=progress
        )
    save(recognizer, output)
    click.echo(f"{output}: {len(recognizer.words)} words from {len(entries)} recordings", err=True)


@words.command()
@click.argument("model", type=click.Path())
@files_argument
@list_option
@grammar_option
@connected_option
@click.option("--n-best", type=int, default=1, show_default=True, help="How many different answers are wanted.")
@click.option("--reject", is_flag=True, help="It may also be none of the words.")
@output_option
@channel_option
@json_option
@click.option("--live", is_flag=True, help="For '-': print JSON whenever the words change, and at the end.")
@click.option("--pcm-rate", type=int, default=16000, show_default=True, help="Sample rate of raw samples, for '-'.")
@click.option("--pcm-encoding", default="s16le", show_default=True, help="Encoding of raw samples, for '-'.")
@click.option("--pcm-channels", type=int, default=1, show_default=True, help="Channels of raw samples, for '-'.")
def recognize(
    model: str,
    files: Sequence[str],
    list_file: Path | None,
    grammar_file: Path | None,
    connected: bool,
    n_best: int,
    reject: bool,
    output: str | None,
    channel: ChannelPolicy,
    as_json: bool,
    live: bool,
    pcm_rate: int,
    pcm_encoding: str,
    pcm_channels: int,
) -> int:
    """Say which word is said in each file, or which words; the file "-" is raw samples from standard input.

    Without --grammar or --connected it is one word. A file that cannot be read is reported on standard error; the
    others are recognised, and the exit code is 2.
    """
    recognizer = _load(model)
    grammar = _grammar(recognizer, grammar_file, connected or (live and grammar_file is None))
    pcm_format = PcmFormat(pcm_rate, pcm_channels, pcm_encoding)
    paths = [path for path, _ in list_entries(files, list_file)]
    check_alignment_output(output, paths)
    if live:
        if paths != ["-"]:
            raise ParameterError("--live is for raw samples from standard input; give '-' as the only file")
        _listen(recognizer, grammar, _standard_input(recognizer, pcm_format, channel), reject)
        return 0
    results = {}
    for path in paths:
        recording = _standard_input(recognizer, pcm_format, channel) if path == "-" else path
        try:
            result = recognizer.recognize(recording, grammar, n_best=n_best, reject=reject, channel=channel)
        except (GmmAudioError, OSError) as error:
            show_error(error)
            continue
        results[path] = result
        if as_json:
            print_json({"file": path, **result.to_dict()})
    if results and not as_json:
        rows = []
        for path, result in results.items():
            others = "; ".join(" ".join(other.words) or GARBAGE for other in result.sentences[1:])
            sure = "" if result.confidence is None else f"{result.confidence:.2f}"
            rows.append((path, result.text or "nothing", sure, *([others] if n_best > 1 else [])))
        print_table(("file", "words", "confidence", *(["other answers"] if n_best > 1 else [])), rows)
    write_alignments({path: result.alignment for path, result in results.items()}, output)
    return 2 if len(results) < len(paths) else 0


@words.command()
@click.argument("model", type=click.Path())
@files_argument
@click.option(
    "--list",
    "list_file",
    type=click.Path(path_type=Path),
    help="File with one path a line and, after a tab, the words.",
)
@click.option("--words", "text", help="What is said in FILES, with blanks between the words.")
@click.option("--states", is_flag=True, help="Also the times of the states of each word.")
@output_option
@channel_option
@json_option
def align(
    model: str,
    files: Sequence[str],
    list_file: Path | None,
    text: str | None,
    states: bool,
    output: str | None,
    channel: ChannelPolicy,
    as_json: bool,
) -> None:
    """Say when each of the words is said that are known to be said in a file."""
    recognizer = _load(model)
    entries = [(path, said or text) for path, said in list_entries(files, list_file)]
    check_alignment_output(output, [path for path, _ in entries])
    found: dict[str, Alignment] = {}
    for path, said in entries:
        if not said:
            raise ParameterError(f"it is not known what is said in {path}; write it after a tab, or give --words")
        found[path] = recognizer.align(path, _split(said, recognizer), states=states, channel=channel)
        if as_json:
            print_json({"file": path, **to_json_values(found[path])})
    if not as_json:
        rows = [
            (path, part.label, f"{part.start:.3f}", f"{part.end:.3f}")
            for path, alignment in found.items()
            for part in alignment.words
        ]
        print_table(("file", "word", "start", "end"), rows)
    write_alignments(found, output)


@words.command()
@click.argument("model", type=click.Path())
@files_argument
@list_option
@grammar_option
@connected_option
@click.option("-o", "--output", required=True, type=click.Path(), help="Model file to write.")
@channel_option
def adapt(
    model: str,
    files: Sequence[str],
    list_file: Path | None,
    grammar_file: Path | None,
    connected: bool,
    output: str,
    channel: ChannelPolicy,
) -> None:
    """Adapt MODEL to the speaker of some recordings; nobody needs to say which words they are."""
    check_output(output)
    recognizer = _load(model)
    paths = [path for path, _ in list_entries(files, list_file)]
    save(recognizer.adapt(paths, _grammar(recognizer, grammar_file, connected), channel=channel), output)
    click.echo(f"{output}: adapted with {len(paths)} recordings", err=True)


def _load(path: str) -> WordRecognizer:
    """Return the recogniser in a model file."""
    recognizer: WordRecognizer = load(path, kind="word_recognizer")
    return recognizer


def _labelled_entries(files: Sequence[str], list_file: Path | None) -> list[tuple[str, str]]:
    """Return recordings and their words, from folders of folders and from a list."""
    entries: list[Entry] = [entry for folder in files for entry in _entries_of_folder(Path(folder))]
    entries += [] if list_file is None else read_list(list_file)
    if not entries:
        raise GmmAudioError("no recordings were given; name a folder with a folder for each word, or a --list")
    nameless = [path for path, word in entries if not word]
    if nameless:
        raise ParameterError(f"the list {list_file} does not say which word {nameless[0]} is; write it after a tab")
    return [(path, word) for path, word in entries if word]


def _entries_of_folder(folder: Path) -> list[Entry]:
    """Return the files in the folders of a folder, with the names of those as words; hidden ones are left out."""
    if not folder.is_dir():
        raise ParameterError(f"{folder} is not a folder; name a folder with a folder for each word, or use --list")
    found = [path for path in sorted(folder.glob("*/*")) if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise GmmAudioError(f"{folder} has no folders with recordings in it; make one for each word")
    return [(str(path), path.parent.name) for path in found]


def _grammar(recognizer: WordRecognizer, path: Path | None, connected: bool) -> WordAcceptor | None:
    """Return what may be said; None is one word."""
    if path is None:
        return word_loop(recognizer.words) if connected else None
    if connected:
        raise ParameterError("--connected and --grammar exclude each other; give one of them")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise GmmAudioError(f"cannot read the grammar {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise GmmAudioError(f"the grammar {path} is not text in UTF-8") from None
    try:
        return parse_grammar(text, vocabulary=recognizer.words)
    except ParameterError as error:
        raise ParameterError(f"{path}: {error}") from error


def _split(text: str, recognizer: WordRecognizer) -> list[str]:
    """Return the words of a text; a word with blanks is recognised as one."""
    known, words = set(recognizer.words), []
    parts = text.split()
    while parts:
        longest = next((n for n in range(len(parts), 1, -1) if " ".join(parts[:n]) in known), 1)
        words.append(" ".join(parts[:longest]))
        parts = parts[longest:]
    return words


def _standard_input(recognizer: WordRecognizer, pcm_format: PcmFormat, channel: ChannelPolicy) -> AudioStream:
    """Return the raw samples of standard input as they arrive."""
    assert recognizer.config is not None
    return stream_blocks(
        sys.stdin.buffer,
        sample_rate=recognizer.config.sample_rate,
        channel=channel,
        pcm_format=pcm_format,
        block_duration=LIVE_BLOCK,
    )


def _listen(recognizer: WordRecognizer, grammar: WordAcceptor | None, blocks: AudioStream, reject: bool) -> None:
    """Print the words so far whenever they change, and the final ones, which are those of the whole recording."""
    stream = recognizer.stream(blocks.sample_rate, grammar, reject=reject)
    said: tuple[str, ...] = ()
    for block in blocks:
        stream.push(block)
        result = stream.result
        if result.words != said:
            said = result.words
            print_json({"file": "-", "is_final": False, **result.to_dict()})
    stream.flush()
    print_json({"file": "-", "is_final": True, **stream.result.to_dict()})
