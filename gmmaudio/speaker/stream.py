"""Identification of a voice that is still speaking."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.audio import Resampler, as_signal
from gmmaudio.features import FeaturePipeline
from gmmaudio.speaker.decision import Judge
from gmmaudio.speaker.results import Identification
from gmmaudio.stage import Stage


class IdentificationStream(Stage):
    """Samples in, log-likelihood ratios out; the decision so far is there at any time.

    Made by `SpeakerIdentifier.stream`. After `flush`, `result` is exactly what `SpeakerIdentifier.identify` says of the
    whole recording, however it was cut.

    Parameters
    ----------
    pipeline : FeaturePipeline
    judge : Judge
    sample_rate : int, optional
        Of the samples, in Hz; by default that of the pipeline.
    false_accept_rate : float
    """

    def __init__(
        self, pipeline: FeaturePipeline, judge: Judge, *, sample_rate: int | None, false_accept_rate: float
    ) -> None:
        pipeline_rate = pipeline.config.sample_rate
        self._resampler = Resampler(sample_rate or pipeline_rate, pipeline_rate)
        self._pipeline = pipeline.fresh()
        self._judge = judge
        self._scorer = judge.scorer()
        self._false_accept_rate = false_accept_rate

    @property
    def lookahead(self) -> int:
        """Samples between a sound and its effect on the result, at most; those of the resampler left out."""
        return self._resampler.lookahead + self._pipeline.lookahead

    @property
    def result(self) -> Identification:
        """The decision on what has been heard so far."""
        return self._judge.identify(self._scorer, self._false_accept_rate)

    def push(self, rows: npt.ArrayLike) -> Float64Array:
        """Take samples, shape (n_samples,); return the mean ratios after each new frame of speech."""
        return self._scorer.push(self._pipeline.push(self._resampler.push(as_signal(rows))))

    def flush(self) -> Float64Array:
        """End the recording; `result` stays until the next one begins with `reset`."""
        rest = self._pipeline.push(self._resampler.flush())
        return self._scorer.push(np.concatenate([rest, self._pipeline.flush()]))

    def reset(self) -> None:
        """Begin a new recording."""
        for part in self._parts().values():
            part.reset()

    def _parts(self) -> Mapping[str, Stage]:
        """Return the stages in the order in which samples pass them."""
        return {"resampler": self._resampler, "pipeline": self._pipeline, "scorer": self._scorer}
