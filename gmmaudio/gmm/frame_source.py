"""Frames wherever they are (an array, a memory map, chunks, files), gone through as often as needed in bounded memory.

Conventions. Frames have a fixed place in the stream, from row 0 on, and come in blocks whose bounds depend on the
number of features only. So what is calculated from the blocks has the same bits however the frames are stored. Only a
block (`BLOCK_BYTES`) and one chunk of the caller's are in memory at a time.
"""

import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, Float64Array, FloatArray
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm._moments import WINDOW_FRAMES
from gmmaudio.persistence import read_stored
from gmmaudio.validation import check_frame_weights, check_frames, check_incomplete_frames

BLOCK_BYTES = 2**24
"""A block is as many windows of the E-step as fit into this much memory in float64, and at least one."""

FrameChunks = Callable[[], Iterable[npt.ArrayLike]] | Iterable[npt.ArrayLike]
FramePaths = Iterable[str | os.PathLike[str]]
Frames = npt.ArrayLike | FrameChunks | str | os.PathLike[str] | FramePaths
"""What `GMM.fit` takes; see `FrameSource`."""

_NamedChunks = Iterator[tuple[str, npt.ArrayLike]]


class FrameSource:
    """Frames that can be gone through again and again.

    Parameters
    ----------
    X : array-like, memory map, chunks or paths
        An array of shape (n_frames, n_features); or chunks of it, any number of frames each: a list of arrays, an
        object whose `__iter__` starts afresh each time, or a function that returns a fresh iterator; or a list of
        files, `.npy` (read as memory maps) and `.features`. All of them mean the frames one after another.
    sample_weight : array-like, shape (n_frames,), optional
        How many times each frame counts.
    rescale : bool
        Scale the weights so that the positive ones average 1: for a likelihood their common scale has no meaning.

    Raises
    ------
    ParameterError
        If X can be gone through only once, or a weight cannot be used.

    Examples
    --------
    >>> source = FrameSource([np.zeros((2, 3)), np.ones((1, 3))])
    >>> [(frames.shape, weights) for frames, weights in source.blocks()]
    [((3, 3), array([1., 1., 1.]))]
    >>> source.n_frames
    3
    """

    def __init__(self, X: Any, sample_weight: npt.ArrayLike | None = None, *, rescale: bool = True) -> None:
        self._open_chunks = _opener(X)
        self._weights: Float64Array | None = None
        self._mean_weight = 1.0
        self.n_frames: int | None = None
        self.n_features: int | None = None
        self.has_missing = False
        if sample_weight is not None:
            n_weights = len(X) if isinstance(X, np.ndarray) else np.size(sample_weight)
            self._weights = check_frame_weights(sample_weight, n_weights)
            n_positive = np.count_nonzero(self._weights)
            if not n_positive:
                raise ParameterError("every sample_weight is zero; at least one must be positive")
            if rescale:
                self._mean_weight = float(self._weights.sum()) / n_positive

    def blocks(self) -> Iterator[tuple[FloatArray, Float64Array]]:
        """Yield frames, shape (n_rows, n_features) in C order, with their weights, in bounded memory.

        `n_frames`, `n_features` and `has_missing` (features that are NaN) are known after the first pass, which also
        checks the values.

        Raises
        ------
        ParameterError
            If a chunk is not a matrix of the same width as the others, or holds infinity, or the number of frames is
            zero, not that of the weights, or not that of the pass before.
        GmmAudioError
            If a file cannot be used.
        """
        n_frames = 0
        for frames in self._joined():
            yield frames, self._block_weights(n_frames, n_frames + len(frames))
            n_frames += len(frames)
        if n_frames == 0 and self.n_frames is None:
            raise ParameterError("X holds no frames (0 rows in all); at least one is needed")
        if self._weights is not None and n_frames != len(self._weights):
            raise ParameterError(f"sample_weight has {len(self._weights)} values but X has {n_frames} frames")
        if self.n_frames not in (None, n_frames):
            raise ParameterError(
                f"X gave {self.n_frames} frames when it was first gone through but {n_frames} now; "
                "a function must return a fresh iterator over the same chunks at every call"
            )
        self.n_frames = n_frames

    def _block_weights(self, start: int, stop: int) -> Float64Array:
        """Return the weights of some frames."""
        if self._weights is None:
            return np.ones(stop - start)
        if stop > len(self._weights):
            raise ParameterError(f"sample_weight has {len(self._weights)} values but X has at least {stop} frames")
        return np.asarray(self._weights[start:stop] / self._mean_weight)

    def _joined(self) -> Iterator[FloatArray]:
        """Yield the frames in blocks of one size, the last one shorter; what fills a block by itself is not copied."""
        pending: list[AnyArray] = []
        n_pending = 0
        for piece in self._pieces():
            n_missing = self._block_frames() - n_pending
            if len(piece) >= n_missing:
                yield _one_array([*pending, piece[:n_missing]])
                pending, n_pending = [], 0
                piece = piece[n_missing:]
            if len(piece):
                pending.append(piece.copy())  # the caller may use the memory of the chunk again
                n_pending += len(piece)
        if pending:
            yield _one_array(pending)

    def _pieces(self) -> Iterator[AnyArray]:
        """Yield the chunks in pieces of at most one block, checked in the first pass."""
        first_name = ""
        for name, chunk in self._open_chunks():
            array = chunk if isinstance(chunk, np.ndarray) else check_incomplete_frames(chunk, name=name)[0]
            if self.n_features is None:
                checked = check_frames(array[:0] if array.ndim == 2 else array, name=name)
                self.n_features, first_name = checked.shape[1], name
            if array.ndim != 2 or array.shape[1] != self.n_features:
                raise ParameterError(
                    f"{name} has shape {array.shape} but needs (n_frames, {self.n_features}), "
                    f"as {first_name or 'the first chunk'} has; were its features made with other settings?"
                )
            for start in range(0, len(array), self._block_frames()):
                piece: AnyArray = array[start : start + self._block_frames()]
                if self.n_frames is None:
                    piece, has_missing = check_incomplete_frames(piece, name=name, first_row=start)
                    self.has_missing = self.has_missing or has_missing
                yield piece
                _release_pages(array)

    def _block_frames(self) -> int:
        """Return the number of frames of a block: whole windows, so that the E-step need not copy them."""
        assert self.n_features is not None
        return max(1, BLOCK_BYTES // (8 * WINDOW_FRAMES * self.n_features)) * WINDOW_FRAMES


def is_one_array(X: Any) -> bool:
    """Say whether X is an array-like in memory, as scikit-learn knows it, and not a memory map, chunks or files."""
    if isinstance(X, np.memmap | str | os.PathLike):
        return False
    if isinstance(X, list | tuple):
        return not X or not (isinstance(X[0], str | os.PathLike) or getattr(X[0], "ndim", 0) == 2)
    array_like = any(hasattr(X, name) for name in ("__array__", "shape", "__dataframe__"))
    return array_like or not (callable(X) or isinstance(X, Iterable))


def _opener(X: Any) -> Callable[[], _NamedChunks]:
    """Return a function that starts a pass over the chunks, each with the name that messages call it by."""
    if isinstance(X, np.ndarray) or is_one_array(X):
        return lambda: iter([("X", X)])
    if isinstance(X, str | os.PathLike):
        return lambda: _file_chunks([Path(X)])
    if isinstance(X, list | tuple) and isinstance(X[0], str | os.PathLike):
        paths = [Path(path) for path in X]
        return lambda: _file_chunks(paths)
    if isinstance(X, Iterator):
        raise ParameterError(
            f"X is a {type(X).__name__}, which can be gone through only once, but EM needs all frames in each "
            "iteration; give the function that makes it (not called), a list of arrays, or each chunk to partial_fit"
        )
    start = X if not isinstance(X, Iterable) else lambda: X
    return lambda: ((f"X[{number}]", chunk) for number, chunk in enumerate(start()))


def _file_chunks(paths: Iterable[Path]) -> _NamedChunks:
    """Yield the frames of each file; feature files must come from the same pipeline."""
    first: tuple[Path, Any] | None = None
    for path in paths:
        if path.suffix == ".npy":
            yield str(path), _mapped(path)
        elif path.suffix == ".features":
            stored = read_stored(path)
            if stored.kind != "features":
                raise GmmAudioError(f"{path} holds a model of kind '{stored.kind}', but features are needed here")
            first = first or (path, stored.pipeline)
            if stored.pipeline != first[1]:
                raise GmmAudioError(f"{path} and {first[0]} come from different feature pipelines; make them with one")
            yield str(path), stored.arrays["frames"]
        else:
            raise ParameterError(
                f"cannot read frames from {path}: .npy and .features files can be read; for recordings, write "
                ".features files first, or give a function that yields the features of each"
            )


def _mapped(path: Path) -> AnyArray:
    """Return the array of a .npy file as a memory map."""
    try:
        array: AnyArray = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise GmmAudioError(f"cannot read frames from {path} ({error.strerror or error})") from error
    except (ValueError, EOFError) as error:  # NumPy's own words advise to unpickle the file
        raise GmmAudioError(
            f"cannot read frames from {path}: it is no whole .npy file of numbers; write it with numpy.save"
        ) from error
    return array


def _one_array(pieces: list[AnyArray]) -> FloatArray:
    """Return consecutive frames as one C-ordered float array."""
    array = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return np.ascontiguousarray(array, dtype=None if array.dtype in (np.float32, np.float64) else np.float64)


def _release_pages(array: AnyArray) -> None:
    """Let go of the pages of a memory map that were read, so that they do not add up in this process.

    They stay in the system's file cache. A private copy-on-write map is left alone: it would lose what was written.
    """
    mapping: Any = getattr(array, "_mmap", None)
    if isinstance(array, np.memmap) and array.mode != "c" and hasattr(mapping, "madvise"):
        mapping.madvise(mmap.MADV_DONTNEED)
