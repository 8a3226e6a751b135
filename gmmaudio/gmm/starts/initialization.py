"""Where EM starts: k-means++ with a few Lloyd iterations, trimmed or not, growth by one component or by splits, chance.

Conventions. An initialiser returns `GmmParams` and draws only from the `RandomState` it is given; "split" draws
nothing but the choice of a subsample. At most `SUBSAMPLE_PER_COMPONENT` frames per component (and at least
`SUBSAMPLE_MIN`) are looked at, so that the start costs about as much as one or two EM iterations on a large collection.
Which ones depends on the seed and on their number in the stream alone, and the moments are summed in steps of fixed
bounds: a start has the same bits for any cutting of the stream, and on any number of processors.
"""

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.em import run_em
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_thread
from gmmaudio.gmm.estimation import dead_components, estimate_ml, split_heaviest
from gmmaudio.gmm.frame_moments import single_gaussian
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.greedy import insert_component
from gmmaudio.gmm.starts.subsample import Subsample, subsample_limit
from gmmaudio.gmm.starts.trimming import robust_spread, trimmed_labels
from gmmaudio.gmm.statistics import GmmStats, accumulate_stats

Initialization = Literal["kmeans++", "trimmed", "greedy", "split", "random"]

LLOYD_ITERATIONS = 5
"""k-means iterations after the seeding; EM gains nothing from more (it improves faster by itself)."""

GROWTH_ITERATIONS = 4
"""EM iterations after each round of splits, and after each new component."""


