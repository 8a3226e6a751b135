"""The front end as one stage: samples in, the frames that a model sees out.

Conventions. The order is MFCC, deltas, selection of speech, normalization of the speech that is left. A
`PipelineConfig` says all of it; it is stored in every model and compared before a model is used.
"""

import dataclasses
from typing import Any

import numpy as np

from gmmaudio._typing import AnyArray, BoolArray, Float32Array
from gmmaudio.errors import ParameterError
from gmmaudio.features.config import Config, check_names
from gmmaudio.features.deltas import Deltas, DeltasConfig
from gmmaudio.features.mfcc import MFCC
from gmmaudio.features.mfcc_config import MfccConfig
from gmmaudio.features.normalization import GlobalCmvnConfig, UtteranceCmvnConfig
from gmmaudio.features.sliding_normalization import OnlineCmvnConfig, SlidingCmvnConfig
from gmmaudio.features.voice_activity import EnergyVad, EnergyVadConfig
from gmmaudio.features.warping import FeatureWarpingConfig
from gmmaudio.stage import Stage

NormalizationConfig = (
    UtteranceCmvnConfig | GlobalCmvnConfig | SlidingCmvnConfig | OnlineCmvnConfig | FeatureWarpingConfig
)


@dataclasses.dataclass(frozen=True)
class PipelineConfig(Config):
    """Configuration of `FeaturePipeline`.

    Attributes
    ----------
    mfcc : MfccConfig
    deltas : DeltasConfig or None, default DeltasConfig()
    vad : EnergyVadConfig or None, default None
        None keeps every frame.
    normalization : one of the configurations of `gmmaudio.features.normalization`, or None, default None

    Examples
    --------
    >>> config = PipelineConfig(MfccConfig(sample_rate=8000), deltas=None)
    >>> PipelineConfig.from_dict(config.to_dict()) == config
    True
    >>> config.difference(PipelineConfig())
    ['mfcc.sample_rate: 8000 here, 16000 there', 'deltas: none here, DeltasConfig there', ...]
    """

    mfcc: MfccConfig = dataclasses.field(default_factory=MfccConfig)
    deltas: DeltasConfig | None = dataclasses.field(default_factory=DeltasConfig)
    vad: EnergyVadConfig | None = None
    normalization: NormalizationConfig | None = None

    @property
    def sample_rate(self) -> int:
        """Sample rate in Hz of the signals that the pipeline takes."""
        return self.mfcc.sample_rate

    @property
    def n_features(self) -> int:
        """Number of columns of the frames that the pipeline makes."""
        return self.mfcc.n_features * (1 + (self.deltas.order if self.deltas else 0))


@dataclasses.dataclass
class _PipelineState:
    """Frames and decisions of which the other one has not come yet."""

    frames: Float32Array
    is_speech: BoolArray


