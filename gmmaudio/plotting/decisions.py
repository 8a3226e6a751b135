"""Pictures of decisions: DET curves, confusions, score distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.metrics import det_curve, eer, validate
from gmmaudio.plotting._axes import legend_above, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TARGET_COLOUR = "#0072B2"  # this blue and this orange differ for the colour-blind too
NONTARGET_COLOUR = "#D55E00"
DET_TICKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99)
DET_LIMITS = (0.001, 0.6)
DET_LIMITS_OF_BAD_SYSTEM = (0.005, 0.99)
BAD_EER = 0.4
MAX_LABELS_WITHOUT_SMALL_PRINT = 12


def plot_det(curves: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]], *, axes: Axes | None = None) -> Axes:
    """Draw detection error trade-off curves, with the equal error rate of each marked and named.

    Both axes are stretched by the inverse of the normal distribution: Gaussian scores give straight lines (Martin
    et al. 1997, "The DET curve in assessment of detection task performance").

    Parameters
    ----------
    curves : mapping of str to (scores, is_target)
        For each system its name and its trials, as `gmmaudio.metrics.validate` takes them.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    ParameterError
        If there is no curve or the trials of one cannot be used.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> axes = plot_det({"ours": ([3.0, 1.0, 2.0, 0.0], [True, True, False, False])})
    >>> axes.get_legend().get_texts()[0].get_text()
    'ours (EER 50.0 %)'
    """
    if not curves:
        raise ParameterError("curves is empty; give at least one system with its scores and is_target")
    axes = new_axes(6.0, 6.0) if axes is None else axes
    error_rates = {label: eer(*trials) for label, trials in curves.items()}
    limits = DET_LIMITS if max(error_rates.values()) < BAD_EER else DET_LIMITS_OF_BAD_SYSTEM
    _use_normal_deviates(axes, limits)
    axes.plot(limits, limits, color="0.8", linewidth=0.8, zorder=0)
    for label, trials in curves.items():
        p_miss, p_fa, _ = det_curve(*trials)
        name = f"{label} (EER {100 * error_rates[label]:.1f} %)"
        (line,) = axes.plot(_off_the_ends(p_fa), _off_the_ends(p_miss), label=name)
        # A perfect system has its mark in the corner, the nearest that the axes can show.
        mark = float(np.clip(error_rates[label], *limits))
        axes.plot(mark, mark, marker="o", color=line.get_color(), clip_on=False, zorder=3)
    axes.set(xlabel="false acceptances (%)", ylabel="misses (%)")
    legend_above(axes)
    return axes


def plot_confusion(
    matrix: npt.ArrayLike,
    labels: Sequence[str],
    *,
    decisions: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw a table of who spoke against who was named; right decisions are blue, wrong ones orange.

    A cell is the darker the larger its share of the row; the number in it is the count, and empty cells stay white.

    Parameters
    ----------
    matrix : array-like of int, shape (n_labels, n_decisions)
        How many recordings of each label (row) got each decision (column).
    labels : sequence of str
        Who spoke, a name for each row.
    decisions : sequence of str, optional
        What was decided, a name for each column, such as `[*labels, "unknown"]`. The labels if not given.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    ParameterError
        If the shape of the matrix does not fit the names, or a count is negative or not finite.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> axes = plot_confusion([[5, 0, 1], [0, 6, 0]], ["anna", "bruno"], decisions=["anna", "bruno", "unknown"])
    >>> [text.get_text() for text in axes.texts]
    ['5', '1', '6']
    """
    decisions = labels if decisions is None else decisions
    counts = _check_counts(matrix, len(labels), len(decisions))
    cell = 0.45 if len(decisions) <= MAX_LABELS_WITHOUT_SMALL_PRINT else 0.28
    axes = new_axes(2.0 + cell * len(decisions), 1.5 + cell * len(labels)) if axes is None else axes
    font_size = 9 if len(decisions) <= MAX_LABELS_WITHOUT_SMALL_PRINT else 7
    is_right = np.array([[label == decision for decision in decisions] for label in labels])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(_cell_colours(shares, is_right))
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{counts[row, column]:g}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=font_size)
    _name_cells(axes, labels, decisions, font_size)
    axes.set(xlabel="decision", ylabel="speaker")
    return axes


