"""Identification of a voice that is still speaking."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.audio import Resampler, as_signal
from gmmaudio.features import FeaturePipeline
from gmmaudio.speaker.decision import Judge
from gmmaudio.speaker.results import Identification
from gmmaudio.stage import Stage


@dataclass
class _StreamState:
    """Whether the recording has ended, so that its result is final."""

    ended: bool


class IdentificationStream(Stage):
    """Samples in, log-likelihood ratios out; the decision so far is there at any time.

    Made by `SpeakerIdentifier.stream`. After `flush`, `result` is exactly what `SpeakerIdentifier.identify` says of the
    whole recording, however it was cut; the next `push` begins a new recording.

    Parameters
    ----------
    pipeline : FeaturePipeline
    judge : Judge
    sample_rate : int
        Of the samples, in Hz.
    false_accept_rate : float
    """

    _state: _StreamState

    def __init__(self, pipeline: FeaturePipeline, judge: Judge, *, sample_rate: int, false_accept_rate: float) -> None:
        self._resampler = Resampler(sample_rate, pipeline.config.sample_rate)
        self._pipeline = pipeline.fresh()
        self._judge = judge
        self._scorer = judge.scorer()
        self._false_accept_rate = false_accept_rate
        self._state = _StreamState(ended=False)

    @property
    def lookahead(self) -> int:
        """Samples, at the rate of the input, between a sound and its effect on the result, at most."""
        ratio = self._resampler.source_rate / self._resampler.target_rate
        return self._resampler.lookahead + math.ceil(self._pipeline.lookahead * ratio)

    @property
    def result(self) -> Identification:
        """The decision on what has been heard so far."""
        return self._judge.identify(self._scorer, self._false_accept_rate)

    def push(self, rows: npt.ArrayLike) -> Float64Array:
        """Take samples, shape (n_samples,); return the mean ratios after each new frame of speech."""
        if self._state.ended:
            self.reset()
        return self._scorer.push(self._pipeline.push(self._resampler.push(as_signal(rows))))

    def flush(self) -> Float64Array:
        """End the recording; its `result` stays until the next one begins."""
        if self._state.ended:  # a recording without samples
            self.reset()
        rest = self._pipeline.push(self._resampler.flush())
        self._state = _StreamState(ended=True)
        return self._scorer.push(np.concatenate([rest, self._pipeline.flush()]))

    def reset(self) -> None:
        """Begin a new recording."""
        self._state = _StreamState(ended=False)
        for part in self._parts().values():
            part.reset()

    def _parts(self) -> Mapping[str, Stage]:
        """Return the stages in the order in which samples pass them."""
        return {"resampler": self._resampler, "pipeline": self._pipeline, "scorer": self._scorer}
