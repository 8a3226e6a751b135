"""Pictures of a search for the number of components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gmmaudio.plotting._axes import legend_above, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gmmaudio.gmm.selection import Selection

CHOSEN_COLOUR = "#D55E00"


def plot_selection(selection: Selection, *, axes: Axes | None = None) -> Axes:
    """Draw the criterion against the number of components, a line for each covariance type, and what was chosen.

    Bars at held-out likelihoods are one standard error over the recordings to each side. They are wider than what
    decides between two candidates: `Candidate.behind_error` has that.

    Parameters
    ----------
    selection : Selection
        What `gmmaudio.gmm.select` returned.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmaudio.gmm import select
    >>> axes = plot_selection(select(np.random.default_rng(0).normal(size=(200, 2)), (1, 2), random_state=0))
    >>> axes.get_ylabel(), axes.get_legend().get_texts()[-1].get_text()
    ('BIC (the least is the best)', 'chosen: 1 (diag)')
    """
    from matplotlib.ticker import MaxNLocator

    axes = new_axes(6.5, 4.0) if axes is None else axes
    by_type: dict[str, list[int]] = {}
    for place, candidate in enumerate(selection.candidates):
        by_type.setdefault(candidate.covariance_type, []).append(place)
    for covariance_type, places in by_type.items():
        line = sorted((selection.candidates[place] for place in places), key=lambda c: c.n_components)
        numbers = [candidate.n_components for candidate in line]
        values = [float(getattr(candidate, selection.criterion)) for candidate in line]
        if selection.criterion == "held_out":
            errors = [candidate.held_out_error for candidate in line]
            axes.errorbar(numbers, values, yerr=errors, marker=".", capsize=3, label=covariance_type)
        else:
            axes.plot(numbers, values, marker=".", label=covariance_type)
    best = selection.best
    axes.plot(
        best.n_components,
        float(getattr(best, selection.criterion)),
        marker="o",
        markersize=11,
        fillstyle="none",
        linestyle="none",
        color=CHOSEN_COLOUR,
        label=f"chosen: {best.n_components} ({best.covariance_type})",
    )
    if selection.criterion == "held_out":
        name = "held-out log-likelihood per frame"
    else:
        name = f"{selection.criterion.upper()} (the least is the best)"
    axes.set(xlabel="components", ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes)
    return axes
