"""The check that every stage on frames makes first."""

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.errors import ParameterError


def as_frames(rows: AnyArray, n_features: int) -> Float32Array:
    """Return rows as float32 frames of shape (n_frames, n_features).

    Raises
    ------
    ParameterError
        If the rows have another shape.
    """
    frames = np.asarray(rows, dtype=np.float32)
    if frames.ndim != 2 or frames.shape[1] != n_features:
        raise ParameterError(
            f"frames has shape {frames.shape} but this stage was made for (n_frames, {n_features}); "
            f"give rows of {n_features} features, or make the stage with the right n_features"
        )
    return frames
