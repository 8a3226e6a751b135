"""The two steps of EM for hidden Markov models, bound to their sequences and options; `em.run_em` alternates them."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from gmmaudio._typing import Float64Array, FloatArray, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimation import MIN_OCCUPANCY
from gmmaudio.gmm.starts.subsample import Subsample
from gmmaudio.hmm.alignment import Aligner
from gmmaudio.hmm.estimation import ALL, Updates, dead_gaussians, estimate_hmm
from gmmaudio.hmm.expectation import accumulate_hmm_stats
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.prior import Prior
from gmmaudio.hmm.sequences import SequenceSource
from gmmaudio.hmm.statistics import HmmStats


class TrainingData(Protocol):
    """Sequences, here or on the workers of a cluster, and what training wants of them."""

    lengths: IntArray
    n_features: int

    def accumulate(self, params: HmmParams, *, align: Aligner, precision: Precision) -> HmmStats:
        """Return the statistics of all sequences under a model."""

    def moments(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance of what is observed of each feature, each of shape (n_features,)."""

    def sample(self, limit: int, random_state: np.random.RandomState) -> tuple[FloatArray, Float64Array]:
        """Return at most so many frames, NaN where a feature is missing, and their weights."""


class LocalData:
    """The sequences of a source in this process."""

    def __init__(self, source: SequenceSource) -> None:
        self._source = source
        self.lengths: IntArray = source.lengths
        self.n_features = source.n_features

    def accumulate(self, params: HmmParams, *, align: Aligner, precision: Precision) -> HmmStats:
        """Return the statistics of all sequences under a model."""
        return accumulate_hmm_stats(params, self._source, align=align, precision=precision)

    def moments(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance of what is observed of each feature."""
        return feature_moments(self._source).mean_and_variance()

    def sample(self, limit: int, random_state: np.random.RandomState) -> tuple[FloatArray, Float64Array]:
        """Return at most so many frames, and their weights."""
        sample = Subsample(limit, random_state)
        for batch in self._source.blocks():
            frames = batch.frames if batch.observed is None else np.where(batch.observed, batch.frames, np.nan)
            sample.push(frames, np.ones(len(frames)) if batch.weights is None else batch.weights)
        return sample.result()


@dataclass(eq=False)
class EmSteps:
    """E-step and M-step of one training.

    Attributes
    ----------
    data : TrainingData
    align : Aligner
        By Baum-Welch or by the best path.
    variance_floor : array, shape (n_features,)
    precision, min_occupancy, prior, updates
        As in `accumulate_hmm_stats` and `estimate_hmm`.
    """

    data: TrainingData
    align: Aligner
    variance_floor: Float64Array
    precision: Precision = "single"
    min_occupancy: float = MIN_OCCUPANCY
    prior: Prior | None = None
    updates: Updates = ALL
    _params: Any = field(default=None, init=False, repr=False)

    def accumulate(self, params: HmmParams) -> HmmStats:
        """Return the statistics of all sequences under a model, and remember the model for `estimate`."""
        self._params = params
        return self.data.accumulate(params, align=self.align, precision=self.precision)

    def estimate(self, stats: HmmStats) -> HmmParams:
        """Return the next model from the statistics that `accumulate` returned last."""
        return estimate_hmm(
            stats,
            self._params,
            variance_floor=self.variance_floor,
            min_occupancy=self.min_occupancy,
            prior=self.prior,
            updates=self.updates,
        )

    def may_fall(self, params: HmmParams, stats: HmmStats) -> bool:
        """Say whether the log-likelihood may fall by design: a prior, a variance at the floor, a repair."""
        floored = bool((params.emissions.pool.variances < self.variance_floor).any())
        return self.prior is not None or floored or dead_gaussians(stats, params, self.min_occupancy)


class FeatureMoments(NamedTuple):
    """Weights, means and sums of squares about them of the features; an additive value.

    Attributes
    ----------
    weight, mean, squares : array, shape (n_features,)
        Of what is observed of each feature.
    """

    weight: Float64Array
    mean: Float64Array
    squares: Float64Array

    def joined(self, other: "FeatureMoments") -> "FeatureMoments":
        """Return the moments of both sets of frames (Chan, Golub & LeVeque 1979)."""
        weight = self.weight + other.weight
        share = np.divide(other.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        step = other.mean - self.mean
        squares = self.squares + other.squares + np.square(step) * self.weight * share
        return FeatureMoments(weight, self.mean + step * share, squares)

    def mean_and_variance(self) -> tuple[Float64Array, Float64Array]:
        """Return mean and variance, each of shape (n_features,).

        Raises
        ------
        ParameterError
            If a feature is missing in every frame.
        """
        if not (self.weight > 0).all():
            feature = int(np.flatnonzero(~(self.weight > 0))[0])
            raise ParameterError(
                f"feature {feature} is missing (NaN or weight 0) in every frame; leave that column out"
            )
        return self.mean, self.squares / self.weight


def feature_moments(source: SequenceSource) -> FeatureMoments:
    """Return the moments of what is observed of each feature, block by block about their own means."""
    total = FeatureMoments(*(np.zeros(source.n_features) for _ in range(3)))
    for batch in source.blocks():
        weights = np.ones(batch.frames.shape) if batch.observed is None else batch.observed.astype(np.float64)
        if batch.weights is not None:
            weights = weights * batch.weights[:, np.newaxis]
        weight = weights.sum(axis=0)
        origin = batch.frames[0] if batch.observed is None else total.mean
        shifted = batch.frames - origin
        offset = (weights * shifted).sum(axis=0) / np.where(weight > 0, weight, 1.0)
        squares = (weights * np.square(shifted - offset)).sum(axis=0)
        total = total.joined(FeatureMoments(weight, origin + offset, squares))
    return total
