"""Separation of a mixture that is still going on."""

from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import AnyArray, Complex64Array, Float32Array, Float64Array
from gmmaudio.separation.colours import band_starts, estimate_colours
from gmmaudio.separation.gains import estimate_gains, follow_gains
from gmmaudio.separation.masking import MaskMaker
from gmmaudio.separation.stft import OVERLAP, Analysis, StftConfig, Synthesis, power_of
from gmmaudio.stage import Stage

SEGMENT_FRAMES = 32
"""Frames (half a second at 64 ms windows) that a factorial hidden Markov model finishes at a time, with as many to look
ahead; and after which a stream without gains has its first ones."""

UPDATE_SEGMENTS = 2
"""Segments between two updates of tracked gains."""

LOUDEST = 1e12
"""Power relative to the level of the sources beyond which it is all the same: single precision must not overflow."""

MEMORY_FRAMES, MEMORY_STEP = 48, 4
"""Frames, every fourth one, that tracked gains are estimated from: three seconds."""


@dataclass
class _SeparationState:
    """What is remembered of the stream.

    Spectra whose masks are not final; gains, 0 while unknown; colours; the power so far and the frames it is of;
    recent frames; the expected states; samples taken and given.
    """

    pending: Complex64Array
    gains: Float64Array
    colours: Float64Array
    power_sum: float
    n_frames: int
    recent: Float32Array
    expected: Float64Array
    n_taken: int
    n_given: int


