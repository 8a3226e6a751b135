"""From statistics to parameters: maximum likelihood, and maximum a posteriori adaptation of a background model.

Conventions. Frames never appear here. A variance floor is absolute, in squared units of the features; `GMM` makes it a
fraction of the global variance. MAP is the method of Reynolds, Quatieri & Dunn 2000 ("Speaker verification using
adapted Gaussian mixture models", Digital Signal Processing 10), by default of the means only with r = 16.
"""

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.covariances import Covariances, Diagonal
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.validation import read_only_array

MIN_OCCUPANCY = 1e-3
"""A component with fewer frames is dead. Low on purpose: components that share one frame are not repaired for ever."""

OVER_RELAXATION = 1.9
"""Length of an over-relaxed step in steps of EM. Below 2 the fixed points of EM keep their local convergence."""


def estimate_ml(
    stats: GmmStats, *, variance_floor: npt.ArrayLike, min_occupancy: float = MIN_OCCUPANCY, shrinkage: float = 0.0
) -> GmmParams:
    """Return the parameters of maximum likelihood (the M-step).

    ``w_k = N_k / Σ N``, ``μ_k = F_k / N_k``, ``σ_k² = max(S_k / N_k − μ_k², floor)`` (Reynolds & Rose 1995, eq. 8–10),
    and so for every structure of covariances (Bishop 2006, eq. 9.24–9.26). They are about the *new* mean. A dead
    component takes over one half of the heaviest one.

    Parameters
    ----------
    stats : GmmStats
    variance_floor : array-like, shape (n_features,) or scalar
        Smallest variance, positive.
    min_occupancy : float
        A component with fewer frames than this is dead.
    shrinkage : float
        From 0 to 1: by how much correlations are drawn to 0 (Schäfer & Strimmer 2005, target D).

    Returns
    -------
    GmmParams

    Raises
    ------
    ParameterError
        If there are no frames in the statistics or the floor is not positive.

    Examples
    --------
    >>> from gmmaudio.gmm.statistics import accumulate_stats
    >>> start = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
    >>> params = estimate_ml(accumulate_stats(start, [[1.0], [3.0]]), variance_floor=0.01)
    >>> params.means, params.covariances.array
    (array([[2.]]), array([[1.]]))
    """
    floor = _check_variance_floor(variance_floor, len(stats.center))
    total = stats.zeroth.sum()
    if not total > 0:
        raise ParameterError("the statistics hold no frames; accumulate at least one with a positive weight")
    weights = stats.zeroth / total
    counts = _positive_counts(stats)
    offsets = stats.first / counts[:, np.newaxis]
    raw = stats.structure.estimate(counts, offsets, offsets, stats.second)
    dead = np.flatnonzero(dead_components(stats, min_occupancy))
    if len(dead):
        spread = np.maximum(global_moments(stats)[1], floor)
        replace_dead(dead, weights, offsets, raw, structure=stats.structure, spread=spread)
    covariances = stats.structure.floored(stats.structure.shrunk(raw, shrinkage), floor)
    return GmmParams(weights / weights.sum(), stats.center + offsets, covariances)


def over_relaxed(params: GmmParams, updated: GmmParams, *, variance_floor: Float64Array) -> GmmParams:
    """Return parameters beyond an EM update, in its direction: `OVER_RELAXATION` times as far.

    ``θ + η (M(θ) − θ)`` with 1 < η < 2 converges near a maximum wherever EM does, and up to η times as fast where EM is
    slow (Redner & Walker 1984, "Mixture densities, maximum likelihood and the EM algorithm", SIAM Review 26). θ are the
    means and the logarithms of weights and variances, which so stay positive (Salakhutdinov & Roweis 2003, "Adaptive
    overrelaxed bound optimization methods", ICML); of matrices they are the entries of Cholesky factors, of their
    diagonals the logarithms. The likelihood may fall; `run_em` then takes the plain update.

    Parameters
    ----------
    params, updated : GmmParams
        What entered an EM iteration and what came out.
    variance_floor : array, shape (n_features,)

    Examples
    --------
    >>> params, updated = GmmParams([1.0], [[0.0]], [[1.0]]), GmmParams([1.0], [[1.0]], [[1.0]])
    >>> over_relaxed(params, updated, variance_floor=np.array([0.1])).means
    array([[1.9]])
    """
    excess = OVER_RELAXATION - 1.0
    # A weight of 0 stays: its logarithm cannot be extrapolated.
    ratio = np.divide(updated.weights, params.weights, out=np.ones_like(params.weights), where=params.weights > 0)
    weights = updated.weights * ratio**excess
    raw = updated.covariances.beyond(params.covariances, excess)
    means = updated.means + excess * (updated.means - params.means)
    return GmmParams(weights / weights.sum(), means, updated.covariances.floored(raw, variance_floor))


