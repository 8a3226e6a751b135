"""Log-likelihood ratios of models against the background model that they were adapted from.

Conventions. Natural logs; a ratio is of one frame, or the mean over the frames of a recording, never the sum. Higher
means that the model explains the frame better than the background does. Any model with the features of the background
can be scored in full; scoring by the top components needs models whose components correspond to those of the
background, as adapted ones do.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float32Array, Float64Array, FloatArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import check_n_threads, in_parallel, one_blas_thread, worth_threads
from gmmaudio.gmm.density import (
    MIN_COMPONENTS,
    Precision,
    Tile,
    density_matrix,
    density_tiles,
    frame_log_likelihoods,
)
from gmmaudio.gmm.log_sum_exp import exponentiate, log_sum_exp
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.scoring.adapted_models import AdaptedModels, as_adapted, is_mean_adapted
from gmmaudio.gmm.scoring.top_scoring import WINDOW_FRAMES, write_top_ratios
from gmmaudio.validation import check_frames


@one_blas_thread
def frame_log_likelihood_ratios(
    models: Sequence[GmmParams],
    ubm: GmmParams,
    frames: npt.ArrayLike,
    *,
    n_top: int | None = None,
    precision: Precision = "single",
) -> Float64Array:
    """Return ``log p(frame | model) − log p(frame | ubm)`` for each frame and model.

    With `n_top` = C, only the C components with the greatest density of the background are evaluated in each model
    (Reynolds, Quatieri & Dunn 2000, section 3.4), and the density of all others is taken from the background, so that
    nothing is lost where a frame is far from everything (the completion of the ALIZE toolkit). The background is
    evaluated once for all models, and in float32 all models that were adapted by their means alone are scored together.
    There a component more than `SPAN` nats below the best of the frame is taken from the background too, and the
    ratio of a frame lies within ±80 nats.

    Parameters
    ----------
    models : sequence of GmmParams
        For many calls best an `AdaptedModels`: anything else is arranged anew in every call.
    ubm : GmmParams
    frames : array-like, shape (n_frames, n_features)
    n_top : int, optional
        Number C of components per frame, 1 to n_components; all if it is not given. C = n_components is the full
        score, bit for bit.
    precision : {"single", "double"}

    Returns
    -------
    array, shape (n_frames, n_models)
        A frame has the same bits however the frames are cut into calls, and whichever other models are scored.

    Raises
    ------
    ParameterError
        If the frames do not fit the background, a model does not, or `n_top` is out of range.

    Examples
    --------
    >>> ubm = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
    >>> speaker = GmmParams(weights=[1.0], means=[[1.0]], covariances=[[1.0]])
    >>> frame_log_likelihood_ratios([speaker], ubm, [[0.0], [1.0]])
    array([[-0.5],
           [ 0.5]])
    """
    frames = check_frames(frames, n_features=ubm.n_features)
    _check_models(models, ubm, n_top)
    ratios = np.empty((len(frames), len(models)))
    if n_top is None or n_top == ubm.n_components:
        background = frame_log_likelihoods(ubm, frames, precision=precision)
        for column, model in enumerate(models):
            ratios[:, column] = frame_log_likelihoods(model, frames, precision=precision) - background
        return ratios
    if precision == "single" and bears_fast_scores(models, ubm):
        return _ratios_of_adapted(as_adapted(models, ubm), frames, n_top)
    is_fast = [precision == "single" and bears_fast_scores([model], ubm) for model in models]
    fast = [column for column, whether in enumerate(is_fast) if whether]
    slow = [column for column, whether in enumerate(is_fast) if not whether]
    if fast:
        ratios[:, fast] = _ratios_of_adapted(AdaptedModels([models[column] for column in fast], ubm), frames, n_top)
    others = [models[column] for column in slow]
    for tile in density_tiles(ubm, frames, precision=precision):
        ratios[tile.rows, slow] = _tile_ratios(others, ubm, frames[tile.rows], tile, n_top, precision)
    return ratios


def log_likelihood_ratio(
    models: Sequence[GmmParams],
    ubm: GmmParams,
    frames: npt.ArrayLike,
    *,
    n_top: int | None = None,
    precision: Precision = "single",
) -> Float64Array:
    """Return the mean log-likelihood ratio per frame of each model, shape (n_models,).

    The sum runs from the first frame to the last, so that a stream which adds its ratios one by one has the same bits.
    Parameters and errors as in `frame_log_likelihood_ratios`; at least one frame is needed.

    Examples
    --------
    >>> ubm = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
    >>> speaker = GmmParams(weights=[1.0], means=[[1.0]], covariances=[[1.0]])
    >>> log_likelihood_ratio([speaker], ubm, [[0.0], [1.0], [2.0]])
    array([0.5])
    """
    ratios = frame_log_likelihood_ratios(models, ubm, frames, n_top=n_top, precision=precision)
    if not len(ratios):
        raise ParameterError("there are no frames to score; a mean needs at least one")
    return np.asarray(np.cumsum(ratios, axis=0)[-1] / len(ratios))


def bears_fast_scores(models: Sequence[GmmParams], ubm: GmmParams) -> bool:
    """Return whether the models can be scored together in float32: adapted by their means from a large background."""
    if ubm.n_components < MIN_COMPONENTS:
        return False
    if isinstance(models, AdaptedModels) and models.ubm is ubm:
        return True
    return all(is_mean_adapted(model, ubm) for model in models)


def check_n_top(n_top: int, models: Sequence[GmmParams], ubm: GmmParams) -> None:
    """Raise unless there are so many components, and the models have those of the background."""
    if not 1 <= n_top <= ubm.n_components:
        raise ParameterError(f"n_top is {n_top} but must be from 1 to the {ubm.n_components} components")
    if any(model.n_components != ubm.n_components for model in models):
        raise ParameterError(
            f"n_top needs models adapted from the background, with {ubm.n_components} components; "
            "leave n_top out to score other models in full"
        )


def _ratios_of_adapted(models: AdaptedModels, frames: FloatArray, n_top: int) -> Float64Array:
    """Return the ratios of all models by their top components."""
    ratios = np.empty((len(frames), len(models)))
    _ = models.coefficients  # made here, not by several threads at once

    def write_part(part: slice) -> None:
        def write(columns: slice, in_part: Float32Array) -> None:
            ratios[part, columns] = np.log(in_part.astype(np.float64))

        write_top_ratios(models, frames[part], n_top=n_top, write=write)

    parts = [slice(start, start + WINDOW_FRAMES) for start in range(0, len(frames), WINDOW_FRAMES)]
    n_products = len(frames) * n_top * models.ubm.n_features * len(models)
    in_parallel(write_part, parts, n_threads=worth_threads(check_n_threads(None), n_products))
    return ratios


def _tile_ratios(
    models: Sequence[GmmParams], ubm: GmmParams, frames: FloatArray, tile: Tile, n_top: int, precision: Precision
) -> Float64Array:
    """Return the ratios of the frames of one tile, whose background densities are given, for models of any kind."""
    n_frames = len(frames)
    ratios = np.empty((n_frames, len(models)))
    top = np.argpartition(tile.log_densities, -n_top, axis=0)[-n_top:, :n_frames].T
    background = log_sum_exp(*exponentiate(tile.log_densities.copy()))[:n_frames] + ubm.log_unit_volume
    np.put_along_axis(tile.log_densities[:, :n_frames], top.T, -np.inf, axis=0)
    others = log_sum_exp(*exponentiate(tile.log_densities))[:n_frames] + ubm.log_unit_volume
    for column, model in enumerate(models):
        matrix = density_matrix(model, precision)
        design = np.empty((matrix.shape[1], tile.design.shape[1]), matrix.dtype)
        model.design.fill(frames, design)
        # One small product per frame, always of the same shape: the same bits for every cut.
        selected = np.matmul(matrix[top], np.ascontiguousarray(design.T)[:n_frames, :, np.newaxis])[:, :, 0]
        in_top = log_sum_exp(*exponentiate(np.ascontiguousarray(selected.T))) + model.log_unit_volume
        ratios[:, column] = np.logaddexp(in_top, others) - background
    return ratios


def _check_models(models: Sequence[GmmParams], ubm: GmmParams, n_top: int | None) -> None:
    """Raise unless every model can be compared with the background in the way that is asked for."""
    for model in models:
        if model.n_features != ubm.n_features:
            raise ParameterError(f"a model has {model.n_features} features but the background has {ubm.n_features}")
    if n_top is not None:
        check_n_top(n_top, models, ubm)