class SeparationStream(Stage):
    """Samples of a mixture in, samples of its sources out. Made by `Separator.stream`.

    `push` takes samples of shape (n_samples,) or (n_samples, n_channels) and returns
    (n_samples, n_sources) or (n_samples, n_sources, n_channels). The sources add up to the mixture.

    With given levels the stream gives the bits of `Separator.separate` at these levels. Without, gains and colours are
    tracked: they are updated every second from the last three, causally, and `transform` gives the same bits.

    Parameters
    ----------
    maker : MaskMaker
    stft : StftConfig
    levels : pair of arrays, shapes (n_sources,) and (n_sources, n_bins), optional
        Power of each source relative to its training, and its colour; tracked if not given.
    n_channels : int
        Masks are made from the mean power of all channels and used for each of them.
    """

    _state: _SeparationState

    def __init__(
        self,
        maker: MaskMaker,
        stft: StftConfig,
        *,
        levels: tuple[Float64Array, Float64Array] | None = None,
        n_channels: int = 1,
    ) -> None:
        self.n_channels = n_channels
        self.n_sources = len(maker.sources)
        self._maker = maker
        self._stft = stft
        self._fixed_levels = levels
        self._starts = band_starts(stft)
        self._analysis = Analysis(stft, n_channels)
        self._synthesis = Synthesis(stft, self.n_sources * n_channels)
        self.reset()

    @property
    def lookahead(self) -> int:
        """Samples: one window, and the frames that a hidden Markov model looks ahead."""
        n_frames = 2 * SEGMENT_FRAMES - 1 if self._maker.config.dynamics == "hmm" else 0
        return self._stft.frame_samples - 1 + n_frames * self._stft.shift_samples

    @property
    def gains(self) -> Float64Array:
        """Present power of each source relative to its training; 0 while it is not known."""
        return self._state.gains.copy()

    def reset(self) -> None:
        """Forget the stream."""
        n_bins = self._stft.n_bins
        unknown = np.zeros(self.n_sources), np.ones((self.n_sources, n_bins))
        gains, colours = self._fixed_levels or unknown
        self._analysis.reset()
        self._synthesis.reset()
        self._state = _SeparationState(
            pending=np.zeros((0, self.n_channels, n_bins), np.complex64),
            gains=gains.copy(),
            colours=colours.copy(),
            power_sum=0.0,
            n_frames=0,
            recent=np.zeros((0, n_bins), np.float32),
            expected=self._maker.start,
            n_taken=0,
            n_given=0,
        )

    def _parts(self) -> dict[str, Stage]:
        return {"analysis": self._analysis, "synthesis": self._synthesis}

    def push(self, rows: AnyArray) -> Float32Array:
        """Take samples of the mixture and return the samples of the sources that have become final."""
        samples = rows if rows.ndim == 2 else rows[:, np.newaxis]
        self._state.n_taken += len(samples)
        return self._give(self._advance(self._analysis.push(samples), ended=False))

    def flush(self) -> Float32Array:
        """Return the samples that are still owed and start afresh."""
        last = self._give(self._advance(self._analysis.flush(), ended=True))
        self.reset()
        return last

    def _give(self, samples: Float32Array) -> Float32Array:
        """Return samples without those before the beginning and after the end of the mixture."""
        state = self._state
        n_before = (OVERLAP - 1) * self._stft.shift_samples
        first = max(0, n_before - state.n_given)
        last = n_before + state.n_taken - state.n_given
        state.n_given += len(samples)
        shape = (-1, self.n_sources, self.n_channels) if self.n_channels > 1 else (-1, self.n_sources)
        return samples[first : max(first, last)].reshape(shape)

    def _advance(self, spectra: Complex64Array, *, ended: bool) -> Float32Array:
        """Mask the spectra that can be, and return the samples that they give."""
        state, ahead = self._state, 2 * SEGMENT_FRAMES if self._maker.config.dynamics == "hmm" else 1
        state.pending = np.concatenate([state.pending, spectra])
        samples = [np.zeros((0, self.n_sources * self.n_channels), np.float32)]
        while len(state.pending) >= (1 if ended else ahead):
            room = SEGMENT_FRAMES - state.n_frames % SEGMENT_FRAMES
            n_final = min(room, len(state.pending))
            samples.append(self._mask(state.pending[: max(n_final, ahead)], n_final))
            state.pending = state.pending[n_final:]
        return np.concatenate(samples)

    def _mask(self, spectra: Complex64Array, n_final: int) -> Float32Array:
        """Mask the first spectra, learn from them, and return the samples that they give."""
        state = self._state
        power = power_of(spectra)
        levels = self._levels(power)
        gains = state.gains / state.gains.sum() if state.gains.any() else np.full(self.n_sources, 1 / self.n_sources)
        relative = np.asarray(np.minimum(power / levels[:, np.newaxis], LOUDEST), np.float32)
        masks, state.expected = self._maker.masks(relative, gains, state.colours, state.expected, n_final=n_final)
        estimates: Complex64Array = masks[:, :, np.newaxis] * spectra[:n_final, np.newaxis]
        self._learn(power[:n_final])
        return self._synthesis.push(estimates.reshape(n_final, -1, self._stft.n_bins))

    def _levels(self, power: Float32Array) -> Float64Array:
        """Return the level of the mixture in each frame: that of the gains, or the mean so far while there are none."""
        state = self._state
        if state.gains.any():
            return np.full(len(power), state.gains.sum())
        so_far = np.cumsum(np.concatenate([[state.power_sum], power.mean(axis=1, dtype=np.float64)]))[1:]
        means = so_far / (state.n_frames + np.arange(1, len(power) + 1))
        return np.maximum(means, float(np.finfo(np.float32).tiny))

    def _learn(self, power: Float32Array) -> None:
        """Remember frames, and bring tracked gains up to date when it is time."""
        state = self._state
        for value in power.mean(axis=1, dtype=np.float64):
            state.power_sum += float(value)
        if self._fixed_levels is None:
            state.recent = np.concatenate([state.recent, power[-state.n_frames % MEMORY_STEP :: MEMORY_STEP]])[
                -MEMORY_FRAMES:
            ]
        state.n_frames += len(power)
        segment, rest = divmod(state.n_frames, SEGMENT_FRAMES)
        due = rest == 0 and (segment % UPDATE_SEGMENTS == 0 or not state.gains.any())
        if self._fixed_levels is None and due and state.recent.any():
            self._update_gains()

    def _update_gains(self) -> None:
        """Estimate gains for the first time, or improve those that there are; then the colours."""
        state = self._state
        spectral = [source.spectral for source in self._maker.sources]
        if state.gains.any():
            coloured = [own.coloured(colour) for own, colour in zip(spectral, state.colours, strict=True)]
            state.gains = follow_gains(coloured, state.gains, state.recent)
        else:
            state.gains, _ = estimate_gains(spectral, state.recent)
        state.gains, state.colours = estimate_colours(
            spectral, state.gains, state.recent, self._starts, colours=state.colours, n_updates=1
        )
