"""Cutting a signal into overlapping frames.

Conventions. Frame t has `frame_length` samples; consecutive frames start `frame_shift` samples apart. The padding says
where frame 0 lies and how many frames there are for n samples:

- `"none"` (Kaldi's snip_edges=True, HTK): frame t starts at sample t·shift; only frames that lie inside the signal,
  1 + ⌊(n − length)/shift⌋.
- `"zero"` (librosa's center=True): frame t is centred on sample t·shift, with zeros outside the signal; 1 + ⌊n/shift⌋.
- `"reflect"` (Kaldi's snip_edges=False): frame t is centred on sample (t + ½)·shift and the signal is mirrored at its
  ends, the outermost sample included twice; ⌊(n + shift/2)/shift⌋.
"""

import dataclasses
from typing import Literal

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array
from gmmaudio.audio import as_signal
from gmmaudio.errors import ParameterError
from gmmaudio.stage import Stage

Padding = Literal["none", "zero", "reflect"]
PADDINGS = ("none", "zero", "reflect")


@dataclasses.dataclass
class _FramerState:
    """Samples from the start of the next frame on, as `padded` once the left edge has been put before them."""

    buffer: Float32Array
    padded: bool
    n_samples: int
    n_frames: int


class Framer(Stage):
    """Cut a stream of samples into frames.

    Parameters
    ----------
    frame_length, frame_shift : int
        In samples; the shift is at most the length.
    padding : {"none", "zero", "reflect"}
        See the module's conventions.

    Raises
    ------
    ParameterError
        If a length is not positive, the shift exceeds the length or the padding is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> Framer(4, 2).transform(np.arange(8.0) / 8)
    array([[0.   , 0.125, 0.25 , 0.375],
           [0.25 , 0.375, 0.5  , 0.625],
           [0.5  , 0.625, 0.75 , 0.875]], dtype=float32)
    """

    _state: _FramerState

    def __init__(self, frame_length: int, frame_shift: int, padding: Padding = "none") -> None:
        if not 0 < frame_shift <= frame_length:
            raise ParameterError(
                f"frame_shift={frame_shift} and frame_length={frame_length} samples; "
                "the shift must be at least 1 and at most the length"
            )
        if padding not in PADDINGS:
            raise ParameterError(f"padding is {padding!r}; it must be one of {', '.join(PADDINGS)}")
        self.frame_length = frame_length
        self.frame_shift = frame_shift
        self.padding = padding
        self.reset()

    @property
    def lookahead(self) -> int:
        """Samples after the first one of frame t's shift that frame t still needs."""
        return self.frame_length - 1 - self._left

    @property
    def _left(self) -> int:
        """Number of samples of frame 0 that lie before the signal."""
        if self.padding == "zero":
            return (self.frame_length + 1) // 2
        if self.padding == "reflect":
            return self.frame_length // 2 - self.frame_shift // 2
        return 0

    def reset(self) -> None:
        """Forget the stream."""
        self._state = _FramerState(np.zeros(0, np.float32), padded=False, n_samples=0, n_frames=0)

    def push(self, rows: AnyArray) -> Float32Array:
        """Take samples and return the frames that are complete, as a read-only view."""
        state = self._state
        samples = as_signal(rows)
        state.n_samples += len(samples)
        state.buffer = np.concatenate([state.buffer, samples])
        # A mirrored left edge can only be made from as many samples as it has.
        if not state.padded and state.n_samples > 0 and (self.padding != "reflect" or len(state.buffer) >= self._left):
            self._pad(left=self._left, right=0)
        return self._complete_frames()

    def flush(self) -> Float32Array:
        """Return the frames that reach beyond the end of the signal, and start afresh."""
        state = self._state
        missing = self._total_frames() - state.n_frames
        if missing > 0:
            left = 0 if state.padded else self._left
            needed = (missing - 1) * self.frame_shift + self.frame_length
            self._pad(left=left, right=max(needed - left - len(state.buffer), 0))
        frames = self._complete_frames()[: max(missing, 0)]
        self.reset()
        return frames

    def _total_frames(self) -> int:
        """Return the number of frames of a signal that ends now."""
        n_samples, shift = self._state.n_samples, self.frame_shift
        if n_samples == 0:
            return 0
        if self.padding == "zero":
            return 1 + n_samples // shift
        if self.padding == "reflect":
            return (n_samples + shift // 2) // shift
        return max(0, 1 + (n_samples - self.frame_length) // shift)

    def _pad(self, *, left: int, right: int) -> None:
        """Extend the buffer at its ends."""
        mode: Literal["constant", "symmetric"] = "symmetric" if self.padding == "reflect" else "constant"
        self._state.buffer = np.pad(self._state.buffer, (left, right), mode=mode)
        self._state.padded = True

    def _complete_frames(self) -> Float32Array:
        """Take the complete frames out of the buffer."""
        state = self._state
        if not state.padded or len(state.buffer) < self.frame_length:
            return np.zeros((0, self.frame_length), np.float32)
        windows = np.lib.stride_tricks.sliding_window_view(state.buffer, self.frame_length)
        frames = windows[:: self.frame_shift]
        # A copy, because a slice would keep the whole block of samples alive.
        state.buffer = state.buffer[len(frames) * self.frame_shift :].copy()
        state.n_frames += len(frames)
        return frames
