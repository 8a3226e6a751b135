"""The forms in which sequences may be given, and how each of them is gone through."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, FloatArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.frame_source import _file_chunks, is_one_array
from gmmaudio.gmm.missing import split_missing

Sequences = npt.ArrayLike | Iterable[npt.ArrayLike] | Callable[[], Iterable[npt.ArrayLike]] | Iterable[Any]
"""What `GMMHMM.fit` takes; see `sequences.SequenceSource`."""

NamedSequences = Iterator[tuple[str, AnyArray]]


def opener(
    X: Any, lengths: npt.ArrayLike | None
) -> tuple[Callable[[], NamedSequences], Callable[[int], AnyArray] | None]:
    """Return a function that starts a pass over the sequences, and one that fetches any of them, if possible."""
    if isinstance(X, str | os.PathLike):
        X = _read(X)
    if isinstance(X, np.ndarray) or is_one_array(X):
        array = X if isinstance(X, np.ndarray) else np.asarray(checked_sequence(X, "X", 0))
        arrays: list[Any] = _split(array, lengths)
        return _named(arrays), lambda number: np.asarray(arrays[number])
    if lengths is not None:
        raise ParameterError("lengths go with one array; a list or an iterable already holds one sequence per item")
    if isinstance(X, list | tuple):
        return _named(list(X)), lambda number: _read(X[number])
    if isinstance(X, Iterator):
        raise ParameterError(
            f"X is a {type(X).__name__}, which can be gone through only once, but EM needs all sequences in each "
            "iteration; give the function that makes it (not called), or a list"
        )
    start = X if not isinstance(X, Iterable) else lambda: X
    return lambda: ((f"X[{number}]", _read(item)) for number, item in enumerate(start())), None


def _named(items: list[Any]) -> Callable[[], NamedSequences]:
    """Return a function that starts a pass over the items of a list."""

    def start() -> NamedSequences:
        for number, item in enumerate(items):
            yield (str(item) if isinstance(item, str | os.PathLike) else f"X[{number}]"), _read(item)

    return start


def _read(item: Any) -> AnyArray:
    """Return a sequence as an array; a file as a memory map where it can be one."""
    if isinstance(item, str | os.PathLike):
        return np.asanyarray(next(_file_chunks([Path(item)]))[1])
    return item if isinstance(item, np.ndarray) else np.asarray(item)


def _split(array: AnyArray, lengths: npt.ArrayLike | None) -> list[AnyArray]:
    """Return the sequences of one array."""
    if lengths is None:
        return [array]
    counts = np.asarray(lengths)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or not counts.size:
        raise ParameterError(f"lengths is {lengths!r} but must be a list of whole numbers, one per sequence")
    if (counts <= 0).any():
        raise ParameterError(f"lengths holds {counts.min()}, an empty sequence; leave such sequences out")
    if counts.sum() != len(array):
        raise ParameterError(f"lengths add up to {counts.sum()} frames but X has {len(array)}; they must be equal")
    return np.split(array, np.cumsum(counts)[:-1])


def checked_sequence(array: Any, name: str, n_features: int, *, first_row: int = 0) -> FloatArray:
    """Return a sequence or a part of one, NaN and all, if it can be used."""
    split_missing(array, n_features=n_features or None, name=name)
    return np.asarray(array)


def each_sequence(X: Any, lengths: npt.ArrayLike | None = None, *, n_features: int) -> Iterator[FloatArray]:
    """Yield the sequences in the given order, each checked against the model.

    Raises
    ------
    ParameterError
        As `SequenceSource`; X may be an iterator here.
    """
    start, _ = opener(list(X) if isinstance(X, Iterator) else X, lengths)
    n_seen = 0
    for name, array in start():
        n_seen += 1
        if len(array) == 0:
            raise ParameterError(f"{name} is an empty sequence (0 frames); leave it out")
        yield checked_sequence(array, name, n_features)
    if not n_seen:
        raise ParameterError("X holds no sequences; at least one is needed")
