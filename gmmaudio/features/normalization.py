"""Cepstral mean and variance normalization (CMVN): the channel and the level taken out of the features.

Conventions. Statistics are float64, variances are those of the population (divided by the number of frames), and a
variance below `VARIANCE_FLOOR` is taken for a constant feature. Every configuration has `stage(n_features)`, which
makes the stage that applies it. Which one: `utterance` for finished recordings, `sliding` when the channel changes or
the stream is live, `online` for live streams whose first word counts (it needs statistics of earlier recordings),
`global` when all recordings come from one channel; `gmmaudio.features.warping` when noise bends the distributions.
"""

import dataclasses
from collections.abc import Iterable
from typing import ClassVar, Self

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array, Float64Array, FloatArray
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features.config import Config
from gmmaudio.features.rows import as_frames
from gmmaudio.stage import Stage

VARIANCE_FLOOR = 1e-10


@dataclasses.dataclass(frozen=True)
class UtteranceCmvnConfig(Config):
    """Normalize by the mean and variance of the whole recording; cannot be streamed.

    Attributes
    ----------
    normalize_variance : bool, default True
        False subtracts the mean only.
    """

    normalize_variance: bool = True

    def stage(self, n_features: int) -> "UtteranceCmvn":
        """Return the stage for frames of `n_features` columns."""
        return UtteranceCmvn(n_features, self)


class UtteranceCmvn(Stage):
    """Normalize a whole recording to mean 0 and variance 1.

    Parameters
    ----------
    n_features : int
        Number of columns.
    config : UtteranceCmvnConfig, optional

    Examples
    --------
    >>> import numpy as np
    >>> UtteranceCmvn(1).transform(np.array([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """

    streamable: ClassVar[bool] = False

    def __init__(self, n_features: int, config: UtteranceCmvnConfig | None = None) -> None:
        self.n_features = n_features
        self.config = config or UtteranceCmvnConfig()

    @property
    def lookahead(self) -> int:
        """Not bounded.

        Raises
        ------
        ParameterError
            Always.
        """
        raise self._refusal()

    def reset(self) -> None:
        """Do nothing, as there is no stream."""

    def push(self, rows: AnyArray) -> Float32Array:
        """Refuse: the mean of the recording is known at its end only.

        Raises
        ------
        ParameterError
            Always.
        """
        raise self._refusal()

    def flush(self) -> Float32Array:
        """Refuse as `push` does.

        Raises
        ------
        ParameterError
            Always.
        """
        raise self._refusal()

    def transform(self, rows: AnyArray) -> Float32Array:
        """Return the normalized frames of a whole recording, (n_frames, n_features)."""
        frames = as_frames(rows, self.n_features)
        if len(frames) == 0:
            return frames
        means, variances = frame_moments([frames])
        return normalized(frames, means, variances if self.config.normalize_variance else None)

    @staticmethod
    def _refusal() -> ParameterError:
        """Return the error that says what to use instead."""
        return ParameterError(
            "utterance CMVN needs the whole recording and cannot be streamed; call transform with all of it, "
            "or use SlidingCmvnConfig, OnlineCmvnConfig or GlobalCmvnConfig for a stream"
        )


@dataclasses.dataclass(frozen=True)
class GlobalCmvnConfig(Config):
    """Normalize by given statistics, the same for every recording.

    Attributes
    ----------
    means : tuple of float
        One for each feature.
    variances : tuple of float or None
        One for each feature, positive; None subtracts the means only.
    """

    means: tuple[float, ...]
    variances: tuple[float, ...] | None

    @classmethod
    def from_frames(cls, recordings: Iterable[FloatArray], *, normalize_variance: bool = True) -> Self:
        """Return the configuration with the statistics of recordings, each of shape (n_frames, n_features).

        Raises
        ------
        GmmAudioError
            If there are no frames.

        Examples
        --------
        >>> import numpy as np
        >>> GlobalCmvnConfig.from_frames([np.array([[1.0]]), np.array([[3.0], [5.0]])]).means
        (3.0,)
        """
        means, variances = frame_moments(recordings)
        return cls(tuple(means), tuple(np.maximum(variances, VARIANCE_FLOOR)) if normalize_variance else None)

    def stage(self, n_features: int) -> "GlobalCmvn":
        """Return the stage for frames of `n_features` columns."""
        return GlobalCmvn(n_features, self)

    def _check_values(self) -> None:
        check_statistics(self.means, self.variances)


