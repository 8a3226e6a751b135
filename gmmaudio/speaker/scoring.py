"""Log-likelihood ratios of a recording that is still going on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.scoring import frame_log_likelihood_ratios
from gmmaudio.stage import Stage


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
    ubm : GmmParams
    """

    _state: _Sums

    def __init__(self, models: Sequence[GmmParams], ubm: GmmParams) -> None:
        self._models = list(models)
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
        ratios = frame_log_likelihood_ratios(self._models, self._ubm, rows)
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
