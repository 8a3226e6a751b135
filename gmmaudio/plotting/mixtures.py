"""Pictures of a mixture and its training: components, weights, responsibilities over time, likelihood history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.plotting._axes import legend_above, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gmmaudio.gmm.parameters import GmmParams

ELLIPSE_DEVIATIONS = (1.0, 2.0)
"""The ellipses of a component: 39 % and 86 % of its frames lie inside them."""

MAX_POINTS = 5000
"""Frames that are drawn, evenly spaced ones of more."""

FAINTEST = 0.25
"""Opacity of the lines of a component of weight 0, so that none is overlooked."""


def plot_components(
    params: GmmParams,
    frames: npt.ArrayLike | None = None,
    *,
    features: tuple[int, int] = (0, 1),
    names: tuple[str, str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the components of a mixture over two of its features: ellipses at one and two standard deviations.

    An ellipse is that of the component's marginal density in the two features; its lines are the fainter the less
    weight it has.

    Parameters
    ----------
    params : GmmParams
        Covariances of every structure.
    frames : array-like, shape (n_frames, n_features), optional
        Drawn as points behind; of more than 5000, evenly spaced ones.
    features : tuple of int
        Which two columns, to the right and upwards.
    names : tuple of str, optional
        What they are called.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    ParameterError
        If there are no two such features, or the frames are not of the mixture.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> from gmmaudio.gmm import GmmParams
    >>> axes = plot_components(GmmParams([0.5, 0.5], [[0.0, 0.0], [4.0, 1.0]], [[1.0, 1.0], [2.0, 0.5]]))
    >>> len(axes.patches)
    4
    """
    pair = _check_features(features, params.n_features)
    axes = new_axes(6.0, 5.0) if axes is None else axes
    from matplotlib.patches import Ellipse

    if frames is not None:
        points = _check_frames(frames, params.n_features)[:, pair]
        shown = points[:: max(1, -(-len(points) // MAX_POINTS))]
        axes.scatter(shown[:, 0], shown[:, 1], s=4, color="0.7", linewidths=0, zorder=0)
    heaviest = float(params.weights.max())
    matrices = params.covariances.matrices(*params.means.shape)
    for k, (mean, matrix) in enumerate(zip(params.means[:, pair], matrices[:, pair][:, :, pair], strict=True)):
        spreads, directions = np.linalg.eigh(matrix)
        angle = float(np.degrees(np.arctan2(directions[1, 1], directions[0, 1])))
        opacity = FAINTEST + (1 - FAINTEST) * float(params.weights[k]) / heaviest
        for deviations in ELLIPSE_DEVIATIONS:
            width, height = (2 * deviations * float(np.sqrt(spread)) for spread in spreads[::-1])
            style = {"fill": False, "edgecolor": f"C{k % 10}", "alpha": opacity, "linewidth": 1.2}
            axes.add_patch(Ellipse((float(mean[0]), float(mean[1])), width, height, angle=angle, **style))
    axes.autoscale_view()
    labels = names or tuple(f"feature {index}" for index in pair)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    return axes


def plot_weights(params: GmmParams, *, axes: Axes | None = None) -> Axes:
    """Draw the weights of a mixture as bars, the heaviest first, with the number of each component under its bar.

    Parameters
    ----------
    params : GmmParams
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> from gmmaudio.gmm import GmmParams
    >>> axes = plot_weights(GmmParams([0.25, 0.75], [[0.0], [1.0]], [[1.0], [1.0]]))
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['1', '0']
    """
    axes = new_axes(7.0, 3.0) if axes is None else axes
    order = np.argsort(-params.weights, kind="stable")
    axes.bar(np.arange(len(order)), params.weights[order], color=[f"C{k % 10}" for k in order])
    step = -(-len(order) // 32)  # more numbers than that run into each other
    axes.set_xticks(np.arange(0, len(order), step), [str(k) for k in order[::step]], rotation=90 if step > 1 else 0)
    axes.axhline(1.0 / len(order), color="0.6", linewidth=0.8, linestyle="--")
    axes.set(xlabel="component", ylabel="weight (dashed: all equal)")
    return axes


def plot_responsibilities(
    responsibilities: npt.ArrayLike,
    *,
    frame_shift: float | None = None,
    names: Sequence[str] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw which component, or which state, each frame belongs to: darker is more probable.

    Parameters
    ----------
    responsibilities : array-like, shape (n_frames, n_components)
        As `GMM.predict_proba` and `GMMHMM.predict_proba` return them; rows of 0 stay white.
    frame_shift : float, optional
        Seconds from one frame to the next; frames are counted if it is not given.
    names : sequence of str, optional
        What the components are called.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    ParameterError
        If the values are no probabilities, or the names are not as many as the components.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> axes = plot_responsibilities([[1.0, 0.0], [0.5, 0.5]], frame_shift=0.01, names=["quiet", "loud"])
    >>> axes.get_xlabel(), [label.get_text() for label in axes.get_yticklabels()]
    ('s', ['quiet', 'loud'])
    """
    table = np.asarray(responsibilities, dtype=np.float64)
    if table.ndim != 2 or table.size == 0 or not ((table >= 0) & (table <= 1 + 1e-6)).all():
        raise ParameterError(
            f"responsibilities of shape {table.shape} must be probabilities, (n_frames, n_components) with a frame"
        )
    n_frames, n_components = table.shape
    if names is not None and len(names) != n_components:
        raise ParameterError(f"names are {len(names)} but there are {n_components} components")
    axes = new_axes(8.0, min(1.2 + 0.25 * n_components, 8.0)) if axes is None else axes
    # Frame t is drawn around its own time or number.
    extent = (-0.5, n_frames - 0.5, -0.5, n_components - 0.5)
    if frame_shift is not None:
        extent = (0.0, n_frames * frame_shift, -0.5, n_components - 0.5)
    axes.imshow(
        table.T, origin="lower", aspect="auto", extent=extent, vmin=0, vmax=1, cmap="Blues", interpolation="nearest"
    )
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if names is not None:
        axes.set_yticks(range(n_components), names)
    axes.set(xlabel="frame" if frame_shift is None else "s", ylabel="" if names else "component")
    return axes


def plot_history(histories: Mapping[str, Sequence[float]] | Sequence[float], *, axes: Axes | None = None) -> Axes:
    """Draw the log-likelihood per frame over the iterations of one training, or of several by name.

    Parameters
    ----------
    histories : sequence of float, or mapping of str to such
        `history_` of an estimator.
    axes : matplotlib Axes, optional
        Where to draw; a new figure if not given.

    Raises
    ------
    ParameterError
        If a history is empty or not of numbers.
    GmmAudioError
        If matplotlib is not installed.

    Examples
    --------
    >>> axes = plot_history({"kmeans++": [-5.0, -4.2, -4.0], "random": [-7.0, -5.1]})
    >>> [text.get_text() for text in axes.get_legend().get_texts()]
    ['kmeans++ (3 iterations, -4)', 'random (2 iterations, -5.1)']
    """
    named = histories if isinstance(histories, Mapping) else {"": histories}
    lines = {name: _check_history(name, values) for name, values in named.items()}
    axes = new_axes(6.5, 4.0) if axes is None else axes
    from matplotlib.ticker import MaxNLocator

    for name, values in lines.items():
        label = f"{name} ({len(values)} iterations, {values[-1]:.5g})".lstrip()
        axes.plot(np.arange(1, len(values) + 1), values, marker=".", label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="iteration", ylabel="log-likelihood per frame")
    legend_above(axes)
    return axes


def _check_features(features: tuple[int, int], n_features: int) -> list[int]:
    """Return two different columns of the mixture."""
    pair = [int(index) for index in features]
    if len(pair) != 2 or pair[0] == pair[1] or not all(0 <= index < n_features for index in pair):
        raise ParameterError(
            f"features is {tuple(features)} but must be two different columns of the {n_features} of the mixture"
        )
    return pair


def _check_frames(frames: npt.ArrayLike, n_features: int) -> Float64Array:
    """Return frames of the mixture."""
    array = np.asarray(frames, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != n_features:
        raise ParameterError(f"frames has shape {array.shape} but the mixture needs (n_frames, {n_features})")
    return array


def _check_history(name: str, values: Sequence[float]) -> Float64Array:
    """Return a history of one or more numbers."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array) or np.isnan(array).any():
        raise ParameterError(f"the history {name!r} has shape {array.shape} but needs one or more numbers")
    return array
