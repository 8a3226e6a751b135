"""Frames that remember which pipeline made them."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.errors import ParameterError
from gmmaudio.features.pipeline import PipelineConfig
from gmmaudio.persistence import StoredModel


@dataclass(frozen=True, eq=False)
class Features:
    """The frames of one recording with the configuration of the pipeline that made them.

    They can be saved, and take the place of the recording wherever a model has the same pipeline.

    Parameters
    ----------
    frames : array, shape (n_frames, n_features)
        Kept as float32.
    pipeline : PipelineConfig

    Raises
    ------
    ParameterError
        If the frames are not finite or not as wide as those of the pipeline.
    """

    frames: Float32Array
    pipeline: PipelineConfig

    def __post_init__(self) -> None:
        frames = np.asarray(self.frames, dtype=np.float32)
        width = self.pipeline.n_features
        if frames.ndim != 2 or frames.shape[1] != width or not np.isfinite(frames).all():
            raise ParameterError(
                f"frames has the shape {frames.shape} but must be finite and of shape (n_frames, {width}), "
                "as its pipeline makes them"
            )
        object.__setattr__(self, "frames", frames)

    def to_stored(self) -> StoredModel:
        """Return the features as they are written to a file."""
        return StoredModel("features", {}, {"frames": self.frames}, self.pipeline.to_dict())

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build the features from what a file holds."""
        return cls(stored.arrays["frames"], PipelineConfig.from_dict(stored.pipeline or {}))
