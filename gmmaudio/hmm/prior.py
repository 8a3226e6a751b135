"""A model as a prior for another one: conjugate densities with their modes at its parameters."""

from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.hmm.emissions import Emissions, MixtureEmissions, TiedEmissions
from gmmaudio.hmm.parameters import HmmParams


@dataclass(frozen=True)
class Prior:
    """A model to adapt from, and how much it counts.

    The prior is the conjugate one of Gauvain & Lee 1994 ("Maximum a posteriori estimation for multivariate Gaussian
    mixture observations of Markov chains") with its mode at the model: it acts as data that the model has explained.

    Parameters
    ----------
    params : HmmParams
    relevance_factor : float
        Number r of pseudo-frames of each Gaussian, r times the number of components for the weights of a state, and
        number of pseudo-visits of each state and of pseudo-sequences for the chain. Positive.

    Raises
    ------
    ParameterError
        If the relevance factor is not positive and finite.
    """

    params: HmmParams
    relevance_factor: float = 16.0

    def __post_init__(self) -> None:
        if not 0 < self.relevance_factor < np.inf:
            raise ParameterError(
                f"relevance_factor is {self.relevance_factor} but must be positive and finite; 16 is usual"
            )


def log_prior(params: HmmParams, prior: Prior) -> float:
    """Return the logarithm of the prior density of a model, up to a constant.

    Expectation-maximisation with the prior never lowers the log-likelihood plus this. It is the expected complete
    log-likelihood of the pseudo-data: ``Σ n log p`` for probabilities with pseudo-counts n, and
    ``−(r/2) Σ (log σ² + (σ₀² + (μ − μ₀)²) / σ²)`` for Gaussians.
    """
    r, base = prior.relevance_factor, prior.params
    total = _expected_log(r * base.start_probs, params.start_probs)
    total += _expected_log(r * exits_of(base), exits_of(params))
    for counts, weights in zip(_weight_counts(base.emissions, r), _weights(params.emissions), strict=True):
        total += _expected_log(counts, weights)
    pool, center = params.emissions.pool, base.emissions.pool
    spread = (center.variances + np.square(pool.means - center.means)) / pool.variances
    return total - 0.5 * r * float((np.log(pool.variances) + spread).sum())


def _expected_log(counts: Float64Array, probs: Float64Array) -> float:
    """Return ``Σ n log p``; what is impossible in the model takes no part in the prior."""
    seen: BoolArray = (counts > 0) & (probs > 0)
    return float((counts[seen] * np.log(probs[seen])).sum())


def _weights(emissions: Emissions) -> list[Float64Array]:
    """Return the weights of each state."""
    if isinstance(emissions, MixtureEmissions):
        return [mixture.weights for mixture in emissions.mixtures]
    assert isinstance(emissions, TiedEmissions)
    return list(emissions.weights)


def _weight_counts(emissions: Emissions, relevance_factor: float) -> list[Float64Array]:
    """Return the pseudo-counts of the weights of each state."""
    return [relevance_factor * len(weights) * weights for weights in _weights(emissions)]


def check_prior(prior: Prior, params: HmmParams) -> None:
    """Raise unless the prior has the states, Gaussians and ends of the model."""
    base = prior.params

    def layout(model: HmmParams) -> tuple[object, ...]:
        numbers = [len(weights) for weights in _weights(model.emissions)]
        return type(model.emissions).__name__, numbers, model.n_features, model.end_probs is not None

    if layout(base) != layout(params):
        raise ParameterError(
            "the prior model must have as many states, components and features as the model, tied or not as it is, "
            f"and end probabilities if it has them: (kind, components, features, ends) is {layout(base)} there and "
            f"{layout(params)} here"
        )


def exits_of(params: HmmParams) -> Float64Array:
    """Return the transition matrix, with the end probabilities as its last column if there are any."""
    matrix, ends = params.transition_matrix, params.end_probs
    return matrix if ends is None else np.column_stack([matrix, ends])