def global_moments(stats: GmmStats) -> tuple[Float64Array, Float64Array]:
    """Return the mean and the variance of all frames together, each of shape (n_features,)."""
    total = stats.zeroth.sum()
    offset = stats.first.sum(axis=0) / total
    return stats.center + offset, stats.structure.squares(stats.second).sum(axis=0) / total - np.square(offset)


def absolute_variance_floor(mean: Float64Array, variance: Float64Array, *, fraction: float) -> Float64Array:
    """Return a variance floor that is a fraction of the global variance of each feature, shape (n_features,).

    A feature whose global variance is no more than the rounding of its mean is constant and counts as having unit
    variance, which is scikit-learn's convention for a scale of zero.
    """
    rounding = np.square(10.0 * np.finfo(np.float64).eps * np.abs(mean))
    return np.asarray(fraction * np.where(variance > rounding, variance, 1.0))


def dead_components(stats: GmmStats, min_occupancy: float = MIN_OCCUPANCY) -> npt.NDArray[np.bool_]:
    """Return which components `estimate_ml` will repair, shape (n_components,); the heaviest is never one."""
    dead = stats.zeroth < min_occupancy
    dead[stats.zeroth.argmax()] = False
    return dead


def estimate_map(
    stats: GmmStats,
    prior: GmmParams,
    *,
    relevance_factor: float = 16.0,
    update_weights: bool = False,
    update_means: bool = True,
    update_variances: bool = False,
) -> GmmParams:
    """Return the prior model adapted to the statistics (Reynolds, Quatieri & Dunn 2000, eq. 11–13).

    With adaptation weights ``α_k = N_k / (N_k + r)``::

        ŵ_k  = [α_k N_k / T + (1 − α_k) w_k] γ        (11; γ makes the sum 1)
        μ̂_k  = α_k E_k[x] + (1 − α_k) μ_k             (12)
        σ̂_k² = α_k E_k[x²] + (1 − α_k) (σ_k² + μ_k²) − μ̂_k²   (13)

    Equations 12 and 13 are the maximum-likelihood estimate from the statistics plus r pseudo-frames of each prior
    component, and are computed so. A component without data stays exactly as it is. Where the variances are updated
    but the means are not, eq. 13 becomes the second moment about the mean that is kept.

    One call with statistics under the prior is the one-shot adaptation of the paper; `run_em` with this function as
    its M-step iterates it.

    Parameters
    ----------
    stats : GmmStats
        Of the new data, usually under `prior`.
    prior : GmmParams
        The background model.
    relevance_factor : float
        Number r of pseudo-frames: the occupancy at which data and prior count equally. Positive.
    update_weights, update_means, update_variances : bool
        What to adapt; the paper found means alone to be best for speakers.

    Raises
    ------
    ParameterError
        If the relevance factor is not positive and finite, the shapes differ, or variances are to be adapted that are
        not diagonal.

    Examples
    --------
    >>> from gmmaudio.gmm.statistics import accumulate_stats
    >>> ubm = GmmParams(weights=[1.0], means=[[0.0]], covariances=[[1.0]])
    >>> estimate_map(accumulate_stats(ubm, [[1.0]] * 16), ubm).means
    array([[0.5]])
    """
    if not 0 < relevance_factor < np.inf:
        raise ParameterError(f"relevance_factor is {relevance_factor} but must be positive and finite; 16 is usual")
    if stats.first.shape != prior.means.shape:
        raise ParameterError(
            f"the statistics have shape {stats.first.shape} but the prior {prior.means.shape}; "
            "accumulate them with the prior or a model adapted from it"
        )
    pseudo_frames = np.full(prior.n_components, relevance_factor)
    total = stats + GmmStats.expected(prior, pseudo_frames, center=stats.center)
    averages = total.first / total.zeroth[:, np.newaxis]
    adaptation_weight = stats.zeroth / (stats.zeroth + relevance_factor)
    means = np.where((stats.zeroth > 0)[:, np.newaxis], stats.center + averages, prior.means)
    covariances: Covariances | Float64Array = prior.covariances
    if update_variances:
        offsets = averages if update_means else prior.means - stats.center
        covariances = _adapted_variances(stats, total, prior, averages, offsets, adaptation_weight)
    return GmmParams(
        _adapted_weights(stats, prior, adaptation_weight) if update_weights else prior.weights,
        means if update_means else prior.means,
        covariances,
    )


