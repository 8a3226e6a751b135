"""What a recogniser says of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gmmaudio.features import MfccConfig
from gmmaudio.words.formats import Alignment, to_json_values
from gmmaudio.words.hypotheses import Hypothesis, to_alignment


@dataclass(frozen=True)
class Sentence:
    """One of several strings of words that a recording may say.

    Attributes
    ----------
    words : tuple of str
        None if nothing fits, or if it is speech that is none of the words.
    log_likelihood : float
        Of the words and the frames together, in nats; −inf if nothing fits.
    """

    words: tuple[str, ...]
    log_likelihood: float


@dataclass(frozen=True)
class Recognition:
    """What was said, and when.

    Attributes
    ----------
    words : tuple of str
        Empty if nothing was recognised.
    alignment : Alignment
        Words, pauses and garbage with their times in seconds and, where asked for, confidences.
    log_likelihood : float
        Of the best sentence, in nats; −inf if none fits.
    n_frames : int
    sentences : tuple of Sentence
        The best ones with different words, best first.
    """

    words: tuple[str, ...]
    alignment: Alignment
    log_likelihood: float
    n_frames: int
    sentences: tuple[Sentence, ...] = ()

    @property
    def text(self) -> str:
        """The words with blanks between them."""
        return " ".join(self.words)

    @property
    def confidence(self) -> float | None:
        """The lowest confidence of a word; None if there is none."""
        named = [part.confidence for part in self.alignment.words if part.label in self.words]
        known = [value for value in named if value is not None]
        return min(known) if known else None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        aligned = to_json_values(self.alignment)
        return {
            "text": self.text,
            "words": [part for part in aligned["words"] if part["label"] in self.words],
            "duration": self.alignment.duration,
            "log_likelihood": self.log_likelihood if self.words else None,
            "alternatives": [{"text": " ".join(s.words), "log_likelihood": s.log_likelihood} for s in self.sentences],
        }


def as_recognition(
    found: Hypothesis, others: Sequence[Hypothesis], config: MfccConfig, *, n_frames: int, duration: float
) -> Recognition:
    """Return a hypothesis of frames as a result in seconds; each frame stands for the middle of its samples."""
    offset = (config.frame_length - config.frame_shift) / 2
    if found.segments:
        alignment = to_alignment(found, frame_shift=config.frame_shift, offset=offset, duration=duration)
    else:
        alignment = Alignment(duration, ())
    sentences = tuple(Sentence(other.words, other.log_probability) for other in others)
    return Recognition(found.words, alignment, found.log_probability, n_frames, sentences)
