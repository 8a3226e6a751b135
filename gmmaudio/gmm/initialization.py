"""Where EM starts: k-means++ with a few Lloyd iterations, trimmed or not, growth by one component or by splits, chance.

Conventions. An initialiser returns `GmmParams` and draws only from the `RandomState` it is given; "split" draws
nothing but the choice of a subsample. At most `SUBSAMPLE_PER_COMPONENT` frames per component (and at least
`SUBSAMPLE_MIN`) are looked at, so that the start costs about as much as one or two EM iterations on a large collection.
Which ones depends on the seed and on their number in the stream alone, and the moments are summed in steps of fixed
bounds: a start has the same bits for any cutting of the stream, and on any number of processors.
"""

import copy
import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.em import run_em
from gmmaudio.errors import ParameterError
from gmmaudio.gmm._blas import one_thread
from gmmaudio.gmm.estimation import dead_components, estimate_ml, split_heaviest
from gmmaudio.gmm.greedy import insert_component
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats, accumulate_stats
from gmmaudio.gmm.trimming import robust_spread, trimmed_labels

Initialization = Literal["kmeans++", "trimmed", "greedy", "split", "random"]

SUBSAMPLE_PER_COMPONENT = 100
"""Frames per component that an initialiser looks at."""

COMPLETE_PER_COMPONENT = 20
"""With so many complete frames per component an initialiser looks at no others."""

SUBSAMPLE_MIN = 10_000
"""With fewer frames than this nothing is left out."""

STEP_FRAMES = 4096
"""Frames of a stream that are looked at together."""

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
        from the clusters (see `gmmaudio.gmm.trimming`), for data with outliers. "split": from one Gaussian by splitting
        the heaviest components and a few EM iterations (Linde, Buzo & Gray 1980), doubling each time. "greedy":
        from one Gaussian by adding one component at a time where it gains most (see `gmmaudio.gmm.greedy`), which finds
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


def subsample_limit(n_components: int) -> int:
    """Return how many frames an initialiser looks at, at most."""
    return max(SUBSAMPLE_PER_COMPONENT * n_components, SUBSAMPLE_MIN)


class Subsample:
    """A random choice without replacement from the frames of a stream with a positive weight; all, if they are few.

    Each frame draws a key, and those with the smallest keys are kept.

    Parameters
    ----------
    limit : int
        Number of frames to choose.
    random_state : numpy.random.RandomState
        Read for the seed of the keys, but left as it is.
    """

    def __init__(self, limit: int, random_state: np.random.RandomState) -> None:
        self._limit = limit
        self._random = np.random.default_rng(copy.deepcopy(random_state).randint(2**31))
        self._largest_key = np.inf
        self._kept: list[tuple[Float64Array, FloatArray, Float64Array]] = []

    def push(self, frames: FloatArray, weights: Float64Array) -> None:
        """Look at the next frames of the stream."""
        for start in range(0, len(frames), STEP_FRAMES):
            rows = slice(start, start + STEP_FRAMES)
            keys = self._random.random(len(frames[rows]))
            chosen = (weights[rows] > 0) & (keys < self._largest_key)
            self._kept.append((keys[chosen], frames[rows][chosen], weights[rows][chosen]))
            if sum(len(keys) for keys, _, _ in self._kept) > 1.5 * self._limit:
                self._prune()

    def result(self) -> tuple[FloatArray, Float64Array]:
        """Return the chosen frames and their weights, in the order of the stream."""
        self._prune()
        return self._kept[0][1:]

    def without_gaps(self, mean: Float64Array, n_complete: int) -> tuple[FloatArray, Float64Array]:
        """Return the `result` for initialisers that need every value: the complete frames if there are so many.

        Otherwise all frames, with the mean of a feature where it is missing.
        """
        frames, weights = self.result()
        missing = np.isnan(frames)
        complete = ~missing.any(axis=1)
        if np.count_nonzero(complete) >= n_complete:
            return frames[complete], weights[complete]
        return np.where(missing, mean.astype(frames.dtype), frames), weights

    def _prune(self) -> None:
        """Keep the frames with the smallest keys of those there are."""
        keys, frames, weights = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
        if len(keys) > self._limit:
            smallest = np.sort(np.argpartition(keys, self._limit)[: self._limit])
            keys, frames, weights = keys[smallest], frames[smallest], weights[smallest]
            self._largest_key = float(keys.max())
        self._kept = [(keys, frames, weights)]


