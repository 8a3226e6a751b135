"""What training needs to know of the frames before it starts, gathered in one pass over them."""

import hashlib
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array, FloatArray
from gmmaudio.gmm.estimation import absolute_variance_floor
from gmmaudio.gmm.frame_moments import STEP_FRAMES, Moments
from gmmaudio.gmm.frame_source import FrameSource
from gmmaudio.gmm.starts.subsample import Subsample


@dataclass(frozen=True, eq=False)
class Survey:
    """The frames in short.

    Attributes
    ----------
    n_frames, n_features : int
    total_weight : float
        Number of frames, or the sum of their weights.
    mean, variance : array, shape (n_features,)
    digest : str
        Of the first `STEP_FRAMES` frames and of the moments of all: other data have another one, be it only that two
        files have changed places. It does not depend on the type of the numbers or on how the frames are stored.
    """

    n_frames: int
    n_features: int
    total_weight: float
    mean: Float64Array
    variance: Float64Array
    digest: str

    def variance_floor(self, fraction: float) -> Float64Array:
        """Return the smallest variance to be allowed in a model of these frames, as a fraction of theirs."""
        return absolute_variance_floor(self.mean, self.variance, fraction=fraction)


def survey(source: FrameSource, sample: Subsample | None = None) -> Survey:
    """Go through all frames once, check them, and show them to the subsample, if one is needed."""
    moments = Moments()
    first_frames: FloatArray | None = None
    for frames, weights in source.blocks():
        if first_frames is None:
            first_frames = frames[:STEP_FRAMES].astype(np.float64)
        moments.push(frames, weights)
        if sample is not None:
            sample.push(frames, weights)
    assert first_frames is not None
    assert source.n_frames is not None
    mean, variance = moments.result()
    digest = array_digest(first_frames, mean, variance)
    return Survey(source.n_frames, len(mean), moments.total_weight, mean, variance, digest)


def array_digest(*arrays: AnyArray) -> str:
    """Return a short text that stands for the values of arrays."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
