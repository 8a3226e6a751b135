"""The two steps of EM for hidden Markov models, bound to their sequences and options; `em.run_em` alternates them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.density import Precision
from gmmaudio.gmm.estimation import MIN_OCCUPANCY
from gmmaudio.hmm.alignment import Aligner
from gmmaudio.hmm.estimation import ALL, Prior, Updates, dead_gaussians, estimate_hmm
from gmmaudio.hmm.expectation import accumulate_hmm_stats
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sequences import SequenceSource
from gmmaudio.hmm.statistics import HmmStats


@dataclass(eq=False)
class EmSteps:
    """E-step and M-step of one training.

    Attributes
    ----------
    source : SequenceSource
    align : Aligner
        By Baum-Welch or by the best path.
    variance_floor : array, shape (n_features,)
    precision, min_occupancy, prior, updates
        As in `accumulate_hmm_stats` and `estimate_hmm`.
    """

    source: SequenceSource
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
        return accumulate_hmm_stats(params, self.source, align=self.align, precision=self.precision)

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


def feature_moments(source: SequenceSource) -> tuple[Float64Array, Float64Array]:
    """Return mean and variance of what is observed of each feature, each of shape (n_features,).

    Blocks are summed about their own means and joined by the update of Chan, Golub & LeVeque 1979.

    Raises
    ------
    ParameterError
        If a feature is missing in every frame.
    """
    total = mean = squares = np.zeros(source.n_features)
    for batch in source.blocks():
        weights = np.ones(batch.frames.shape) if batch.observed is None else batch.observed.astype(np.float64)
        if batch.weights is not None:
            weights = weights * batch.weights[:, np.newaxis]
        weight = weights.sum(axis=0)
        share = np.divide(weight, total + weight, out=np.zeros_like(weight), where=total + weight > 0)
        origin = batch.frames[0] if batch.observed is None else mean
        shifted = batch.frames - origin
        offset = (weights * shifted).sum(axis=0) / np.where(weight > 0, weight, 1.0)
        squares = squares + (weights * np.square(shifted - offset)).sum(axis=0)
        squares = squares + np.square(origin + offset - mean) * total * share
        mean = mean + (origin + offset - mean) * share
        total = total + weight
    if not (total > 0).all():
        feature = int(np.flatnonzero(~(total > 0))[0])
        raise ParameterError(f"feature {feature} is missing (NaN or weight 0) in every frame; leave that column out")
    return mean, squares / total