class FeaturePipeline(Stage):
    """Turn a stream of samples into the frames that a model sees.

    Parameters
    ----------
    config : PipelineConfig, optional
        The whole configuration; without it, the `kaldi` MFCC at `sample_rate` and the parts given by name.
    sample_rate : int
        Hz.
    **parts
        `mfcc`, `deltas`, `vad`, `normalization`: fields of `PipelineConfig`.

    Raises
    ------
    ParameterError
        If a part is unknown or cannot be used, or fits neither the others nor the sample rate.

    Examples
    --------
    >>> import numpy as np
    >>> pipeline = FeaturePipeline(sample_rate=8000)
    >>> pipeline.transform(np.zeros(8000)).shape
    (98, 26)

    Normalization by the statistics of recordings from the same channel:

    >>> noise = np.random.default_rng(0).normal(size=8000)
    >>> channel = GlobalCmvnConfig.from_frames([pipeline.transform(noise)])
    >>> float(abs(FeaturePipeline(sample_rate=8000, normalization=channel).transform(noise).mean()).round(3))
    0.0
    """

    _state: _PipelineState

    def __init__(self, config: PipelineConfig | None = None, *, sample_rate: int | None = None, **parts: Any) -> None:
        self.config = config = _joined_config(config, sample_rate, parts)
        self._mfcc = MFCC.from_config(config.mfcc)
        self._deltas = Deltas(config.mfcc.n_features, config.deltas) if config.deltas else None
        self._vad = EnergyVad(config.vad) if config.vad else None
        self._normalization = config.normalization.stage(config.n_features) if config.normalization else None
        self.reset()

    @property
    def n_features(self) -> int:
        """Number of columns of the frames."""
        return self.config.n_features

    @property
    def frame_shift(self) -> float:
        """Seconds from one frame to the next, before the selection of speech."""
        return self.config.mfcc.frame_shift_samples / self.config.sample_rate

    @property
    def streamable(self) -> bool:  # type: ignore[override]
        """False if the normalization needs the whole recording; `transform` works all the same."""
        return self._normalization is None or self._normalization.streamable

    @property
    def lookahead(self) -> int:
        """Samples; the look-ahead of a normalization after a VAD counts as if all frames were speech."""
        frames = max(self._deltas.lookahead if self._deltas else 0, self._vad.lookahead if self._vad else 0)
        frames += self._normalization.lookahead if self._normalization else 0
        return self._mfcc.lookahead + frames * self.config.mfcc.frame_shift_samples

    def _parts(self) -> dict[str, Stage]:
        parts = {"mfcc": self._mfcc, "deltas": self._deltas, "vad": self._vad, "normalization": self._normalization}
        return {name: stage for name, stage in parts.items() if stage is not None}

    def reset(self) -> None:
        """Forget the stream."""
        self._state = _PipelineState(np.zeros((0, self.n_features), np.float32), np.zeros(0, np.bool_))
        for stage in self._parts().values():
            stage.reset()

    def push(self, rows: AnyArray) -> Float32Array:
        """Take samples and return the frames that are final.

        Raises
        ------
        ParameterError
            If the normalization needs the whole recording.
        """
        if self._normalization is None:
            return self._push_speech(rows)
        if not self._normalization.streamable:
            return self._normalization.push(rows)  # raises, with the stage's advice
        return self._normalization.push(self._push_speech(rows))

    def flush(self) -> Float32Array:
        """End the stream and return the last frames."""
        frames = self._flush_speech()
        if self._normalization is not None:
            frames = np.concatenate([self._normalization.push(frames), self._normalization.flush()])
        self.reset()
        return frames

    def transform(self, rows: AnyArray) -> Float32Array:
        """Return the frames of a whole recording, (n_frames, n_features); the pipeline's own stream is not touched."""
        fresh = self.fresh()
        frames = np.concatenate([fresh._push_speech(rows), fresh._flush_speech()])
        return frames if fresh._normalization is None else fresh._normalization.transform(frames)

    def _push_speech(self, samples: AnyArray) -> Float32Array:
        """Return the frames of speech that are final, before normalization."""
        frames, levels = self._mfcc.push_with_level(samples)
        if self._deltas is not None:
            frames = self._deltas.push(frames)
        return frames if self._vad is None else self._select(frames, self._vad.push(levels))

    def _flush_speech(self) -> Float32Array:
        """Return the last frames of speech, before normalization."""
        frames, levels = self._mfcc.flush_with_level()
        if self._deltas is not None:
            frames = np.concatenate([self._deltas.push(frames), self._deltas.flush()])
        if self._vad is None:
            return frames
        return self._select(frames, np.concatenate([self._vad.push(levels), self._vad.flush()]))

    def _select(self, frames: Float32Array, is_speech: BoolArray) -> Float32Array:
        """Return the frames of speech, as far as both the frames and the decisions have come."""
        state = self._state
        frames = np.concatenate([state.frames, frames])
        is_speech = np.concatenate([state.is_speech, is_speech])
        n_ready = min(len(frames), len(is_speech))
        state.frames, state.is_speech = frames[n_ready:].copy(), is_speech[n_ready:].copy()
        return frames[:n_ready][is_speech[:n_ready]]


def check_same_pipeline(model_config: PipelineConfig, given_config: PipelineConfig) -> None:
    """Raise if features were made by another pipeline than the model's.

    Raises
    ------
    ParameterError
        Names every field in which the two differ, with both values.

    Examples
    --------
    >>> check_same_pipeline(PipelineConfig(), PipelineConfig(deltas=None))
    Traceback (most recent call last):
    gmmaudio.errors.ParameterError: the model was made with another feature pipeline than the one given: deltas: ...
    """
    differences = [
        line.replace(" here, ", " in the model, ").replace(" there", " given")
        for line in model_config.difference(given_config)
    ]
    if differences:
        raise ParameterError(
            f"the model was made with another feature pipeline than the one given: {'; '.join(differences)}; "
            "make the features with the model's own pipeline"
        )


def _joined_config(config: PipelineConfig | None, sample_rate: int | None, parts: dict[str, Any]) -> PipelineConfig:
    """Return the configuration that the arguments of FeaturePipeline describe."""
    if config is not None:
        if not isinstance(config, PipelineConfig):
            raise ParameterError(f"config is {config!r}; it must be a PipelineConfig, or use sample_rate={config!r}")
        if parts or sample_rate not in (None, config.sample_rate):
            raise ParameterError(
                "give either a PipelineConfig or sample_rate and parts; dataclasses.replace joins them"
            )
        return config
    check_names(parts, [field.name for field in dataclasses.fields(PipelineConfig)], "FeaturePipeline")
    mfcc = parts.pop("mfcc", None) or MfccConfig(sample_rate=16000 if sample_rate is None else sample_rate)
    config = PipelineConfig(mfcc, **parts)
    if sample_rate not in (None, config.sample_rate):
        raise ParameterError(
            f"sample_rate is {sample_rate} but mfcc.sample_rate is {config.sample_rate}; make them equal"
        )
    return config
