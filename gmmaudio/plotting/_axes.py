"""Axes of new figures, without a display and without global state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gmmaudio.errors import GmmAudioError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def new_axes(width: float, height: float) -> Axes:
    """Return the axes of a new figure of the given size in inches."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise GmmAudioError("plots need matplotlib, which is not installed; pip install 'gmmaudio[plot]'") from error
    return Figure(figsize=(width, height), dpi=120, layout="constrained").add_subplot()


def legend_above(axes: Axes) -> None:
    """Put the legend above the axes, as no corner of them is sure to be empty."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