class Moments:
    """Weighted mean and variance of each feature of a stream of frames, in one pass; NaN is left out.

    Each step of frames is summed about its own mean, and steps are joined by the update of Chan, Golub & LeVeque 1979,
    so a constant feature has a variance of 0 at any offset. Not BLAS products but plain sums, which have the same bits
    on every machine. The bits depend on the cutting unless it is at multiples of `STEP_FRAMES`.

    Parameters
    ----------
    origin : array, shape (n_features,), optional
        The first frame, if steps that were worked out elsewhere will be joined.
    """

    def __init__(self, origin: Float64Array | None = None) -> None:
        self.total_weight = 0.0
        self._origin = np.zeros(0) if origin is None else origin
        self._seen = self._offset = self._squares = np.zeros(len(self._origin))

    def push(self, frames: FloatArray, weights: Float64Array) -> None:
        """Add the next frames of the stream."""
        for start in range(0, len(frames), STEP_FRAMES):
            rows = slice(start, start + STEP_FRAMES)
            if self.total_weight == 0.0:
                self._origin = _first_values(frames[rows])
                self._seen = self._offset = self._squares = np.zeros(len(self._origin))
            self.join(step_moments(frames[rows], weights[rows], self._origin))

    def join(self, step: Float64Array) -> None:
        """Add the next `step_moments`, about the same origin."""
        weight, (seen, offset, squares) = float(step[0]), np.split(step[1:], 3)
        total = self._seen + seen
        share = np.divide(seen, total, out=np.zeros_like(total), where=total > 0)
        self._squares = self._squares + squares + np.square(offset - self._offset) * (self._seen * share)
        self._offset = self._offset + (offset - self._offset) * share
        self._seen = total
        self.total_weight += weight

    def result(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance, each of shape (n_features,); both are 0 for a feature that was never observed."""
        return self._origin + self._offset, self._squares / np.where(self._seen > 0, self._seen, 1.0)


def step_moments(frames: FloatArray, weights: Float64Array, origin: Float64Array) -> Float64Array:
    """Return what `Moments.join` takes of a step of frames, shape (1 + 3 n_features,).

    ``[weight, weight of the observed values, offset of their mean from the origin, sum of squares about it]``
    """
    weight = float(weights.sum())
    if weight == 0.0:
        return np.zeros(1 + 3 * len(origin))
    shifted, counts = frames - origin, np.repeat(weights[:, np.newaxis], len(origin), axis=1)
    missing = np.isnan(shifted)
    if missing.any():
        shifted[missing] = counts[missing] = 0.0
    seen = counts.sum(axis=0)
    offset = (counts * shifted).sum(axis=0) / np.where(seen > 0, seen, 1.0)
    squares = (counts * np.square(shifted - offset)).sum(axis=0)
    return np.concatenate([[weight], seen, offset, squares])


def _first_values(frames: FloatArray) -> Float64Array:
    """Return the first observed value of each feature, 0 where there is none."""
    observed = ~np.isnan(frames)
    first = frames[observed.argmax(axis=0), np.arange(frames.shape[1])]
    return np.where(observed.any(axis=0), first, 0.0).astype(np.float64)


def single_gaussian(frames: FloatArray, frame_weights: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return weighted mean and variance of the frames in float64, each of shape (n_features,)."""
    moments = Moments()
    moments.push(np.ascontiguousarray(frames), frame_weights)
    return moments.result()


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


def _by_splitting(
    frames: FloatArray,
    weights: Float64Array,
    n_components: int,
    variance_floor: Float64Array,
    random_state: np.random.RandomState,
) -> GmmParams:
    """Return a mixture grown from one Gaussian; at most doubled in each round."""
    mean, variance = single_gaussian(frames, weights)
    params = GmmParams([1.0], mean[np.newaxis], np.maximum(variance, variance_floor)[np.newaxis])
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
    mean, variance = single_gaussian(frames, weights)
    params = GmmParams([1.0], mean[np.newaxis], np.maximum(variance, variance_floor)[np.newaxis])
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
