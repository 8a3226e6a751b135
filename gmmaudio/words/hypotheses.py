"""What recognition answers: segments of frames with their words.

Conventions. Frames are numbered from 0; a segment ends before `end_frame`. Log-probabilities are natural logarithms.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.words.acceptor import GARBAGE, SILENCE
from gmmaudio.words.formats import Alignment, Interval
from gmmaudio.words.network import WordNetwork


@dataclass(frozen=True)
class StateSpan:
    """The frames that a word spends in one of its states.

    Attributes
    ----------
    position : int
        Number of the state in the model of the word.
    start_frame, end_frame : int
    """

    position: int
    start_frame: int
    end_frame: int


@dataclass(frozen=True)
class Segment:
    """A word, a pause or garbage, and its frames.

    Attributes
    ----------
    label : str
    start_frame, end_frame : int
    log_likelihood : float
        What the segment adds to the log-probability of the path: its frames, its transitions, and the step to what
        follows.
    confidence : float or None
        Probability that the label is right, where it was asked for.
    states : tuple of StateSpan
        Empty where only words were asked for.
    """

    label: str
    start_frame: int
    end_frame: int
    log_likelihood: float
    confidence: float | None = None
    states: tuple[StateSpan, ...] = ()

    @property
    def is_word(self) -> bool:
        """Whether this is neither a pause nor garbage."""
        return self.label not in (SILENCE, GARBAGE)


@dataclass(frozen=True)
class Hypothesis:
    """What was said, according to one path through the network.

    Attributes
    ----------
    segments : tuple of Segment
        Words, pauses and garbage, without gaps; none at all if no sentence fits, for instance into so few frames.
    log_probability : float
        Of the path and the frames; −inf if no sentence fits. The segments' shares add up to it.
    """

    segments: tuple[Segment, ...]
    log_probability: float

    @property
    def words(self) -> tuple[str, ...]:
        """The words, without pauses and garbage."""
        return tuple(segment.label for segment in self.segments if segment.is_word)

    @property
    def n_frames(self) -> int:
        """Number of frames that the segments cover."""
        return self.segments[-1].end_frame if self.segments else 0


NOTHING = Hypothesis((), -math.inf)
"""No sentence fits."""


def path_segments(
    network: WordNetwork, path: IntArray, path_log_likelihoods: Float64Array, *, is_complete: bool
) -> tuple[Segment, ...]:
    """Return the segments of a path of states.

    Parameters
    ----------
    network : WordNetwork
    path : int array, shape (n_frames,)
        States of the network, from its start.
    path_log_likelihoods : array, shape (n_frames,)
        Emission log-likelihood of each frame in its state.
    is_complete : bool
        Whether the path ends here, so that the probability of ending counts.
    """
    with np.errstate(divide="ignore"):
        steps = np.log(network.transition_matrix[path[:-1], path[1:]]) if len(path) > 1 else np.empty(0)
        start, end = np.log(network.start_probs[path[0]]), np.log(network.end_probs[path[-1]])
    shares = path_log_likelihoods.copy()
    shares[0] += start
    shares[:-1] += steps
    shares[-1] += end if is_complete else 0.0
    enters = np.zeros(len(path), dtype=bool)
    enters[1:] = network.is_entry[path[:-1], path[1:]] if len(path) > 1 else False
    bounds = [0, *np.flatnonzero(enters), len(path)]
    return tuple(
        Segment(
            network.labels[network.places[path[first]]],
            int(first),
            int(last),
            float(shares[first:last].sum()),
            states=tuple(_state_spans(network.positions[path[first:last]], int(first))),
        )
        for first, last in pairwise(bounds)
    )


def to_alignment(
    hypothesis: Hypothesis,
    *,
    frame_shift: float,
    offset: float = 0.0,
    duration: float | None = None,
    states: bool = False,
) -> Alignment:
    """Return a hypothesis with times in seconds: frame k lasts from ``offset + k · frame_shift`` to the next one.

    The first segment begins at 0 and the last one ends at the duration, where the frames do not reach so far.

    Parameters
    ----------
    hypothesis : Hypothesis
    frame_shift : float
        Seconds from frame to frame.
    offset : float
        Beginning of frame 0 in seconds; half of what a frame is longer than the shift puts it into the middle.
    duration : float, optional
        Of the recording, in seconds; up to the end of the last frame if not given.
    states : bool
        Whether the states of the words are wanted too.

    Raises
    ------
    ParameterError
        If `frame_shift` is not positive, or frames begin after the end of the recording.
    """
    if not frame_shift > 0.0:
        raise ParameterError(f"frame_shift is {frame_shift} but must be a positive number of seconds")
    n_frames = hypothesis.n_frames
    duration = offset + n_frames * frame_shift if duration is None else duration

    def time(frame: int) -> float:
        """Return when a frame begins."""
        if frame in (0, n_frames):
            return 0.0 if frame == 0 else duration
        return min(offset + frame * frame_shift, duration)

    words = tuple(
        Interval(part.label, time(part.start_frame), time(part.end_frame), part.log_likelihood, part.confidence)
        for part in hypothesis.segments
    )
    spans = [span for part in hypothesis.segments if part.is_word for span in part.states] if states else []
    return Alignment(
        duration,
        words,
        tuple(Interval(str(span.position), time(span.start_frame), time(span.end_frame)) for span in spans),
    )


def with_confidences(hypothesis: Hypothesis, confidences: list[float]) -> Hypothesis:
    """Return the hypothesis with one confidence for each segment."""
    segments = zip(hypothesis.segments, confidences, strict=True)
    return replace(hypothesis, segments=tuple(replace(part, confidence=value) for part, value in segments))


def _state_spans(positions: IntArray, first_frame: int) -> Iterator[StateSpan]:
    """Yield runs of the same position."""
    bounds = [0, *(np.flatnonzero(np.diff(positions)) + 1), len(positions)]
    for first, last in pairwise(bounds):
        yield StateSpan(int(positions[first]), first_frame + int(first), first_frame + int(last))
