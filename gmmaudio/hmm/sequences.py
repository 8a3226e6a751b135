"""Sequences wherever they are (an array with lengths, a list, files, an iterable), gone through as often as needed.

Conventions. A sequence has shape (n_frames, n_features), and NaN is a missing feature. Where sequences can be fetched
in any order (everything but iterables), training goes through them from the shortest to the longest, equal lengths in
the order of a digest of their values: the result then has the same bits in whatever order they were given. Batches
are cut at bounds that depend on the lengths only, so threads, files and arrays change nothing either. An iterable is
taken in the order in which it comes; another order changes statistics by about 1e-15 in double and 1e-7 in single
precision, relative to the largest. Only some batches are in memory at a time, and a sequence longer than `LONG_FRAMES`
is never copied whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, BoolArray, Float64Array, FloatArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.missing import split_missing
from gmmaudio.gmm.survey import array_digest
from gmmaudio.hmm._sequence_forms import checked_sequence, opener
from gmmaudio.validation import check_frame_weights

BATCH_SEQUENCES, BATCH_FRAMES, MOST_BATCH_FRAMES = 16, 1024, 4096
"""A batch is closed when it holds a multiple of so many sequences and so many frames, or the most frames."""

LONG_FRAMES = 8192
"""Sequences longer than this are gone through in blocks of so many frames."""

CACHE_BYTES = 2**28
"""Sequences that take no more memory than this in float64 are read and put together once."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some whole sequences, one after another.

    Attributes
    ----------
    frames : array, shape (n_frames, n_features)
        0 where a feature is missing.
    observed : array of bool, shape (n_frames, n_features), or None
        What is not missing; None if nothing is.
    weights : array, shape (n_frames,), or None
        How much each frame counts; None if all count 1.
    offsets : array, shape (n_sequences + 1,)
        Where each sequence begins.
    numbers : array, shape (n_sequences,)
        Which sequences of the source they are.
    """

    frames: Float64Array
    observed: BoolArray | None
    weights: Float64Array | None
    offsets: IntArray
    numbers: IntArray

    @property
    def is_long(self) -> bool:
        """Whether this is one sequence that is to be gone through in blocks."""
        return len(self.numbers) == 1 and len(self.frames) > LONG_FRAMES

    def block(self, start: int, stop: int) -> "Batch":
        """Return some frames of a long sequence, checked and completed."""
        frames, observed = split_missing(np.asarray(self.frames[start:stop]))
        weights = None if self.weights is None else self.weights[start:stop]
        return Batch(_as_double(frames), observed, weights, np.array([0, len(frames)]), self.numbers)


class SequenceSource:
    """Sequences that can be gone through again and again.

    Parameters
    ----------
    X : array-like, memory map, arrays, paths or iterable
        One array with `lengths`; or a list of arrays or of `.npy` and `.features` files, one per sequence; or an
        object whose `__iter__` starts afresh each time, or a function that returns a fresh iterator, over arrays.
    lengths : array-like of int, optional
        Lengths of the sequences of one array, in order; the array is one sequence if not given.
    sample_weight : array-like, shape (n_frames in all,), optional

    Raises
    ------
    ParameterError
        If the lengths do not fit, a sequence is empty, a value is infinite or no number, the numbers of features
        differ, or X can be gone through only once.
    GmmAudioError
        If a file cannot be read.

    Examples
    --------
    >>> source = SequenceSource([np.zeros((2, 3)), np.ones((1, 3))])
    >>> source.lengths, source.n_features
    (array([2, 1]), 3)
    >>> [batch.numbers for batch in source.batches()]
    [array([1, 0])]
    """

    def __init__(
        self, X: Any, lengths: npt.ArrayLike | None = None, sample_weight: npt.ArrayLike | None = None
    ) -> None:
        self._open, self._fetch = opener(X, lengths)
        self._weights: Float64Array | None = None
        self.n_features = 0
        self.has_missing = False
        self._survey()
        if sample_weight is not None:
            self._weights = check_frame_weights(sample_weight, self.n_frames)
            if not self._weights.any():
                raise ParameterError("every sample_weight is zero; at least one must be positive")
        self._order = self._canonical_order() if self._fetch is not None else None
        self._cache: list[Batch] | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames of all sequences."""
        return int(self.lengths.sum())

    @property
    def n_sequences(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def digest(self) -> str:
        """A short text that stands for all sequences, in the order in which training goes through them."""
        ordered = [self._digests[number] for number in self.order]
        return array_digest(np.frombuffer("".join(ordered).encode(), dtype=np.uint8))

    @property
    def order(self) -> list[int]:
        """Numbers of the sequences in the order in which training goes through them."""
        return list(range(self.n_sequences)) if self._order is None else self._order

    def sequences(self) -> Iterator[FloatArray]:
        """Yield the sequences in the given order, each checked."""
        for name, array in self._open():
            yield checked_sequence(array, name, self.n_features)

    def batches(self) -> Iterator[Batch]:
        """Yield all sequences in batches, in the order of training."""
        if self._cache is not None:
            yield from self._cache
            return
        batches = self._packed()
        if self._fetch is not None and self.n_frames * self.n_features * 8 <= CACHE_BYTES:
            self._cache = list(batches)
            batches = iter(self._cache)
        yield from batches

    def blocks(self) -> Iterator[Batch]:
        """Yield all frames in the order of training, long sequences in blocks."""
        for batch in self.batches():
            if batch.is_long:
                for start in range(0, len(batch.frames), LONG_FRAMES):
                    yield batch.block(start, start + LONG_FRAMES)
            else:
                yield batch

    def _survey(self) -> None:
        """Go through all sequences once, in the given order: check them and learn their lengths and digests."""
        lengths: list[int] = []
        self._digests: list[str] = []
        for name, array in self._open():
            if not self.n_features and getattr(array, "ndim", 0) == 2:
                self.n_features = array.shape[1]
            if len(array) == 0:
                raise ParameterError(f"{name} is an empty sequence (0 frames); leave it out")
            if array.ndim == 2 and array.shape[1] != self.n_features:
                raise ParameterError(
                    f"{name} has {array.shape[1]} features but the sequences before it have {self.n_features}; "
                    "make all with the same feature settings"
                )
            digests = []
            for start in range(0, len(array), LONG_FRAMES):
                block = array[start : start + LONG_FRAMES]
                frames = checked_sequence(block, name, self.n_features, first_row=start)
                self.has_missing = self.has_missing or bool(np.isnan(frames).any())
                digests.append(array_digest(_as_double(frames)))
            lengths.append(len(array))
            self._digests.append("".join(digests))
        if not lengths:
            raise ParameterError("X holds no sequences; at least one is needed")
        self.lengths = np.array(lengths, dtype=np.intp)

    def _canonical_order(self) -> list[int]:
        """Return the numbers of the sequences from the shortest to the longest, ties by their values."""
        keys = self._digests
        if self._weights is not None:
            parts = np.split(self._weights, np.cumsum(self.lengths)[:-1])
            keys = [key + array_digest(part) for key, part in zip(keys, parts, strict=True)]
        return sorted(range(self.n_sequences), key=lambda number: (self.lengths[number], keys[number]))

    def _packed(self) -> Iterator[Batch]:
        """Yield the batches, put together from the sequences."""
        starts = np.concatenate([[0], np.cumsum(self.lengths)])
        pending: list[tuple[int, AnyArray]] = []
        n_pending = 0
        for number, array in self._in_training_order():
            if len(array) > LONG_FRAMES:
                weights = None if self._weights is None else self._weights[starts[number] : starts[number + 1]]
                yield Batch(array, None, weights, np.array([0, len(array)]), np.array([number]))
                continue
            pending.append((number, array))
            n_pending += len(array)
            is_whole = len(pending) % BATCH_SEQUENCES == 0 and n_pending >= BATCH_FRAMES
            if is_whole or n_pending >= MOST_BATCH_FRAMES:
                yield self._joined(pending, starts)
                pending, n_pending = [], 0
        if pending:
            yield self._joined(pending, starts)

    def _in_training_order(self) -> Iterator[tuple[int, AnyArray]]:
        """Yield number and frames of each sequence."""
        if self._fetch is not None:
            for number in self.order:
                yield number, self._fetch(number)
            return
        n_seen = 0
        for number, (name, array) in enumerate(self._open()):
            n_seen += 1
            if number >= self.n_sequences or len(array) != self.lengths[number]:
                raise ParameterError(f"{name} is not what it was when X was first gone through; {_FRESH}")
            yield number, array
        if n_seen != self.n_sequences:
            raise ParameterError(f"X gave {self.n_sequences} sequences the first time but {n_seen} now; {_FRESH}")

    def _joined(self, pending: list[tuple[int, AnyArray]], starts: IntArray) -> Batch:
        """Return sequences as one batch."""
        numbers = np.array([number for number, _ in pending])
        stacked = _as_double(np.concatenate([np.asarray(array, dtype=np.float64) for _, array in pending]))
        frames, observed = split_missing(stacked) if self.has_missing else (stacked, None)
        weights = None
        if self._weights is not None:
            weights = np.concatenate([self._weights[starts[number] : starts[number + 1]] for number in numbers])
        offsets = np.concatenate([[0], np.cumsum(self.lengths[numbers])])
        return Batch(_as_double(frames), observed, weights, offsets, numbers)


_FRESH = "a function must return a fresh iterator over the same sequences at every call"


def _as_double(frames: AnyArray) -> Float64Array:
    """Return the frames as the compiled loops take them."""
    return np.ascontiguousarray(frames, dtype=np.float64)
