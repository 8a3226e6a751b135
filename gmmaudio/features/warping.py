"""Feature warping: each feature gets the rank that it has in its window, seen as a draw from a normal distribution.

Conventions. The window is that of `gmmaudio.features.windows`. Equal values share their mean rank, so a constant
feature becomes 0.
"""

import dataclasses

import numpy as np
from scipy.special import ndtri

from gmmaudio._typing import Float32Array, IntArray
from gmmaudio.features.windows import WindowConfig, WindowStage


@dataclasses.dataclass(frozen=True)
class FeatureWarpingConfig(WindowConfig):
    """Warp features to a normal distribution over a window of 3 s; see `WindowConfig` for the fields.

    With `lookahead=150` and `min_frames=300` the window is centred, as in Pelecanos & Sridharan 2001.
    """

    def stage(self, n_features: int) -> "FeatureWarping":
        """Return the stage for frames of `n_features` columns."""
        return FeatureWarping(n_features, self)


class FeatureWarping(WindowStage):
    """Warp each feature to a normal distribution over a sliding window.

    x̂_t = Φ⁻¹((r − ½) / n), where r is the rank of x_t among the n frames of its window (Pelecanos & Sridharan 2001,
    "Feature warping for robust speaker verification", eq. 5).

    Parameters
    ----------
    n_features : int
        Number of columns.
    config : FeatureWarpingConfig, optional

    Examples
    --------
    >>> import numpy as np
    >>> warped = FeatureWarping(1).transform(np.array([[5.0], [900.0], [7.0]]))
    >>> warped[:, 0].round(2)
    array([-0.97,  0.97,  0.  ], dtype=float32)
    """

    def __init__(self, n_features: int, config: FeatureWarpingConfig | None = None) -> None:
        super().__init__(n_features, config or FeatureWarpingConfig())

    @property
    def _n_remembered(self) -> int:
        return self.config.window

    def _remember(self, frames: Float32Array) -> Float32Array:
        return frames

    def _normalize(self, frames: Float32Array, counts: IntArray, ends: IntArray) -> Float32Array:
        doubled_ranks = np.empty(frames.shape, np.float64)
        for index, (frame, count, end) in enumerate(zip(frames, counts, ends, strict=True)):
            window = self._state.memory[end - count + 1 : end + 1]
            n_below, n_up_to = (window < frame).sum(axis=0), (window <= frame).sum(axis=0)
            doubled_ranks[index] = n_below + n_up_to + 1
        return np.asarray(ndtri((doubled_ranks - 1) / (2 * counts[:, None])), dtype=np.float32)
