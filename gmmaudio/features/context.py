"""Frames with their neighbours: what a classifier that looks at one row at a time needs to hear movement."""

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import FloatArray
from gmmaudio.errors import ParameterError
from gmmaudio.validation import check_frames


def stack_context(frames: npt.ArrayLike, n_neighbours: int) -> FloatArray:
    """Return each frame between its neighbours in one row, the earliest first.

    Frames before the first are copies of the first, frames after the last copies of the last, as in `Deltas`.

    Parameters
    ----------
    frames : array-like, shape (n_frames, n_features)
        Of one recording.
    n_neighbours : int
        Frames on each side.

    Returns
    -------
    array, shape (n_frames, (2 n_neighbours + 1) n_features)

    Raises
    ------
    ParameterError
        If the frames cannot be used, or the number is negative.

    Examples
    --------
    >>> stack_context([[1.0], [2.0], [3.0]], 1)
    array([[1., 1., 2.],
           [1., 2., 3.],
           [2., 3., 3.]])
    """
    array = check_frames(frames)
    if not isinstance(n_neighbours, (int, np.integer)) or isinstance(n_neighbours, bool) or n_neighbours < 0:
        raise ParameterError(f"n_neighbours is {n_neighbours!r} but must be a whole number, 0 or more")
    if not len(array):
        return np.empty((0, (2 * n_neighbours + 1) * array.shape[1]), array.dtype)
    places = np.arange(len(array))[:, np.newaxis] + np.arange(-n_neighbours, n_neighbours + 1)
    stacked: FloatArray = array[np.clip(places, 0, len(array) - 1)].reshape(len(array), -1)
    return stacked
