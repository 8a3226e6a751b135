"""Pictures of separations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.plotting._axes import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_separation(
    mixture: npt.ArrayLike, estimates: Mapping[str, npt.ArrayLike], sample_rate: int, *, frame_length: float = 0.064
) -> Figure:
    """Draw the spectrogram of a mixture, and under it the mask and the estimate of each source.

    A mask is the share that a source has of the mixture's magnitude, from 0 to 1, drawn where the mixture is less
    than 60 dB below its maximum.

    Parameters
    ----------
    mixture : array-like, shape (n_samples,)
    estimates : mapping of str to array-like, shape (n_samples,)
    sample_rate : int
        In Hz.
    frame_length : float
        Window in seconds.

    Raises
    ------
    ParameterError
        If there is no estimate, or one has another length than the mixture.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> time = np.arange(8000) / 8000
    >>> low, high = np.sin(2 * np.pi * 300 * time), np.sin(2 * np.pi * 2000 * time)
    >>> figure = plot_separation(low + high, {"low": low, "high": high}, 8000)
    >>> [axes.get_title() for axes in figure.axes[:4]]
    ['mixture', '', 'mask of low', 'estimate of low']
    """
    signals = [np.asarray(signal, np.float64) for signal in (mixture, *estimates.values())]
    if len(signals) < 2 or any(signal.shape != signals[0].shape or signal.ndim != 1 for signal in signals):
        shapes = [signal.shape for signal in signals]
        raise ParameterError(f"mixture and estimates have the shapes {shapes} but need one and the same, (n_samples,)")
    heard, *own = [_magnitudes(signal, sample_rate, frame_length) for signal in signals]
    peak = max(float(heard.max()), float(np.finfo(np.float32).tiny))
    panels: Any = new_axes(10.0, 2.4 * len(signals)).figure
    panels.clear()
    grid = panels.subplots(len(signals), 2, sharex=True, sharey=True, squeeze=False)
    extent = (0.0, len(signals[0]) / sample_rate, 0.0, sample_rate / 2000.0)
    _draw_spectrogram(grid[0, 0], "mixture", heard, peak, extent)
    grid[0, 1].set_axis_off()
    for (name, values), (mask_axes, axes) in zip(zip(estimates, own, strict=True), grid[1:], strict=True):
        audible = heard > 1e-3 * peak
        mask = np.where(audible, np.minimum(values / np.where(audible, heard, 1.0), 1.0), np.nan)
        mask_axes.imshow(mask.T, origin="lower", aspect="auto", extent=extent, vmin=0.0, vmax=1.0, cmap="cividis")
        mask_axes.set(title=f"mask of {name}", ylabel="kHz")
        _draw_spectrogram(axes, f"estimate of {name}", values, peak, extent)
    for axes in grid[-1]:
        axes.set_xlabel("s")
    figure: Figure = panels
    return figure


def _magnitudes(signal: Float64Array, sample_rate: int, frame_length: float) -> Float64Array:
    """Return the magnitude spectrogram, (n_frames, n_bins), with windows that overlap by half."""
    size = max(2, round(frame_length * sample_rate))
    padded = np.pad(signal, (0, max(0, size - len(signal))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[:: max(1, size // 2)]
    return np.abs(np.fft.rfft(windows * np.hanning(size)))


def _draw_spectrogram(
    axes: Axes, title: str, magnitudes: Float64Array, peak: float, extent: tuple[float, float, float, float]
) -> None:
    """Draw magnitudes in dB under the peak of the mixture."""
    decibels = 20.0 * np.log10(np.maximum(magnitudes / peak, 1e-4))
    axes.imshow(decibels.T, origin="lower", aspect="auto", extent=extent, vmin=-60.0, vmax=0.0, cmap="magma")
    axes.set(title=title, ylabel="kHz")
