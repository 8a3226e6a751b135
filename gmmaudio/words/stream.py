"""Recognition of a voice that is still speaking."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import IntArray
from gmmaudio.audio import Resampler, as_signal
from gmmaudio.features import FeaturePipeline
from gmmaudio.stage import Stage
from gmmaudio.words.adaptation import FrameTransform
from gmmaudio.words.network import WordNetwork
from gmmaudio.words.results import Recognition, as_recognition
from gmmaudio.words.streaming import WordStream


@dataclass
class _StreamState:
    """Samples and frames heard so far, and whether the recording has ended, so that its result is final."""

    n_samples: int = 0
    n_frames: int = 0
    ended: bool = False


class RecognitionStream(Stage):
    """Samples in, states of the word network out; what has been said so far is there at any time.

    Made by `WordRecognizer.stream`. After `flush`, the words and times of `result` are those that
    `WordRecognizer.recognize` finds in the whole recording, however it was cut; the next `push` begins a new one.

    Parameters
    ----------
    pipeline : FeaturePipeline
    transform : FrameTransform or None
    network : WordNetwork
    sample_rate : int
        Of the samples, in Hz.
    """

    _state: _StreamState

    def __init__(
        self, pipeline: FeaturePipeline, transform: FrameTransform | None, network: WordNetwork, *, sample_rate: int
    ) -> None:
        self._resampler = Resampler(sample_rate, pipeline.config.sample_rate)
        self._pipeline = pipeline.fresh()
        self._transform = transform
        self._words = WordStream(network)
        self._state = _StreamState()

    @property
    def lookahead(self) -> int:
        """Samples, at the rate of the input, between a sound and its effect on the result, at most."""
        ratio = self._resampler.source_rate / self._resampler.target_rate
        return self._resampler.lookahead + math.ceil(self._pipeline.lookahead * ratio)

    @property
    def result(self) -> Recognition:
        """What has been said so far; the last word may not be complete before the end."""
        config = self._pipeline.config.mfcc
        heard = self._state.n_samples / self._resampler.source_rate
        reached = self._state.n_frames * config.frame_shift + config.frame_length
        duration = heard if self._state.ended else min(heard, reached)
        return as_recognition(self._words.result, (), config, n_frames=self._state.n_frames, duration=duration)

    def push(self, rows: npt.ArrayLike) -> IntArray:
        """Take samples, shape (n_samples,); return the states of the network that have become final."""
        if self._state.ended:
            self.reset()
        signal = as_signal(rows)
        self._state.n_samples += len(signal)
        return self._push_frames(self._pipeline.push(self._resampler.push(signal)))

    def flush(self) -> IntArray:
        """End the recording; its `result` stays until the next one begins."""
        if self._state.ended:  # a recording without samples
            self.reset()
        rest = self._pipeline.push(self._resampler.flush())
        states = self._push_frames(np.concatenate([rest, self._pipeline.flush()]))
        self._state.ended = True
        return np.concatenate([states, self._words.flush()])

    def reset(self) -> None:
        """Begin a new recording."""
        self._state = _StreamState()
        for part in self._parts().values():
            part.reset()

    def _push_frames(self, frames: npt.NDArray[np.float32]) -> IntArray:
        """Pass frames on to the search."""
        self._state.n_frames += len(frames)
        return self._words.push(frames if self._transform is None else self._transform.apply(frames))

    def _parts(self) -> Mapping[str, Stage]:
        """Return the stages in the order in which samples pass them."""
        return {"resampler": self._resampler, "pipeline": self._pipeline, "words": self._words}
