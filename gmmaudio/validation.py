"""Checks of arguments that many functions share; each raises a `ParameterError` with advice.

Conventions. Frames are rows: `(n_frames, n_features)`. A check returns the array in the form in which the
calculation wants it and does not copy what is already in that form.
"""

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, FloatArray
from gmmaudio.errors import ParameterError

LARGEST_VALUE = 1e150
"""Features beyond this have squares that float64 cannot hold."""


def check_frames(
    frames: npt.ArrayLike, *, n_features: int | None = None, name: str = "frames", first_row: int = 0
) -> FloatArray:
    """Return frames as a finite array of shape (n_frames, n_features), float32 or float64.

    Parameters
    ----------
    frames : array-like, shape (n_frames, n_features)
        Zero frames are allowed. float32 and float64 stay as they are, everything else becomes float64.
    n_features : int, optional
        The number of columns that the model needs; any number of at least one if it is not given.
    name : str
        What the message calls the array.
    first_row : int
        Number that the message gives to the first row, where this is a part of a longer array.

    Raises
    ------
    ParameterError
        If the array is not numeric, not two-dimensional, has the wrong number of columns, or holds NaN, infinity or
        a value whose square overflows.
    """
    array = _frame_array(frames, n_features, name)
    # The extremes tell about every value (NaN passes no comparison) and need no array as large as the data.
    if array.size and not (float(array.min()) >= -LARGEST_VALUE and float(array.max()) <= LARGEST_VALUE):
        row = first_row + int(np.flatnonzero(~(np.abs(array) <= np.float64(LARGEST_VALUE)).all(axis=1))[0])
        raise ParameterError(
            f"{name} holds NaN, infinity or a value beyond {LARGEST_VALUE:g}, first in row {row}; "
            "remove or repair such rows"
        )
    return array


def check_incomplete_frames(
    frames: npt.ArrayLike, *, n_features: int | None = None, name: str = "frames", first_row: int = 0
) -> tuple[FloatArray, bool]:
    """Return frames as `check_frames` does, but with NaN where a feature is missing, and whether any is.

    Parameters and errors as for `check_frames`.
    """
    array = _frame_array(frames, n_features, name)
    if not array.size:
        return array, False
    low, high = float(array.min()), float(array.max())
    if low >= -LARGEST_VALUE and high <= LARGEST_VALUE:
        return array, False
    unusable = ~(np.isnan(array) | (np.abs(array) <= np.float64(LARGEST_VALUE))).all(axis=1)
    if unusable.any():
        raise ParameterError(
            f"{name} holds infinity or a value beyond {LARGEST_VALUE:g}, first in row "
            f"{first_row + int(unusable.argmax())}; repair such values, or make them NaN if they are missing"
        )
    return array, True


def check_frame_weights(frame_weights: npt.ArrayLike | None, n_frames: int) -> Float64Array:
    """Return one finite non-negative float64 weight per frame; ones if no weights are given.

    Raises
    ------
    ParameterError
        If the shape is not (n_frames,) or a weight is negative, NaN or infinite.
    """
    if frame_weights is None:
        return np.ones(n_frames)
    weights = np.asarray(_as_float(frame_weights, "frame_weights"), dtype=np.float64)
    if weights.shape != (n_frames,):
        raise ParameterError(f"frame_weights has shape {weights.shape} but {n_frames} frames need ({n_frames},)")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ParameterError(
            "frame_weights holds negative or non-finite values; a weight is a count of frames, 0 or more"
        )
    return weights


def read_only_array(value: npt.ArrayLike, *, name: str, shape: tuple[int | None, ...]) -> Float64Array:
    """Return a float64 copy that cannot be written to, of the wanted shape (None: any length but 0) and finite.

    Raises
    ------
    ParameterError
        If the value is not numeric, has another shape, or holds NaN or infinity.
    """
    array = np.array(_as_float(value, name), dtype=np.float64, order="C")
    fits = array.ndim == len(shape) and all(
        got == want if want is not None else got > 0 for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("at least 1" if want is None else str(want) for want in shape)
        raise ParameterError(f"{name} has shape {array.shape} but needs ({wanted})")
    if not np.isfinite(array).all():
        raise ParameterError(f"{name} holds NaN or infinity; every value must be finite")
    array.flags.writeable = False
    return array


def _frame_array(frames: npt.ArrayLike, n_features: int | None, name: str) -> FloatArray:
    """Return frames as a float array of the wanted width, whatever its values."""
    array = _check_matrix(_as_float(frames, name), name)
    if n_features is not None and array.shape[1] != n_features:
        raise ParameterError(
            f"{name} has {array.shape[1]} columns but the model was trained on {n_features} features; "
            "use the feature settings of the model (were deltas left out or added?)"
        )
    return array


def _as_float(value: npt.ArrayLike, name: str) -> FloatArray:
    """Return a float32 or float64 array, or say that the value is not numeric."""
    try:
        array = np.asarray(value)
        if array.dtype in (np.float32, np.float64):
            return array
        if array.dtype.kind not in "biuf":
            raise TypeError(f"dtype {array.dtype}")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} is not an array of real numbers ({error})") from error


def _check_matrix(array: FloatArray, name: str) -> FloatArray:
    """Return the array if it has two axes and at least one column."""
    if array.ndim != 2 or array.shape[1] == 0:
        raise ParameterError(
            f"{name} has shape {array.shape} but needs (n_frames, n_features); "
            f"pass a single frame as {name}[np.newaxis, :] and a single feature as {name}[:, np.newaxis]"
        )
    return array
