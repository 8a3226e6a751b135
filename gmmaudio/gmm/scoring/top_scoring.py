"""Likelihood ratios of many mean-adapted models at once, by the top components of the background.

The background is evaluated once for all models. For a frame with posterior probabilities γ_k of its top components and
the linear log-ratios g_k of `AdaptedModels`, the ratio of a model is ``Σ_top γ_k exp(g_k) + 1 − Σ_top γ_k``: the
density of all other components is taken from the background. So a model costs C (D + 1) products per frame instead
of K (2 D + 1). The entries (frame, component) of a window are sorted by component, so that the coefficients of one
component of `BLOCK_MODELS` models are read once for all its frames.
"""

from collections.abc import Callable

import numpy as np

from gmmaudio._typing import Float32Array, FloatArray, IntArray
from gmmaudio.gmm.density import SPAN, density_tiles
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.scoring.adapted_models import BLOCK_MODELS, AdaptedModels, n_coefficients

WINDOW_FRAMES = 8192
"""Frames whose entries are sorted together: some tens per component, and ratios that stay in the second cache."""

LOWEST = -1e30
"""Log-densities are raised to this, so that float32 holds them and their differences."""


def write_top_ratios(
    models: AdaptedModels,
    frames: FloatArray,
    *,
    n_top: int,
    write: Callable[[slice, Float32Array], None],
) -> None:
    """Call ``write(columns, ratios)`` for each block of models with their likelihood ratios (not logs) of all frames.

    `ratios`, shape (n_frames, n_columns), is overwritten by the next block. Up to `WINDOW_FRAMES` frames.
    """
    from gmmaudio.gmm.scoring import _kernels

    ubm = models.ubm
    rows, components, shares, others = _top_of_background(ubm, frames, n_top)
    ends = np.empty(ubm.n_components + 1, np.int32)
    entry_frames = np.empty(components.size, np.int32)
    entry_shares = np.empty(components.size, np.float32)
    _kernels.group_by_component(components, shares, ends, entry_frames, entry_shares)
    ratios = np.empty((len(frames), BLOCK_MODELS), np.float32)
    for number, coefficients in enumerate(models.coefficients):
        ratios[:] = others[:, np.newaxis]
        _kernels.add_ratios(rows, ends, entry_frames, entry_shares, coefficients, ratios)
        columns = slice(number * BLOCK_MODELS, min((number + 1) * BLOCK_MODELS, len(models)))
        write(columns, ratios[:, : columns.stop - columns.start])


def _top_of_background(
    ubm: GmmParams, frames: FloatArray, n_top: int
) -> tuple[Float32Array, IntArray, Float32Array, Float32Array]:
    """Return rows ``[z, 1, 0…]``, the top components with their shares, and the share of all others, of each frame."""
    from gmmaudio.gmm.scoring import _kernels

    n_frames, n_features = frames.shape
    rows = np.zeros((n_frames, n_coefficients(ubm)), np.float32)
    components = np.empty((n_frames, n_top), np.int32)
    shares = np.empty((n_frames, n_top), np.float32)
    others = np.empty(n_frames, np.float32)
    for part, design, log_densities in density_tiles(ubm, frames, precision="single"):
        listed = components[part], shares[part], others[part]
        _kernels.select_top(_in_single(log_densities), np.float32(SPAN), *listed)
        rows[part, :n_features] = design[:n_features, : part.stop - part.start].T
    rows[:, n_features] = 1.0
    return rows, components, shares, others


def _in_single(log_densities: FloatArray) -> Float32Array:
    """Return the densities in float32; those that had to be calculated in float64 relative to the best of the frame."""
    if log_densities.dtype == np.float32:
        return log_densities
    return np.asarray(np.maximum(log_densities - log_densities.max(axis=0), LOWEST).astype(np.float32))
