"""CMVN over a window that slides along the recording.

Conventions. Those of `gmmaudio.features.normalization` and, for the window, of `gmmaudio.features.windows`.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array, FloatArray, IntArray
from gmmaudio.features.config import Config, check_range
from gmmaudio.features.normalization import (
    VARIANCE_FLOOR,
    check_n_features,
    check_statistics,
    frame_moments,
    normalized,
)
from gmmaudio.features.windows import LONGEST_WINDOW, SlidingMoments, WindowConfig, WindowStage
from gmmaudio.stage import Stage


@dataclasses.dataclass(frozen=True)
class SlidingCmvnConfig(WindowConfig):
    """Normalize by the mean and variance of a window; see `gmmaudio.features.windows`.

    Attributes
    ----------
    window, lookahead, min_frames : int
        See `WindowConfig`.
    normalize_variance : bool, default True
        False subtracts the mean only.
    """

    normalize_variance: bool = True

    def stage(self, n_features: int) -> "SlidingCmvn":
        """Return the stage for frames of `n_features` columns."""
        return SlidingCmvn(n_features, self)


class SlidingCmvn(WindowStage):
    """Normalize each frame by the window around or before it.

    Parameters
    ----------
    n_features : int
        Number of columns.
    config : SlidingCmvnConfig, optional
    """

    config: SlidingCmvnConfig

    def __init__(self, n_features: int, config: SlidingCmvnConfig | None = None) -> None:
        config = config or SlidingCmvnConfig()
        self._moments = SlidingMoments(n_features, config.window)
        super().__init__(n_features, config)

    def _parts(self) -> dict[str, Stage]:
        return {"moments": self._moments}

    def reset(self) -> None:
        """Forget the stream."""
        self._moments.reset()
        super().reset()

    @property
    def _n_remembered(self) -> int:
        return 1

    def _remember(self, frames: Float32Array) -> Float64Array:
        return self._moments.push(frames)

    def _normalize(self, frames: Float32Array, counts: IntArray, ends: IntArray) -> Float32Array:
        first, second = np.hsplit(self._state.memory[ends], 2)
        return self._by_moments(frames, counts[:, None].astype(np.float64), first, second)

    def _by_moments(
        self, frames: Float32Array, counts: Float64Array, first: Float64Array, second: Float64Array
    ) -> Float32Array:
        """Return frames normalized by sums of x − reference and its square over `counts` frames."""
        means = first / counts
        variances = second / counts - np.square(means) if self.config.normalize_variance else None
        return normalized(frames, means + self._moments.reference, variances)


@dataclasses.dataclass(frozen=True)
class OnlineCmvnConfig(Config):
    """Normalize by a causal window that starts from given statistics, as Kaldi's OnlineCmvn does.

    Attributes
    ----------
    means, variances : tuple of float
        Statistics of earlier recordings, one number for each feature.
    window : int, default 600
        Frames of the past; 6 s.
    prior_frames : int, default 200
        How many frames the given statistics count for while the window is not full; 2 s.
    normalize_variance : bool, default True
        False subtracts the mean only.
    """

    means: tuple[float, ...]
    variances: tuple[float, ...]
    window: int = 600
    prior_frames: int = 200
    normalize_variance: bool = True

    @classmethod
    def from_frames(cls, recordings: Iterable[FloatArray], **options: Any) -> Self:
        """Return the configuration with the statistics of recordings, each of shape (n_frames, n_features).

        Raises
        ------
        GmmAudioError
            If there are no frames.
        """
        means, variances = frame_moments(recordings)
        return cls(tuple(means), tuple(np.maximum(variances, VARIANCE_FLOOR)), **options)

    def stage(self, n_features: int) -> "OnlineCmvn":
        """Return the stage for frames of `n_features` columns."""
        return OnlineCmvn(n_features, self)

    def _check_values(self) -> None:
        check_statistics(self.means, self.variances)
        check_range("window", self.window, 1, LONGEST_WINDOW)
        check_range("prior_frames", self.prior_frames, 1, LONGEST_WINDOW)


class OnlineCmvn(SlidingCmvn):
    """Normalize each frame by the window before it and, as long as that is not full, by given statistics.

    Parameters
    ----------
    n_features : int
        Number of columns.
    config : OnlineCmvnConfig

    Raises
    ------
    ParameterError
        If the statistics have another number of features.
    """

    def __init__(self, n_features: int, config: OnlineCmvnConfig) -> None:
        check_n_features(n_features, config.means)
        self._prior = config
        self._means, self._variances = np.array(config.means), np.array(config.variances)
        window = SlidingCmvnConfig(config.window, 0, 1, config.normalize_variance)
        super().__init__(n_features, window)

    def _by_moments(
        self, frames: Float32Array, counts: Float64Array, first: Float64Array, second: Float64Array
    ) -> Float32Array:
        weights = np.minimum(self._prior.prior_frames, self._prior.window - counts)
        offset = self._means - self._moments.reference
        first = first + weights * offset
        second = second + weights * (self._variances + np.square(offset))
        return super()._by_moments(frames, counts + weights, first, second)