def initial_params(
    frames: FloatArray,
    n_components: int,
    *,
    init: Initialization,
    variance_floor: Float64Array,
    frame_weights: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return parameters from which EM can start.

    Parameters
    ----------
    frames : array, shape (n_frames, n_features)
    n_components : int
        May exceed the number of distinct frames.
    init : {"kmeans++", "trimmed", "greedy", "split", "random"}
        "kmeans++": Arthur & Vassilvitskii 2007 seeding on standardised features, a few Lloyd iterations, then the
        maximum-likelihood estimate from the hard assignment. "trimmed": the same without the frames that are farthest
        from the clusters (see `starts.trimming`), for data with outliers. "split": from one Gaussian by splitting
        the heaviest components and a few EM iterations (Linde, Buzo & Gray 1980), doubling each time. "greedy":
        from one Gaussian by adding one component at a time where it gains most (see `starts.greedy`), which finds
        small clusters beside large ones, in a time that grows with the square of n_components. "random": distinct
        frames as means, global variances, equal weights.
    variance_floor : array, shape (n_features,)
    frame_weights : array, shape (n_frames,)
        A frame of weight 0 is never used.
    random_state : numpy.random.RandomState

    Raises
    ------
    ParameterError
        If `init` is unknown.
    """
    methods: dict[str, Callable[..., GmmParams]] = {
        "kmeans++": _from_kmeans,
        "trimmed": _from_trimmed,
        "greedy": _greedily,
        "split": _by_splitting,
        "random": _random,
    }
    if init not in methods:
        raise ParameterError(f"init is {init!r} but must be one of {sorted(methods)}")
    sample = Subsample(subsample_limit(n_components), random_state)
    sample.push(np.asarray(frames), frame_weights)
    return methods[init](*sample.result(), n_components, variance_floor, random_state)


def _random(
    frames: FloatArray,
    weights: Float64Array,
    n_components: int,
    variance_floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return distinct frames as means (each frame as often as needed when there are too few), global variances."""
    rounds = -(-n_components // len(frames))
    chosen = np.concatenate([random_state.permutation(len(frames)) for _ in range(rounds)])[:n_components]
    variance = np.maximum(single_gaussian(frames, weights)[1], variance_floor)
    return GmmParams(np.full(n_components, 1.0 / n_components), frames[chosen], np.tile(variance, (n_components, 1)))


def _one_component(frames: FloatArray, weights: Float64Array, variance_floor: Float64Array) -> GmmParams:
    """Return the mixture of one component, no feature below the floor."""
    mean, variance = single_gaussian(frames, weights)
    return GmmParams([1.0], mean[np.newaxis], np.maximum(variance, variance_floor)[np.newaxis])


def _by_splitting(
    frames: FloatArray,
    weights: Float64Array,
    n_components: int,
    variance_floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return a mixture grown from one Gaussian; at most doubled in each round."""
    params = _one_component(frames, weights, variance_floor)
    variance = params.variances[0]
    spread = np.where(variance > variance_floor, variance, np.inf)  # splitting along a constant feature is in vain
    while params.n_components < n_components:
        grown = split_heaviest(params, min(params.n_components, n_components - params.n_components), spread=spread)
        floored = GmmParams(grown.weights, grown.means, np.maximum(grown.variances, variance_floor))
        params = _after_growth(floored, frames, weights, variance_floor)
    return params


def _greedily(
    frames: FloatArray,
    weights: Float64Array,
    n_components: int,
    variance_floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return a mixture grown from one Gaussian by one component at a time, each where it gains most."""
    params = _one_component(frames, weights, variance_floor)
    while params.n_components < n_components:
        grown = insert_component(params, frames, weights, variance_floor=variance_floor, random_state=random_state)
        params = _after_growth(grown, frames, weights, variance_floor)
    return params


def _after_growth(
    params: GmmParams, frames: FloatArray, weights: Float64Array, variance_floor: Float64Array
) -> GmmParams:
    """Return the mixture after the few EM iterations that follow each growth."""
    return run_em(
        params,
        lambda current: accumulate_stats(current, frames, frame_weights=weights, precision="double"),
        lambda stats: estimate_ml(stats, variance_floor=variance_floor),
        max_iter=GROWTH_ITERATIONS,
        tol=0.0,
        may_fall=lambda _, stats: bool(dead_components(stats).any()),
    ).params


def _from_kmeans(
    frames: FloatArray,
    weights: Float64Array,
    n_components: int,
    variance_floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return the maximum-likelihood mixture of the clusters that k-means finds in the standardised frames."""
    mean, variance = single_gaussian(frames, weights)
    scale = np.sqrt(np.maximum(variance, variance_floor))
    standardized = ((frames - mean) / scale).astype(np.float32)
    labels = _cluster_labels(standardized, weights, n_components, random_state)
    return _mixture_of_clusters(standardized, weights, labels, n_components, variance_floor, mean, scale)


def _from_trimmed(
    frames: FloatArray,
    weights: Float64Array,
    n_components: int,
    variance_floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return the maximum-likelihood mixture of the clusters that trimmed k-means finds."""
    middle, spread = robust_spread(frames, weights)
    scale = np.maximum(spread, np.sqrt(variance_floor))
    standardized = (frames - middle) / scale
    labels = trimmed_labels(standardized, weights, n_components, random_state)
    kept = labels >= 0
    return _mixture_of_clusters(
        standardized[kept], weights[kept], labels[kept], n_components, variance_floor, middle, scale
    )


def _mixture_of_clusters(
    standardized: FloatArray,
    weights: Float64Array,
    labels: IntArray,
    n_components: int,
    variance_floor: Float64Array,
    mean: Float64Array,
    scale: Float64Array,
) -> GmmParams:
    """Return the maximum-likelihood mixture of clusters of frames ``(x − mean) / scale``."""
    stats = _stats_of_clusters(standardized, weights, labels, n_components)
    params = estimate_ml(stats, variance_floor=variance_floor / np.square(scale))
    return GmmParams(params.weights, mean + scale * params.means, np.square(scale) * params.variances)


def _cluster_labels(
    standardized: FloatArray, weights: Float64Array, n_components: int, random_state: np.random.RandomState
) -> IntArray:
    """Return the cluster of each frame; some clusters stay empty when there are too few distinct frames."""
    from sklearn.cluster import KMeans  # slow to import, and only needed here
    from sklearn.exceptions import ConvergenceWarning

    n_clusters = min(n_components, len(standardized))
    kmeans = KMeans(n_clusters, n_init=1, max_iter=LLOYD_ITERATIONS, random_state=random_state)
    # One thread: with more, scikit-learn adds up their sums in the order in which they happen to end.
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct frames than clusters: repaired later
        return np.asarray(kmeans.fit(standardized, sample_weight=weights).labels_, dtype=np.intp)


def _stats_of_clusters(frames: FloatArray, weights: Float64Array, labels: IntArray, n_components: int) -> GmmStats:
    """Return the statistics about 0 of a hard assignment: responsibilities of 0 and 1."""
    design = np.hstack([np.ones((len(frames), 1)), frames, np.square(frames, dtype=np.float64)])
    sums = np.stack(
        [np.bincount(labels, weights=weights * column, minlength=n_components) for column in design.T], axis=1
    ).astype(np.float64)
    n_features = frames.shape[1]
    first, second = sums[:, 1 : n_features + 1], sums[:, n_features + 1 :]
    return GmmStats(sums[:, 0], first, second, np.zeros(n_features), 0.0, float(weights.sum()))