def plot_scores(
    scores: npt.ArrayLike,
    is_target: npt.ArrayLike,
    *,
    threshold: float | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw how the scores of target and of nontarget trials are distributed.

    Parameters
    ----------
    scores, is_target : array-like, shape (n_trials,)
        The trials, as `gmmaudio.metrics.validate` takes them.
    threshold : float, optional
        Where the decision is made; drawn as a line and named with both error rates.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    ParameterError
        If the trials cannot be used.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> axes = plot_scores([3.0, 1.0, 2.0, 0.0], [True, True, False, False], threshold=2.5)
    >>> axes.get_legend().get_texts()[-1].get_text()
    'threshold 2.5: 50.0 % missed, 0.0 % falsely accepted'
    """
    score_array, labels = validate(scores, is_target)
    axes = new_axes(7.0, 4.0) if axes is None else axes
    # Rules for the number of bins look at all trials, which would hide a few targets among many nontargets.
    edges = np.histogram_bin_edges(score_array, bins=40).tolist()
    for name, kind, colour in (("nontarget", ~labels, NONTARGET_COLOUR), ("target", labels, TARGET_COLOUR)):
        weights = np.full(kind.sum(), 100 / kind.sum())
        legend = f"{name} ({kind.sum()} trials)"
        axes.hist(
            score_array[kind], edges, weights=weights, color=colour, alpha=0.6, histtype="stepfilled", label=legend
        )
    if threshold is not None:
        missed = 100 * np.mean(score_array[labels] < threshold)
        accepted = 100 * np.mean(score_array[~labels] >= threshold)
        legend = f"threshold {threshold:.3g}: {missed:.1f} % missed, {accepted:.1f} % falsely accepted"
        axes.axvline(threshold, color="black", linestyle="--", label=legend)
    axes.set(xlabel="score", ylabel="trials of the kind (%)")
    legend_above(axes)
    return axes


def _use_normal_deviates(axes: Axes, limits: tuple[float, float]) -> None:
    """Stretch both axes by the inverse normal distribution and label them in per cent."""
    ticks = [tick for tick in DET_TICKS if limits[0] <= tick <= limits[1]]
    names = [f"{100 * tick:g}" for tick in ticks]
    axes.set_xscale("function", functions=(ndtri, ndtr))
    axes.set_yscale("function", functions=(ndtri, ndtr))
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set(xlim=limits, ylim=limits, box_aspect=1)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _off_the_ends(rates: Float64Array) -> Float64Array:
    """Keep rates off 0 and 1, whose normal deviates are infinite; far outside what the axes show."""
    return np.clip(rates, 1e-9, 1 - 1e-9)


def _check_counts(matrix: npt.ArrayLike, n_labels: int, n_decisions: int) -> Float64Array:
    """Return the counts of a confusion matrix of the right shape."""
    counts = np.asarray(matrix, dtype=np.float64)
    if counts.shape != (n_labels, n_decisions) or 0 in counts.shape:
        raise ParameterError(
            f"matrix has shape {counts.shape} but {n_labels} labels and {n_decisions} decisions need "
            f"({n_labels}, {n_decisions}); name the columns with `decisions` if they are more than the labels"
        )
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise ParameterError("matrix holds negative or non-finite values; every cell is a count of recordings")
    return counts


def _name_cells(axes: Axes, rows: Sequence[str], columns: Sequence[str], font_size: int) -> None:
    """Write the names of rows and columns, with faint lines that lead the eye from a cell to both."""
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=font_size)
    axes.set_yticks(range(len(rows)), rows, fontsize=font_size)
    axes.set_xticks(np.arange(len(columns)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows)) - 0.5, minor=True)
    axes.grid(which="minor", color="0.9", linewidth=0.6)
    axes.tick_params(which="minor", length=0)


def _cell_colours(shares: Float64Array, is_right: npt.NDArray[np.bool_]) -> Float64Array:
    """Return the colour of each cell: white if empty, else never so pale that it could be overlooked."""
    from matplotlib import colormaps

    depth = np.where(shares > 0, 0.2 + 0.7 * shares, 0.0)
    right, wrong = colormaps["Blues"](depth), colormaps["Oranges"](depth)
    colours = np.where(is_right[..., np.newaxis], right, wrong)
    return np.where(shares[..., np.newaxis] > 0, colours, 1.0)