class GlobalCmvn(Stage):
    """Normalize by given statistics.

    Parameters
    ----------
    n_features : int
        Number of columns.
    config : GlobalCmvnConfig

    Raises
    ------
    ParameterError
        If the statistics have another number of features.
    """

    def __init__(self, n_features: int, config: GlobalCmvnConfig) -> None:
        check_n_features(n_features, config.means)
        self.n_features = n_features
        self.config = config
        self._means = np.array(config.means)
        self._variances = None if config.variances is None else np.array(config.variances)

    @property
    def lookahead(self) -> int:
        """Frames: none."""
        return 0

    def reset(self) -> None:
        """Do nothing: no frame depends on another."""

    def push(self, rows: AnyArray) -> Float32Array:
        """Return the frames normalized."""
        return normalized(as_frames(rows, self.n_features), self._means, self._variances)

    def flush(self) -> Float32Array:
        """Return no frames, as none are owed."""
        return np.zeros((0, self.n_features), np.float32)


def frame_moments(recordings: Iterable[FloatArray]) -> tuple[Float64Array, Float64Array]:
    """Return the means and variances, (n_features,) each, of all frames of some recordings.

    Recordings are joined by Chan, Golub & LeVeque 1979, eq. 2.1, so that a large offset costs no digits.

    Raises
    ------
    GmmAudioError
        If there are no frames.
    """
    n_frames, means, squares = 0, np.zeros(0), np.zeros(0)
    for recording in recordings:
        if len(recording) == 0:
            continue
        frames = np.asarray(recording, dtype=np.float64)
        own_means = frames.mean(axis=0)
        step = own_means - means if n_frames else np.zeros_like(own_means)
        own_squares = np.square(frames - own_means).sum(axis=0)
        squares = own_squares + (
            squares + np.square(step) * (n_frames * len(frames) / (n_frames + len(frames))) if n_frames else 0.0
        )
        means = own_means if n_frames == 0 else means + step * (len(frames) / (n_frames + len(frames)))
        n_frames += len(frames)
    if n_frames == 0:
        raise GmmAudioError("no frames were given; at least one is needed for a mean")
    return means, squares / n_frames


def normalized(frames: Float32Array, means: Float64Array, variances: Float64Array | None) -> Float32Array:
    """Return (x − mean) / standard deviation, worked out in float64."""
    centred = frames - means
    if variances is not None:
        centred /= np.sqrt(np.maximum(variances, VARIANCE_FLOOR))
    return centred.astype(np.float32)


def check_statistics(means: tuple[float, ...], variances: tuple[float, ...] | None) -> None:
    """Raise ParameterError if there are no means, or variances that do not fit them or are not positive."""
    if not means:
        raise ParameterError("means is empty; one number for each feature is needed")
    if variances is None:
        return
    if len(variances) != len(means):
        raise ParameterError(f"there are {len(means)} means but {len(variances)} variances; one each is needed")
    if min(variances) <= 0:
        raise ParameterError(f"the smallest of the variances is {min(variances)}; all must be positive")


def check_n_features(n_features: int, means: tuple[float, ...]) -> None:
    """Raise ParameterError if statistics were made for another number of features."""
    if len(means) != n_features:
        raise ParameterError(
            f"the statistics are those of {len(means)} features but the frames have {n_features}; "
            "make them from frames of the same front end (were deltas left out or added?)"
        )
