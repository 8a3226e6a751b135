"""Clusters and spreads that outliers have no part in: trimmed k-means, medians and quartiles.

Conventions. Everything is in memory: these look at a sample of the frames. Weights are counts of frames.
"""

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.gmm._blas import one_blas_thread

TRIMMED_SHARE = 0.2
"""Share of the frames that trimmed k-means leaves out, the farthest from their clusters: more than the outliers that
there may be. Beside two clusters with 10 % of outliers, 0.15 was not always enough."""

RESTARTS = 10
"""Trimmed clusterings that are tried: one that begins with outliers seldom loses them again."""

ITERATIONS = 10
"""Of each of them."""

SEEDING_MIN, SEEDING_PER_CLUSTER = 2000, 30
"""Frames, and frames per cluster, among which the tries are made; the best goes on with all frames."""

NORMAL_QUARTILES = 1.3489795
"""Distance between the quartiles of the standard normal distribution."""


def robust_spread(frames: FloatArray, weights: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the median of each feature and its distance between quartiles in units of that of a normal distribution.

    Half of the frames have no influence on how far out they are. A feature of which half of the values are equal has a
    spread of 0.

    Parameters
    ----------
    frames : array, shape (n_frames, n_features)
    weights : array, shape (n_frames,)
        With a positive sum.

    Returns
    -------
    array, array
        Each of shape (n_features,).

    Examples
    --------
    >>> robust_spread(np.array([[0.0], [1.0], [2.0], [1e9]]), np.ones(4))[0]
    array([1.])
    """
    order = np.argsort(frames, axis=0, kind="stable")
    cumulative = np.cumsum(weights[order], axis=0)
    quartiles = np.stack([_quantile(frames, order, cumulative, share) for share in (0.25, 0.5, 0.75)])
    return quartiles[1], (quartiles[2] - quartiles[0]) / NORMAL_QUARTILES


@one_blas_thread
def trimmed_labels(
    frames: FloatArray, weights: Float64Array, n_clusters: int, random_state: np.random.RandomState
) -> IntArray:
    """Return the cluster of each frame, −1 for those that are left out.

    Trimmed k-means (Cuesta-Albertos, Gordaliza & Matrán 1997, "Trimmed k-means: an attempt to robustify quantizers",
    Annals of Statistics 25): Lloyd's iterations on the frames that are nearest to their centers, `TRIMMED_SHARE` left
    out. The best of `RESTARTS`. Seeds are drawn as in greedy k-means++ (Arthur & Vassilvitskii 2007).

    Parameters
    ----------
    frames : array, shape (n_frames, n_features)
        Standardised.
    weights : array, shape (n_frames,)
    n_clusters : int
        Some stay empty if there are too few distinct frames.
    random_state : numpy.random.RandomState
    """
    table = np.asarray(frames, dtype=np.float64)
    drawn = random_state.permutation(np.flatnonzero(weights > 0))[: max(SEEDING_MIN, SEEDING_PER_CLUSTER * n_clusters)]
    few, their_weights = table[drawn], weights[drawn]
    tries = [
        _improved(few, their_weights, _seeds(few, their_weights, n_clusters, random_state)) for _ in range(RESTARTS)
    ]
    _, best = min(tries, key=lambda found: found[0])
    labels, _, kept = _assigned(table, weights, _improved(table, weights, best)[1])
    return np.where(kept > 0, labels, -1)


def _improved(frames: Float64Array, weights: Float64Array, centers: Float64Array) -> tuple[float, Float64Array]:
    """Return the sum of squares within clusters after Lloyd's iterations, and their centers."""
    n_clusters = len(centers)
    for _ in range(ITERATIONS):
        labels, squares, kept = _assigned(frames, weights, centers)
        sizes = np.bincount(labels, kept, n_clusters)
        sums = np.stack([np.bincount(labels, kept * column, n_clusters) for column in frames.T], axis=1)
        centers = np.where(sizes[:, np.newaxis] > 0, sums / np.maximum(sizes, 1e-300)[:, np.newaxis], centers)
    _, squares, kept = _assigned(frames, weights, centers)
    return float(kept @ squares), centers


def _assigned(
    frames: Float64Array, weights: Float64Array, centers: Float64Array
) -> tuple[IntArray, Float64Array, Float64Array]:
    """Return the nearest center of each frame, its squared distance, and the weights without the farthest frames."""
    lengths = np.square(frames).sum(axis=1)
    table = np.square(centers).sum(axis=1) - 2.0 * (frames @ centers.T)
    labels = table.argmin(axis=1)
    squares = np.maximum(table[np.arange(len(frames)), labels] + lengths, 0.0)
    return labels, squares, _without_farthest(squares, weights, TRIMMED_SHARE)


def _seeds(
    frames: Float64Array, weights: Float64Array, n_clusters: int, random_state: np.random.RandomState
) -> Float64Array:
    """Return frames to begin with, one after the other.

    Each is the best of a few that are drawn in proportion to their squared distance from the seeds so far, the first
    from all frames, the last without the farthest. The best leaves the least sum of squares without the frames that are
    farthest then, so that an outlier has nothing to gain.
    """
    shares = np.linspace(0.0, TRIMMED_SHARE, 4 + int(np.log(n_clusters)))
    seeds = frames[[_draw(weights, random_state)]]
    nearest = np.square(frames - seeds).sum(axis=1)
    while len(seeds) < n_clusters:
        chances = [_without_farthest(nearest, weights, share) * nearest for share in shares]
        drawn = [_draw(chance if chance.sum() > 0 else weights, random_state) for chance in chances]
        squares = [np.minimum(nearest, np.square(frames - frames[index]).sum(axis=1)) for index in drawn]
        best = int(np.argmin([_without_farthest(each, weights, TRIMMED_SHARE) @ each for each in squares]))
        seeds, nearest = np.vstack([seeds, frames[drawn[best]]]), squares[best]
    return seeds


def _without_farthest(squares: Float64Array, weights: Float64Array, share: float) -> Float64Array:
    """Return the weights, those of the share of frames that are farthest set to 0."""
    if weights.min() == weights.max():
        n_kept = max(1, round((1.0 - share) * len(squares)))
        return np.where(squares <= np.partition(squares, n_kept - 1)[n_kept - 1], weights, 0.0)
    order = np.argsort(squares, kind="stable")
    kept = np.zeros_like(weights)
    before = np.cumsum(weights[order]) - weights[order]
    inside = order[before < (1.0 - share) * weights.sum()]
    kept[inside] = weights[inside]
    return kept


def _draw(chances: Float64Array, random_state: np.random.RandomState) -> int:
    """Return a random index, in proportion to the chances."""
    cumulative = np.cumsum(chances)
    return int(np.searchsorted(cumulative, random_state.random_sample() * cumulative[-1], side="right"))


def _quantile(frames: FloatArray, order: IntArray, cumulative: Float64Array, share: float) -> Float64Array:
    """Return the least value of each feature that so large a share of the weights does not exceed."""
    ranks = (cumulative < share * cumulative[-1] * (1.0 - 1e-12)).sum(axis=0)
    columns = np.arange(frames.shape[1])
    return np.asarray(frames[order[ranks, columns], columns], dtype=np.float64)