def split_heaviest(params: GmmParams, n_new: int, *, spread: Float64Array) -> GmmParams:
    """Return a model with `n_new` more components, each made by splitting the heaviest of those there are.

    The halves lie on both sides of the mean, along the feature in which the component is widest relative to `spread`,
    the variance of the data, shape (n_features,). Mean and variance of the pair are those of the component. The
    covariances are diagonal.
    """
    weights, means, variances = (
        np.concatenate([array, np.zeros((n_new, *array.shape[1:]))])
        for array in (params.weights, params.means, params.variances)
    )
    new = np.arange(params.n_components, len(weights))
    replace_dead(new, weights, means, variances, structure=Diagonal, spread=spread)
    return GmmParams(weights, means, variances)


def _positive_counts(stats: GmmStats) -> Float64Array:
    """Return the occupancies, 1 for those that are 0."""
    return np.where(stats.zeroth > 0, stats.zeroth, 1.0)


def replace_dead(
    dead: IntArray,
    weights: Float64Array,
    means: Float64Array,
    raw: Float64Array,
    *,
    structure: type[Covariances],
    spread: Float64Array,
) -> None:
    """Overwrite each dead component by one half of the heaviest; `spread` says what is wide in each feature."""
    for component in dead:
        heaviest = int(weights.argmax())
        shift = structure.halve(raw, heaviest, int(component), spread)
        weights[heaviest] /= 2.0
        weights[component] = weights[heaviest]
        means[component] = means[heaviest] + shift
        means[heaviest] -= shift


def _adapted_variances(
    stats: GmmStats,
    total: GmmStats,
    prior: GmmParams,
    averages: Float64Array,
    offsets: Float64Array,
    adaptation_weight: Float64Array,
) -> Float64Array:
    """Return the variances of eq. 13; `total` and its averages include the pseudo-frames."""
    # Eq. 13 is never below (1 − α) σ²; the bound keeps rounding from making it so.
    least = (1.0 - adaptation_weight)[:, np.newaxis] * prior.variances
    variances = np.maximum(Diagonal.estimate(total.zeroth, averages, offsets, total.second), least)
    return np.where((stats.zeroth > 0)[:, np.newaxis], variances, prior.variances)


def _adapted_weights(stats: GmmStats, prior: GmmParams, adaptation_weight: Float64Array) -> Float64Array:
    """Return the weights of eq. 11; those of the prior when there is no data."""
    total = stats.zeroth.sum()
    if total == 0:
        return prior.weights
    mixed = adaptation_weight * stats.zeroth / total + (1.0 - adaptation_weight) * prior.weights
    return np.asarray(mixed / mixed.sum())


def _check_variance_floor(variance_floor: npt.ArrayLike, n_features: int) -> Float64Array:
    """Return the floor as a positive array, one value per feature."""
    array = np.asarray(variance_floor)
    floor = read_only_array(
        np.broadcast_to(array, (n_features,)) if array.ndim == 0 else array, name="variance_floor", shape=(n_features,)
    )
    if not (floor > 0).all():
        raise ParameterError(f"variance_floor must be positive; the smallest value is {floor.min()}")
    return floor
