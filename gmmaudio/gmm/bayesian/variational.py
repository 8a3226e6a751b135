"""Variational Bayes for Gaussian mixtures: a distribution over parameters instead of the most likely ones.

The prior of each component is Gaussian-Wishart: Λ ~ W(W₀, ν₀) with W₀⁻¹ = Ψ₀, and μ | Λ ~ N(m₀, (β₀ Λ)⁻¹). What is
known of it afterwards is q(μ, Λ) = N(m, (β Λ)⁻¹) W(W, ν); the expected precision is ν W, whose inverse Σ = (ν W)⁻¹ is
what scikit-learn calls `covariances_`. Bishop 2006, "Pattern recognition and machine learning", section 10.2.

The structure of covariances is that of W in q: the model always has full precision matrices, and the M-step takes the
best q among those with diagonal, spherical or equal W. This is what scikit-learn's formulas amount to, and it makes
their bound a bound for every structure. (A model with independent gamma priors would be another one.)

The E-step is that of maximum likelihood. The expected log-density of a component is that of a Gaussian with mean m and
covariance Σ, plus a number that does not depend on the frame; it becomes part of the weight (`surrogate`). The
log-likelihood under these surrogate parameters differs from the expectation by a known constant.

Conventions. Legend as above; N, F and S are the statistics, D is the number of features, ψ the digamma function. The
bound has all constants, so it is below the log evidence, and models of any size and structure can be compared by it.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.special import digamma, logsumexp, multigammaln

from gmmaudio._typing import BoolArray, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.bayesian.weight_priors import WeightPrior, weight_prior
from gmmaudio.gmm.covariances import Covariances, structure_of
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.persistence import StoredModel
from gmmaudio.validation import read_only_array


@dataclass(frozen=True, eq=False)
class MixturePrior:
    """What is known of a mixture before frames are seen; the same of all components.

    Parameters
    ----------
    weights : WeightPrior
    mean : array-like, shape (n_features,)
        m₀.
    mean_precision : float
        β₀, in frames: how much `mean` counts.
    degrees_of_freedom : float
        ν₀, in frames, more than n_features − 1: how much `covariances` count.
    covariances : Covariances
        Ψ₀ in the shape of the structure, repeated for each component.

    Raises
    ------
    ParameterError
        If a value is out of its range.
    """

    weights: WeightPrior
    mean: Float64Array
    mean_precision: float
    degrees_of_freedom: float
    covariances: Covariances

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", read_only_array(self.mean, name="mean_prior", shape=(None,)))
        if not 0 < self.mean_precision < np.inf:
            raise ParameterError(
                f"mean_precision_prior is {self.mean_precision} but must be a positive number of frames"
            )
        least = len(self.mean) - 1
        if not least < self.degrees_of_freedom < np.inf:
            raise ParameterError(
                f"degrees_of_freedom_prior is {self.degrees_of_freedom} but {len(self.mean)} features need more than "
                f"{least}"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies and pickles are built anew: NumPy would restore the array writeable.
        values = self.weights, self.mean, self.mean_precision, self.degrees_of_freedom, self.covariances
        return type(self), values

    def second(self, n_components: int, origin: Float64Array) -> Float64Array:
        """Return ``Ψ₀ + β₀ (m₀ − o)(m₀ − o)ᵀ`` in the shape of second moments; an origin for each component, or one."""
        offsets = np.sqrt(self.mean_precision) * (self.mean - origin)
        return self.covariances.expected_second(
            np.ones(n_components), np.broadcast_to(offsets, (n_components, len(self.mean)))
        )


@dataclass(frozen=True, eq=False)
class MixturePosterior:
    """What is known of a mixture after frames were seen, in the variational approximation.

    Parameters
    ----------
    prior : MixturePrior
    counts : array-like, shape (n_components,)
        N, the expected number of frames of each component.
    means : array-like, shape (n_components, n_features)
        m, the expected means.
    covariances : Covariances
        Σ, the inverses of the expected precisions.
    """

    prior: MixturePrior
    counts: Float64Array
    means: Float64Array
    covariances: Covariances

    def __post_init__(self) -> None:
        means = read_only_array(self.means, name="means", shape=(None, len(self.prior.mean)))
        counts = read_only_array(self.counts, name="counts", shape=means.shape[:1])
        if (counts < 0).any():
            raise ParameterError(
                f"counts are numbers of frames and must not be negative; the smallest is {counts.min()}"
            )
        for covariances in (self.covariances, self.prior.covariances):
            covariances.check_fits(*means.shape)
        object.__setattr__(self, "means", means)
        object.__setattr__(self, "counts", counts)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.prior, self.counts, self.means, self.covariances)

    def to_stored(self) -> StoredModel:
        """Return the posterior and its prior as they are written to a file."""
        prior = self.prior
        config = {
            "covariance_type": self.covariances.name,
            "weight_prior": prior.weights.name,
            "concentration": prior.weights.concentration,
            "mean_precision": prior.mean_precision,
            "degrees_of_freedom": prior.degrees_of_freedom,
        }
        arrays = {"counts": self.counts, "means": self.means, "covariances": self.covariances.array}
        of_prior = {"prior_mean": prior.mean, "prior_covariances": prior.covariances.array}
        return StoredModel("mixture_posterior", config, arrays | of_prior)

    @classmethod
    def from_stored(cls, stored: StoredModel) -> Self:
        """Build posterior and prior from what a file holds."""
        config, arrays = stored.config, stored.arrays
        structure = structure_of(config["covariance_type"])
        prior = MixturePrior(
            weight_prior(config["weight_prior"], config["concentration"]),
            arrays["prior_mean"],
            config["mean_precision"],
            config["degrees_of_freedom"],
            structure(arrays["prior_covariances"]),
        )
        return cls(prior, arrays["counts"], arrays["means"], structure(arrays["covariances"]))

    @property
    def active(self) -> BoolArray:
        """Which components have at least one frame, shape (n_components,)."""
        return np.asarray(self.counts >= 1.0)

    @property
    def mean_precision(self) -> Float64Array:
        """``β = β₀ + N``, shape (n_components,) (eq. 10.60)."""
        return self.prior.mean_precision + self.counts

    @property
    def degrees_of_freedom(self) -> Float64Array:
        """``ν = ν₀ + N``, shape (n_components,) (eq. 10.63); its mean where all components have one covariance."""
        return _degrees_of_freedom(self.prior, self.counts, type(self.covariances))

    @cached_property
    def expected_params(self) -> GmmParams:
        """The mixture with the expected weights, the expected means and the inverses of the expected precisions."""
        return GmmParams(self.prior.weights.expected_weights(self.counts), self.means, self.covariances)

    @cached_property
    def surrogate(self) -> GmmParams:
        """The mixture whose E-step is the variational one: its responsibilities are those of eq. 10.46–10.49."""
        return GmmParams(np.exp(self._log_factors - self.log_scale), self.means, self.covariances)

    @cached_property
    def log_scale(self) -> float:
        """Logarithm of what the expected densities of `surrogate` must be multiplied by."""
        return float(logsumexp(self._log_factors))

    @cached_property
    def _log_factors(self) -> Float64Array:
        """``E[log π] + ½ (E[log |Λ|] + log |Σ|) − D / 2β``, shape (n_components,)."""
        n_features, degrees = self.means.shape[1], self.degrees_of_freedom
        log_precision = _multivariate_digamma(degrees, n_features) + n_features * np.log(2.0 / degrees)
        log_weights = self.prior.weights.expected_log_weights(self.counts)
        return np.asarray(log_weights + 0.5 * (log_precision - n_features / self.mean_precision))

    @cached_property
    def divergence(self) -> float:
        """The Kullback-Leibler divergence KL(q || p) of the posterior from the prior, in nats."""
        prior, (n_components, n_features) = self.prior, self.means.shape
        before, after = prior.degrees_of_freedom, self.degrees_of_freedom
        ratio = prior.mean_precision / self.mean_precision
        of_means = 0.5 * n_features * (ratio - 1.0 - np.log(ratio))
        log_ratio = prior.covariances.log_determinants(*self.means.shape) - self.covariances.log_determinants(
            *self.means.shape
        )
        of_precisions = (
            0.5 * (after - before) * _multivariate_digamma(after, n_features)
            - 0.5 * before * (log_ratio - n_features * np.log(after))
            - 0.5 * after * n_features
            + multigammaln(before / 2.0, n_features)
            - multigammaln(after / 2.0, n_features)
        )
        # The terms in Ψ₀ and in m − m₀, together.
        distance = 0.5 * self.covariances.trace(prior.second(n_components, self.means))
        return float((of_means + of_precisions).sum() + distance + prior.weights.divergence(self.counts))


def with_bound(stats: GmmStats, posterior: MixturePosterior) -> GmmStats:
    """Return statistics under `posterior.surrogate` with the variational bound in place of the log-likelihood.

    ``Σ_t log Σ_k exp E_q[log π_k N(x_t; μ_k, Λ_k⁻¹)] − KL(q || p)``: the bound of eq. 10.70 with the best
    responsibilities. EM then climbs the bound.
    """
    bound = stats.log_likelihood + stats.n_frames * posterior.log_scale - posterior.divergence
    return replace(stats, log_likelihood=bound)


def estimate_posterior(stats: GmmStats, prior: MixturePrior) -> MixturePosterior:
    """Return what is known after the frames of the statistics (eq. 10.58–10.63), the M-step of variational Bayes.

    It is the sum of frames and prior: β₀ frames at m₀, with a scatter of Ψ₀.

    Parameters
    ----------
    stats : GmmStats
    prior : MixturePrior

    Raises
    ------
    ParameterError
        If the prior has another structure than the statistics.
    """
    structure = stats.structure
    if type(prior.covariances) is not structure:
        raise ParameterError(
            f"the prior has {prior.covariances.name} covariances but the statistics {structure.name} ones"
        )
    precision = prior.mean_precision + stats.zeroth
    offsets = (stats.first + prior.mean_precision * (prior.mean - stats.center)) / precision[:, np.newaxis]
    second = stats.second + prior.second(len(precision), stats.center)
    degrees = _degrees_of_freedom(prior, stats.zeroth, structure)
    # The scatter about m of β frames, divided by ν: as if ν frames had these averages.
    averages = 0.5 * (1.0 + precision / degrees)[:, np.newaxis] * offsets
    raw = structure.estimate(degrees, averages, offsets, second)
    return MixturePosterior(prior, stats.zeroth, stats.center + offsets, structure(raw))


def _degrees_of_freedom(prior: MixturePrior, counts: Float64Array, structure: type[Covariances]) -> Float64Array:
    """Return ``ν₀ + N``, or its mean for all components where they share one covariance."""
    degrees = prior.degrees_of_freedom + counts
    return np.full_like(degrees, degrees.mean()) if structure.is_shared() else degrees


def _multivariate_digamma(degrees: Float64Array, n_features: int) -> Float64Array:
    """Return ``Σ_d ψ((ν − d) / 2)`` for d = 0 … D − 1, shape (n_components,)."""
    return np.asarray(digamma(0.5 * (degrees - np.arange(n_features)[:, np.newaxis])).sum(axis=0))
