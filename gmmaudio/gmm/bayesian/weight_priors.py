"""Priors of mixture weights, and what is known of the weights after counting frames.

Conventions. A prior is an immutable value; counts are expected numbers of frames, shape (n_components,).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import betaln, digamma, gammaln

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError


@dataclass(frozen=True)
class WeightPrior(ABC):
    """What is known of the weights before frames are seen.

    Parameters
    ----------
    concentration : float
        Positive. The smaller, the fewer components hold most of the weight.
    """

    concentration: float
    name: ClassVar[str]

    def __post_init__(self) -> None:
        if not 0 < self.concentration < np.inf:
            raise ParameterError(
                f"weight_concentration_prior is {self.concentration} but must be positive and finite; "
                "1 / n_components is the default"
            )

    @abstractmethod
    def expected_weights(self, counts: Float64Array) -> Float64Array:
        """Return the expected weights after counts of frames; their sum is 1."""

    @abstractmethod
    def expected_log_weights(self, counts: Float64Array) -> Float64Array:
        """Return the expected logarithms of the weights after counts of frames."""

    @abstractmethod
    def divergence(self, counts: Float64Array) -> float:
        """Return the Kullback-Leibler divergence of what is known after the counts from what was known before."""


class DirichletDistribution(WeightPrior):
    """A symmetric Dirichlet distribution: with a concentration below 1, few weights are large (Bishop 2006, 10.2.1).

    Examples
    --------
    >>> DirichletDistribution(1.0).expected_weights(np.array([3.0, 0.0])).round(3)
    array([0.8, 0.2])
    """

    name = "dirichlet_distribution"

    def expected_weights(self, counts: Float64Array) -> Float64Array:
        """Return the expected weights (eq. 10.69)."""
        concentrations = self.concentration + counts
        return np.asarray(concentrations / concentrations.sum())

    def expected_log_weights(self, counts: Float64Array) -> Float64Array:
        """Return the expected logarithms (eq. 10.66)."""
        concentrations = self.concentration + counts
        return np.asarray(digamma(concentrations) - digamma(concentrations.sum()))

    def divergence(self, counts: Float64Array) -> float:
        """Return the divergence of two Dirichlet distributions (eq. 10.73 and 10.76)."""
        after, before = self.concentration + counts, np.full(len(counts), self.concentration)
        log_norms = _log_dirichlet_norm(after) - _log_dirichlet_norm(before)
        return float(log_norms + (counts * self.expected_log_weights(counts)).sum())


class DirichletProcess(WeightPrior):
    """A Dirichlet process cut off after n components: few of infinitely many components hold most of the weight.

    Each component breaks a share v ~ Beta(1, concentration) off what the components before it have left (Blei & Jordan
    2006, "Variational inference for Dirichlet process mixtures", Bayesian Analysis 1). As in scikit-learn the last
    share is not fixed to 1: what it leaves is the weight of components that are not used.

    Examples
    --------
    >>> DirichletProcess(1.0).expected_weights(np.array([3.0, 0.0])).round(3)
    array([0.889, 0.111])
    """

    name = "dirichlet_process"

    def shares(self, counts: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return the two parameters of the Beta distribution of each share (eq. 20 and 21)."""
        later = counts[::-1].cumsum()[::-1] - counts
        return 1.0 + counts, self.concentration + np.maximum(later, 0.0)

    def expected_weights(self, counts: Float64Array) -> Float64Array:
        """Return the expected weights, scaled to a sum of 1."""
        first, second = self.shares(counts)
        left = np.concatenate([[1.0], (second / (first + second)).cumprod()[:-1]])
        weights = first / (first + second) * left
        return np.asarray(weights / weights.sum())

    def expected_log_weights(self, counts: Float64Array) -> Float64Array:
        """Return the expected logarithms of the share and of what was left."""
        first, second = self.shares(counts)
        log_left = digamma(second) - digamma(first + second)
        return np.asarray(digamma(first) - digamma(first + second) + log_left.cumsum() - log_left)

    def divergence(self, counts: Float64Array) -> float:
        """Return the divergence of the Beta distributions."""
        first, second = self.shares(counts)
        log_norms = betaln(1.0, self.concentration) - betaln(first, second)
        log_share = digamma(first) - digamma(first + second)
        log_left = digamma(second) - digamma(first + second)
        return float((log_norms + (first - 1.0) * log_share + (second - self.concentration) * log_left).sum())


WEIGHT_PRIORS: dict[str, type[WeightPrior]] = {prior.name: prior for prior in (DirichletDistribution, DirichletProcess)}


def weight_prior(name: str, concentration: float) -> WeightPrior:
    """Return the prior that a `weight_concentration_prior_type` names.

    Raises
    ------
    ParameterError
        If it names none, or the concentration is not positive.
    """
    if name not in WEIGHT_PRIORS:
        raise ParameterError(f"weight_concentration_prior_type is {name!r} but must be one of {sorted(WEIGHT_PRIORS)}")
    return WEIGHT_PRIORS[name](concentration)


def _log_dirichlet_norm(concentrations: Float64Array) -> float:
    """Return the log of the normaliser, ``log Γ(Σ α) − Σ log Γ(α)``."""
    return float(gammaln(concentrations.sum()) - gammaln(concentrations).sum())
