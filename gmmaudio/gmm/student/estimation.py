"""From statistics to the parameters of a mixture of Student distributions: the M-step.

Conventions. Frames never appear here. The variance floor is absolute, in squared units of the features, and bounds the
scale matrices. A box of noise keeps its place; only its weight is estimated.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, expit, logit

from gmmaudio._typing import BoolArray, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.estimation import OVER_RELAXATION, dead_components, global_moments, over_relaxed, replace_dead
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.student.parameters import StudentParams, UniformNoise
from gmmaudio.gmm.student.statistics import StudentStats

LEAST_DEGREES, MOST_DEGREES = 0.1, 1000.0
"""Range in which degrees of freedom are looked for; from 1000 on, data do not tell a component from a Gaussian."""

FIRST_DEGREES = 4.0
"""Degrees of freedom that EM starts with where they are estimated: heavy tails, so that outliers count little."""


def estimate_student(
    stats: StudentStats,
    *,
    variance_floor: Float64Array,
    degrees_of_freedom: float | None = None,
    noise: UniformNoise | None = None,
) -> StudentParams:
    """Return the parameters of maximum likelihood (Peel & McLachlan 2000).

    With ``U = Σ γ u`` and ``N = Σ γ``: ``w = N / Σ N``, ``μ = Σ γ u x / U``, ``Σ = Σ γ u (x − μ)(x − μ)ᵀ / N``, and
    degrees of freedom as in `likely_degrees`. A dead component takes over one half of the heaviest one. Dividing by U
    in place of N (Kent, Tyler & Vardi 1994) saved a third of the iterations at most, and is no ascent at the floor.

    Parameters
    ----------
    stats : StudentStats
    variance_floor : array, shape (n_features,)
    degrees_of_freedom : float, optional
        Estimated for each component if not given.
    noise : UniformNoise, optional
        Its box is kept; its weight is the share of frames that no component has taken.

    Returns
    -------
    StudentParams

    Raises
    ------
    ParameterError
        If no frames belong to a component.

    Examples
    --------
    >>> from gmmaudio.gmm.student.statistics import accumulate_student
    >>> start = StudentParams(GmmParams([1.0], [[0.0]], [[1.0]]), 2.0)
    >>> stats = accumulate_student(start, [[-1.0], [1.0], [1000.0]])
    >>> estimate_student(stats, variance_floor=np.array([0.01]), degrees_of_freedom=2.0).components.means.round(4)
    array([[0.0015]])
    """
    scaled, structure = stats.scaled, stats.scaled.structure
    total = stats.occupancy.sum()
    if not total > 0:
        raise ParameterError("no frames belong to a component; accumulate at least one with a positive weight")
    weights = stats.occupancy / total
    counts = np.where(scaled.zeroth > 0, scaled.zeroth, 1.0)
    frames = np.where(stats.occupancy > 0, stats.occupancy, 1.0)
    offsets = scaled.first / counts[:, np.newaxis]
    raw = structure.estimate(counts, offsets, offsets, scaled.second)
    per_frame = np.asarray(counts.sum() / frames.sum() if structure.is_shared() else counts / frames)
    raw *= per_frame.reshape(-1, *[1] * (raw.ndim - 1)) if per_frame.ndim else per_frame
    degrees = likely_degrees(stats) if degrees_of_freedom is None else np.full(len(weights), degrees_of_freedom)
    dead = np.flatnonzero(dead_students(stats))
    if len(dead):
        spread = np.maximum(global_moments(scaled)[1], variance_floor)
        replace_dead(dead, weights, offsets, raw, structure=structure, spread=spread)
        degrees[dead] = FIRST_DEGREES if degrees_of_freedom is None else degrees_of_freedom
    components = GmmParams(weights / weights.sum(), scaled.center + offsets, structure.floored(raw, variance_floor))
    if noise is not None:
        noise = replace(noise, weight=float(min(max(1.0 - total / stats.n_frames, 0.0), 1.0)))
    return StudentParams(components, degrees, noise)


def likely_degrees(stats: StudentStats) -> Float64Array:
    """Return the degrees of freedom that maximise the expected likelihood, shape (n_components,).

    The root of ``log(ν / 2) − ψ(ν / 2) + 1 + Σ γ (E[log U] − E[U]) / N`` (Peel & McLachlan 2000), of which
    there is one: log − ψ falls from infinity to 0. It is cut to `LEAST_DEGREES` and `MOST_DEGREES`.
    """
    frames = np.where(stats.occupancy > 0, stats.occupancy, 1.0)
    gaps = np.where(stats.occupancy > 0, stats.log_scales / frames, -1.0)

    def slope(log_degrees: float, gap: float) -> float:
        half = 0.5 * np.exp(log_degrees)
        return float(np.log(half) - digamma(half) + 1.0 + gap)

    low, high = np.log(LEAST_DEGREES), np.log(MOST_DEGREES)
    roots = [
        low if slope(low, gap) <= 0 else high if slope(high, gap) >= 0 else brentq(slope, low, high, args=(gap,))
        for gap in gaps
    ]
    return np.exp(np.asarray(roots, dtype=np.float64))


def dead_students(stats: StudentStats) -> BoolArray:
    """Return which components `estimate_student` will repair; see `gmmaudio.gmm.estimation.dead_components`."""
    return dead_components(replace(stats.scaled, zeroth=stats.occupancy))


def relaxed_student(
    params: StudentParams, updated: StudentParams, *, variance_floor: Float64Array, degrees_of_freedom: float | None
) -> StudentParams:
    """Return parameters beyond an EM update; see `gmmaudio.gmm.estimation.over_relaxed`.

    Degrees of freedom move in their logarithm, the weight of noise in its log-odds.
    """
    excess = OVER_RELAXATION - 1.0
    degrees = updated.degrees_of_freedom
    if degrees_of_freedom is None:
        degrees = np.clip(degrees * (degrees / params.degrees_of_freedom) ** excess, LEAST_DEGREES, MOST_DEGREES)
    noise = updated.noise
    if noise is not None and params.noise is not None and 0 < noise.weight < 1 and 0 < params.noise.weight < 1:
        step = logit(noise.weight) - logit(params.noise.weight)
        noise = replace(noise, weight=float(expit(logit(noise.weight) + excess * step)))
    components = over_relaxed(params.components, updated.components, variance_floor=variance_floor)
    return StudentParams(components, degrees, noise)
