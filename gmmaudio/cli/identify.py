"""`gmmaudio speaker identify`: of files, of raw samples, and of a voice that is still speaking."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.audio import AudioStream, PcmFormat, stream_blocks
from gmmaudio.cli.arguments import (
    as_recording,
    channel_option,
    files_argument,
    json_option,
    list_entries,
    list_option,
    load_identifier,
    rate_option,
)
from gmmaudio.cli.console import print_json, print_table, show_error
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import Features
from gmmaudio.speaker import Identification, SpeakerIdentifier
from gmmaudio.speaker.recordings import RecordingReader


@click.command()
@click.argument("model", type=click.Path())
@files_argument
@list_option
@rate_option
@channel_option
@json_option
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a voice is unknown.")
@click.option("--live", is_flag=True, help="For '-': print JSON for every second heard, and at the end.")
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
    live: bool,
    pcm_rate: int,
    pcm_encoding: str,
    pcm_channels: int,
) -> int:
    """Say who speaks in each file, or "unknown"; the file "-" is raw samples from standard input.

    A file that cannot be read is reported on standard error; the others are identified, and the exit code is 2.
    """
    identifier = load_identifier(model)
    pcm_format = PcmFormat(pcm_rate, pcm_channels, pcm_encoding)
    paths = [file for file, _ in list_entries(files, list_file)]
    if live:
        if paths != ["-"]:
            raise ParameterError("--live is for raw samples from standard input; give '-' as the only file")
        result = _listen(identifier, _standard_input(identifier, pcm_format, channel), false_accept_rate)
        return int(exit_code and not result.is_known)
    results: list[tuple[str, Identification]] = []
    for path in paths:
        try:
            speech = _read(identifier, path, pcm_format, channel)
        except (GmmAudioError, OSError) as error:
            show_error(error)
            continue
        result = identifier.identify(speech, false_accept_rate=false_accept_rate)
        results.append((path, result))
        if as_json:
            print_json({"file": path, **result.to_dict()})
    if results and not as_json:
        print_table(("file", "decision", "best", "LLR", "score", "needed", "speech"), [_row(*pair) for pair in results])
    if len(results) < len(paths):
        return 2
    return int(exit_code and any(not result.is_known for _, result in results))


def _read(identifier: SpeakerIdentifier, path: str, pcm_format: PcmFormat, channel: int | None) -> Features:
    """Return the speech in a file."""
    reader = RecordingReader(identifier.pipeline, sample_rate=None, channel=channel)
    recording = _standard_input(identifier, pcm_format, channel) if path == "-" else as_recording(path)
    return Features(reader.frames(recording), identifier.pipeline.config)


def _standard_input(identifier: SpeakerIdentifier, pcm_format: PcmFormat, channel: int | None) -> AudioStream:
    """Return the raw samples of standard input as they arrive."""
    rate = identifier.pipeline.config.sample_rate
    return stream_blocks(sys.stdin.buffer, sample_rate=rate, channel=channel, pcm_format=pcm_format)


def _listen(identifier: SpeakerIdentifier, blocks: AudioStream, false_accept_rate: float | None) -> Identification:
    """Print the decision so far after every second, and the final one, which is that of the whole recording."""
    stream = identifier.stream(false_accept_rate=false_accept_rate)
    n_samples = 0

    def show(*, is_final: bool) -> None:
        heard = {"file": "-", "seconds": n_samples / blocks.sample_rate, "is_final": is_final}
        print_json({**heard, **stream.result.to_dict()})

    for second in _seconds(blocks):
        stream.push(second)
        n_samples += len(second)
        show(is_final=False)
    stream.flush()
    show(is_final=True)
    return stream.result


def _seconds(blocks: AudioStream) -> Iterator[Float32Array]:
    """Yield each second as soon as it is complete, and the rest."""
    held = np.empty(0, dtype=np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= blocks.sample_rate:
            yield held[: blocks.sample_rate]
            held = held[blocks.sample_rate :]
    if held.size:
        yield held


def _row(file: str, result: Identification) -> tuple[str, ...]:
    """Return a line of the table of decisions."""
    best, llr = (result.ranking[0][0], f"{result.ranking[0][1]:.2f}") if result.ranking else ("no speech", "")
    score = f"{result.score:.2f}" if result.ranking else ""
    return file, result.decision, best, llr, score, f"{result.threshold:.2f}", f"{result.speech_duration:.1f} s"
