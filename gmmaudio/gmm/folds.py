"""Frames of recordings, and their division into parts that are held out in turn."""

import os
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold, KFold

from gmmaudio._typing import AnyArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.frame_source import FrameSource, is_one_array


def joined_recordings(X: Any, groups: npt.ArrayLike | None) -> tuple[AnyArray, IntArray]:
    """Return all frames, and the number of the recording of each."""
    if is_one_array(X):
        frames = np.asarray(X)
        labels = np.arange(len(frames)) if groups is None else np.asarray(groups)
        if labels.shape != (len(frames),):
            raise ParameterError(f"groups has shape {labels.shape} but {len(frames)} frames need ({len(frames)},)")
        return frames, np.asarray(np.unique(labels, return_inverse=True)[1])
    if groups is not None:
        raise ParameterError("groups were given for a list of arrays, each of which is a recording; leave them out")
    if isinstance(X[0], str | os.PathLike):
        frames = np.concatenate([block for block, _ in FrameSource(X).blocks()])
        return frames, np.repeat(np.arange(len(X)), [_n_frames(path) for path in X])
    arrays = [np.asarray(recording) for recording in X]
    shapes = {array.shape[1:] for array in arrays}
    if len(shapes) != 1 or arrays[0].ndim != 2:
        raise ParameterError(
            f"the recordings of X have the shapes {[array.shape for array in arrays]} but all need "
            "(n_frames, n_features) with the same features"
        )
    return np.concatenate(arrays), np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])


def _n_frames(path: str | os.PathLike[str]) -> int:
    """Return the number of frames in a file."""
    return sum(len(block) for block, _ in FrameSource([path]).blocks())


def recording_folds(recordings: IntArray, n_folds: int, seed: int) -> list[tuple[IntArray, IntArray]]:
    """Return the rows to train on and to hold out, fold by fold; the frames of a recording stay together."""
    n_recordings = len(np.unique(recordings))
    if not 2 <= n_folds <= n_recordings:
        raise ParameterError(
            f"n_folds is {n_folds} but {n_recordings} recordings can be dealt into 2 to {n_recordings} parts"
        )
    if n_recordings == len(recordings):
        return list(KFold(n_folds, shuffle=True, random_state=seed).split(recordings))
    return list(GroupKFold(n_folds).split(recordings, groups=recordings))
