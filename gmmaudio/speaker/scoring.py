"""Log-likelihood ratios of speakers: the one way in which decisions, live decisions and calibration score.

With a background of `MIN_COMPONENTS` or more, a speaker's model is evaluated in the `DEFAULT_N_TOP` components that are
best for the frame, and small backgrounds are scored in full. The rule looks at the background alone: a frame has the
same ratio, to the bit, whether one speaker is enrolled or a thousand, in a stream, in a batch and in the calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array
from gmmaudio.gmm.density import MIN_COMPONENTS
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.scoring.adapted_models import AdaptedModels
from gmmaudio.gmm.scoring.ratios import bears_fast_scores, frame_log_likelihood_ratios
from gmmaudio.gmm.scoring.trials import DEFAULT_N_TOP
from gmmaudio.stage import Stage


def arranged(models: Sequence[GmmParams], ubm: GmmParams) -> Sequence[GmmParams]:
    """Return models that will be scored more than once in the form that is fastest to score."""
    return AdaptedModels(models, ubm) if bears_fast_scores(models, ubm) else models


def frame_llrs(models: Sequence[GmmParams], ubm: GmmParams, frames: AnyArray) -> Float64Array:
    """Return the ratio of each frame and speaker's model, shape (n_frames, n_models)."""
    n_top = DEFAULT_N_TOP if ubm.n_components >= MIN_COMPONENTS else None
    return frame_log_likelihood_ratios(models, ubm, frames, n_top=n_top)


@dataclass
class _Sums:
    """What a scorer remembers: the sum of the ratios of all frames for each model, and the number of frames."""

    llr_sums: Float64Array
    n_frames: int


class RecordingScorer(Stage):
    """Frames in, mean log-likelihood ratio against the background model out, for many models at once.

    The sums are made frame after frame in float64, so they do not depend on how the recording is cut.

    Parameters
    ----------
    models : sequence of GmmParams
        Best `arranged`, if there will be other recordings.
    ubm : GmmParams
    """

    _state: _Sums

    def __init__(self, models: Sequence[GmmParams], ubm: GmmParams) -> None:
        self._models = models
        self._ubm = ubm
        self.reset()

    @property
    def lookahead(self) -> int:
        """None: each frame is scored as it comes."""
        return 0

    @property
    def n_frames(self) -> int:
        """Number of frames seen."""
        return self._state.n_frames

    @property
    def llrs(self) -> Float64Array:
        """Mean ratio of the frames seen, shape (n_models,); zeros before the first."""
        return self._state.llr_sums / max(self._state.n_frames, 1)

    def push(self, rows: AnyArray) -> Float64Array:
        """Take frames, shape (n_frames, n_features); return the means after each of them, (n_frames, n_models)."""
        ratios = frame_llrs(self._models, self._ubm, rows)
        # cumsum adds one row after the other; a plain sum would group them by the length of the block.
        sums = np.cumsum(np.vstack([self._state.llr_sums, ratios]), axis=0)
        counts = self._state.n_frames + np.arange(1, len(ratios) + 1)
        self._state = _Sums(sums[-1].copy(), self._state.n_frames + len(ratios))
        return sums[1:] / counts[:, np.newaxis]

    def flush(self) -> Float64Array:
        """End the recording."""
        self.reset()
        return np.empty((0, len(self._models)))

    def reset(self) -> None:
        """Forget the recording."""
        self._state = _Sums(np.zeros(len(self._models)), 0)
