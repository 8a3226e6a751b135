"""Pictures of scored streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import AnyArray, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.plotting._axes import legend_above, new_axes
from gmmaudio.plotting.decisions import NONTARGET_COLOUR, TARGET_COLOUR

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 1500
"""Columns of the picture; where there are more samples, each column shows its highest score and largest parts."""

MOST_LABELS = 24


def plot_anomalies(
    scores: npt.ArrayLike,
    *,
    threshold: float | None = None,
    events: Sequence[tuple[int, int]] = (),
    contributions: npt.ArrayLike | None = None,
    channels: Sequence[str] | None = None,
    times: npt.ArrayLike | None = None,
    time_label: str = "sample",
) -> Figure:
    """Draw the score of a stream with its threshold and events, and under it the parts of the channels.

    Parameters
    ----------
    scores : array-like, shape (n_samples,)
        −log10 p.
    threshold : float, optional
        Score from which an event begins; drawn as a line.
    events : sequence of (first, last)
        Samples of each event, both included; shaded.
    contributions : array-like, shape (n_samples, n_channels), optional
        Parts of the channels in each score; drawn as a heat map.
    channels : sequence of str, optional
        Their names; numbers if not given.
    times : array-like, shape (n_samples,), optional
        datetime64 or numbers, rising; the number of the sample if not given.
    time_label : str
        What the times are.

    Raises
    ------
    ParameterError
        If the shapes do not fit, times do not rise or a score is NaN.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> figure = plot_anomalies([0, 1, 5, 0], threshold=4, events=[(2, 2)], contributions=np.eye(4)[:, :2])
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['−log₁₀ p', 'channel', 'part of the score']
    """
    values, place, parts, names = _check(scores, times, contributions, channels)
    edges = np.linspace(0, len(values), min(len(values), MOST_COLUMNS) + 1).astype(int)
    figure: Any = new_axes(10.0, 3.0 if parts is None else 3.2 + 0.22 * min(len(names), MOST_LABELS)).figure
    figure.clear()
    heights = [1.0] if parts is None else [1.0, max(0.5, 0.1 * min(len(names), MOST_LABELS))]
    upper, *lower = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    starts = edges[:-1]
    upper.plot(place[starts], np.maximum.reduceat(values, starts), color=TARGET_COLOUR, linewidth=0.8)
    if threshold is not None:
        name = f"an event begins at {threshold:.3g}"
        upper.axhline(threshold, color="black", linestyle="--", linewidth=0.8, label=name)
    for number, (first, last) in enumerate(events):
        after = place[min(last + 1, len(place) - 1)]
        shade = upper.axvspan(place[first], after, color=NONTARGET_COLOUR, alpha=0.3, linewidth=1.0)
        if number == 0:
            shade.set_label(f"{len(events)} event{'s' if len(events) > 1 else ''}")
    upper.set(ylabel="−log₁₀ p", ylim=(0.0, None))
    if threshold is not None or events:
        legend_above(upper)
    if parts is not None:
        _draw_parts(lower[0], place, edges, parts, names)
    figure.axes[len(heights) - 1].set_xlabel(time_label)
    drawn: Figure = figure
    return drawn


def _draw_parts(
    axes: Any, place: AnyArray, edges: npt.NDArray[np.int_], parts: Float64Array, names: Sequence[str]
) -> None:
    """Draw the heat map of the contributions, one row for each channel."""
    step = place[-1] - place[-2] if len(place) > 1 else 1
    ends = np.append(place[edges[:-1]], place[-1] + step)
    cells = np.maximum.reduceat(parts, edges[:-1], axis=0).T
    mesh = axes.pcolormesh(ends, np.arange(len(names) + 1) - 0.5, cells, cmap="magma_r", vmin=0.0)
    shown = range(0, len(names), -(-len(names) // MOST_LABELS))
    axes.set_yticks(list(shown), [names[index] for index in shown], parse_math=False)
    axes.invert_yaxis()
    axes.set_ylabel("channel")
    axes.figure.colorbar(mesh, ax=axes, label="part of the score")


def _check(
    scores: npt.ArrayLike, times: npt.ArrayLike | None, contributions: npt.ArrayLike | None, channels: Any
) -> tuple[Float64Array, AnyArray, Float64Array | None, list[str]]:
    """Return scores, the place of each sample on the axis, contributions and channel names."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ParameterError(f"scores has shape {values.shape}, but finite numbers (n_samples,) are needed")
    place = np.arange(len(values)) if times is None else np.asarray(times)
    if place.shape != values.shape or not (place[1:] > place[:-1]).all():
        raise ParameterError(f"times has shape {place.shape}, but {len(values)} samples need as many times that rise")
    if contributions is None:
        return values, place, None, []
    parts = np.asarray(contributions, dtype=np.float64)
    names = [str(name) for name in (range(parts.shape[-1]) if channels is None else channels)]
    if parts.shape != (len(values), len(names)) or not names:
        raise ParameterError(
            f"contributions has shape {parts.shape}, but {len(values)} samples and {len(names)} channels need "
            f"({len(values)}, {len(names)})"
        )
    return values, place, parts, names
