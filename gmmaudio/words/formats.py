"""Alignments as files: TextGrid (Praat), CTM (NIST, Kaldi) and JSON.

Conventions. Times are seconds from the beginning of the recording. TextGrid is written in Praat's long text form with
interval tiers that fill the whole duration: pauses are intervals with an empty text. CTM has one line for each word,
``recording channel start duration word [confidence]``, and no pauses. Files are UTF-8 and appear whole or not at all.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gmmaudio.errors import ParameterError
from gmmaudio.persistence import replacing
from gmmaudio.words.acceptor import SILENCE

CTM_DECIMALS = 3
"""Digits of the seconds in CTM files."""


@dataclass(frozen=True)
class Interval:
    """Something that was said, and when.

    Attributes
    ----------
    label : str
        A word, `SILENCE` or `GARBAGE`; for a state, its number in the model of the word, from 0.
    start, end : float
        Seconds.
    log_likelihood : float, optional
        Of its frames, in nats.
    confidence : float, optional
        Probability that the label is right.
    """

    label: str
    start: float
    end: float
    log_likelihood: float | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Alignment:
    """What was said in a recording.

    Attributes
    ----------
    duration : float
        Length of the recording in seconds.
    words : tuple of Interval
        In the order of time, without overlap; pauses may stand among them or be left out.
    states : tuple of Interval
        The states of the words, if they were asked for.

    Raises
    ------
    ParameterError
        If an interval does not end after it begins, or is not after the one before, or not within the duration.
    """

    duration: float
    words: tuple[Interval, ...]
    states: tuple[Interval, ...] = ()

    def __post_init__(self) -> None:
        for intervals in (self.words, self.states):
            previous = 0.0
            for interval in intervals:
                if not previous <= interval.start < interval.end <= self.duration:
                    raise ParameterError(
                        f"the interval {interval.label!r} from {interval.start} to {interval.end} s must begin after "
                        f"{previous}, last, and end within the duration of {self.duration} s"
                    )
                previous = interval.end


def write_textgrid(alignment: Alignment, path: str | os.PathLike[str]) -> None:
    """Write a TextGrid with the tier "words" and, if there are states, the tier "states".

    Raises
    ------
    GmmAudioError
        If the file cannot be written.
    """
    tiers = {"words": alignment.words} | ({"states": alignment.states} if alignment.states else {})
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        *_praat_times(0.0, alignment.duration),
        "tiers? <exists>",
        f"size = {len(tiers)}",
        "item []:",
    ]
    for number, (name, intervals) in enumerate(tiers.items(), start=1):
        lines += [f"    item [{number}]:", *_praat_tier(name, intervals, alignment.duration)]
    _write(lines, path)


def write_ctm(alignments: Mapping[str, Alignment], path: str | os.PathLike[str], *, channel: str = "1") -> None:
    """Write the words of recordings as a CTM file.

    Parameters
    ----------
    alignments : mapping of str to Alignment
        By the name of the recording.
    path : path-like
    channel : str
        The channel of every line.

    Raises
    ------
    ParameterError
        If a name or word is empty or holds a blank, which the format cannot express, or begins with the sign ``;;`` of
        a comment.
    GmmAudioError
        If the file cannot be written.
    """
    lines = []
    for name, alignment in alignments.items():
        for word in alignment.words:
            if word.label == SILENCE:
                continue
            start = round(word.start, CTM_DECIMALS)
            duration = round(word.end, CTM_DECIMALS) - start  # so that the end is not rounded twice
            numbers = [start, duration] if word.confidence is None else [start, duration, word.confidence]
            texts = [f"{number:.{CTM_DECIMALS}f}" for number in numbers]
            fields = [name, channel, *texts[:2], word.label, *texts[2:]]
            _check_ctm_fields(fields)
            lines.append(" ".join(fields))
    _write(lines, path)


def write_json(alignments: Mapping[str, Alignment], path: str | os.PathLike[str]) -> None:
    """Write alignments as JSON: an object with one member for each recording, what is not known left out.

    Raises
    ------
    GmmAudioError
        If the file cannot be written.
    """
    content = {name: to_json_values(alignment) for name, alignment in alignments.items()}
    _write([json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)], path)


def to_json_values(alignment: Alignment) -> dict[str, Any]:
    """Return an alignment as JSON values; what is None is left out, and so are states where there are none."""
    values: dict[str, Any] = {"duration": alignment.duration, "words": _json_intervals(alignment.words)}
    return values | ({"states": _json_intervals(alignment.states)} if alignment.states else {})


def _json_intervals(intervals: Iterable[Interval]) -> list[dict[str, Any]]:
    """Return intervals as JSON values."""
    return [{name: value for name, value in asdict(part).items() if value is not None} for part in intervals]


def _praat_tier(name: str, intervals: Iterable[Interval], duration: float) -> list[str]:
    """Return the lines of a tier, its gaps filled."""
    filled = _filled(intervals, duration)
    lines = [
        'class = "IntervalTier"',
        f"name = {_praat_text(name)}",
        *_praat_times(0.0, duration),
        f"intervals: size = {len(filled)}",
    ]
    for number, interval in enumerate(filled, start=1):
        inside = [*_praat_times(interval.start, interval.end), f"text = {_praat_text(interval.label)}"]
        lines += [f"intervals [{number}]:", *(f"    {line}" for line in inside)]
    return [f"        {line}" for line in lines]


def _filled(intervals: Iterable[Interval], duration: float) -> list[Interval]:
    """Return intervals that leave no gap from 0 to the duration; pauses have an empty label."""
    filled: list[Interval] = []
    time = 0.0
    for interval in intervals:
        if interval.start > time:
            filled.append(Interval("", time, interval.start))
        filled.append(Interval("" if interval.label == SILENCE else interval.label, interval.start, interval.end))
        time = interval.end
    if time < duration or not filled:
        filled.append(Interval("", time, duration))
    return filled


def _praat_times(start: float, end: float) -> list[str]:
    """Return the two lines of an extent in time."""
    return [f"xmin = {start!r}", f"xmax = {end!r}"]


def _praat_text(text: str) -> str:
    """Return a string as Praat writes it: in double quotes, those inside doubled."""
    return '"' + text.replace('"', '""') + '"'


def _check_ctm_fields(fields: list[str]) -> None:
    """Refuse what would shift the columns of a line or make it a comment."""
    for text in fields:
        if not text or text.split() != [text] or text.startswith(";;"):
            raise ParameterError(
                f"{text!r} cannot stand in a CTM file, whose fields are separated by blanks and whose comments begin "
                "with ';;'; rename it, or write JSON"
            )


def _write(lines: Iterable[str], path: str | os.PathLike[str]) -> None:
    """Write lines of UTF-8; an existing file is replaced once the new one is complete."""
    with replacing(Path(path)) as file:
        file.write("".join(f"{line}\n" for line in lines).encode())
