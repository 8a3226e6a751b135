"""From statistics to the parameters of a hidden Markov model: maximum likelihood, and maximum a posteriori.

Conventions. Frames never appear here. The emissions of a state are those of `gmmaudio.gmm.estimation` for its part of
the statistics. What has no data stays as it was: a state that no frame reached, a row of transitions that were never
made. A probability of 0 stays 0, with and without a prior that has it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.estimation import MIN_OCCUPANCY, dead_components, estimate_ml
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.hmm.emissions import Emissions, MixtureEmissions, TiedEmissions
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.prior import Prior, check_prior, exits_of
from gmmaudio.hmm.statistics import HmmStats

LEAST_VISITS = 1e-12
"""A state that is visited less often says nothing about what follows it: posteriors are not exact so far down."""


@dataclass(frozen=True)
class Updates:
    """Which parameters the M-step changes; the others keep their values."""

    start: bool = True
    transitions: bool = True
    weights: bool = True
    means: bool = True
    covariances: bool = True


ALL = Updates()


def estimate_hmm(
    stats: HmmStats,
    params: HmmParams,
    *,
    variance_floor: npt.ArrayLike,
    min_occupancy: float = MIN_OCCUPANCY,
    prior: Prior | None = None,
    updates: Updates = ALL,
) -> HmmParams:
    """Return the parameters of maximum likelihood, or of maximum a posteriori probability (the M-step).

    ``π_i = γ_1(i) / Σ γ_1``, ``a_ij = ξ(i, j) / (Σ_j ξ(i, j) + e(i))`` with e(i) the expected ends where the model has
    end probabilities (Rabiner 1989, eq. 40), and for each state `gmm.estimation.estimate_ml`. With a prior, its
    pseudo-counts are added first.

    Parameters
    ----------
    stats : HmmStats
    params : HmmParams
        The model that gave the statistics; it lends what has no data.
    variance_floor : array-like, shape (n_features,) or scalar
        Smallest variance, positive.
    min_occupancy : float
        A component with fewer frames takes over one half of the heaviest of its state; a whole state with fewer frames
        keeps its emissions.
    prior : Prior, optional
    updates : Updates

    Raises
    ------
    ParameterError
        If there are no sequences in the statistics, the shapes differ, or the floor is not positive.
    """
    if not stats.n_sequences:
        raise ParameterError("the statistics hold no sequences; accumulate at least one")
    if len(stats.start) != params.n_states or len(stats.emissions.zeroth) != params.emissions.pool.n_components:
        raise ParameterError(
            f"the statistics are of {len(stats.start)} states with {len(stats.emissions.zeroth)} Gaussians but the "
            f"model has {params.n_states} with {params.emissions.pool.n_components}; accumulate them with this model"
        )
    if prior is not None:
        check_prior(prior, params)
    start = params.start_probs
    if updates.start:
        counts = stats.start
        if prior is not None:
            counts = counts + prior.relevance_factor * np.where(start > 0, prior.params.start_probs, 0.0)
        start = _rows_to_probs(counts[np.newaxis], start[np.newaxis])[0]
    transitions, ends = params.transition_matrix, params.end_probs
    if updates.transitions:
        transitions, ends = _estimate_transitions(stats, params, prior)
    emissions = params.emissions
    estimate = _estimate_tied if isinstance(emissions, TiedEmissions) else _estimate_mixtures
    return HmmParams(
        start, transitions, estimate(stats, emissions, variance_floor, min_occupancy, prior, updates), ends
    )


def dead_gaussians(stats: HmmStats, params: HmmParams, min_occupancy: float = MIN_OCCUPANCY) -> bool:
    """Say whether `estimate_hmm` will replace components, which may lower the likelihood."""
    if not isinstance(params.emissions, MixtureEmissions):
        return False
    parts = _stats_of_states(stats.emissions, params.emissions)
    return any(bool(dead_components(part, min_occupancy).any()) for part in parts if part.n_frames >= min_occupancy)


def _estimate_transitions(
    stats: HmmStats, params: HmmParams, prior: Prior | None
) -> tuple[Float64Array, Float64Array | None]:
    """Return the transition matrix and, if the model has them, the end probabilities."""
    counts, probs = stats.transitions, exits_of(params)
    if params.end_probs is not None:
        counts = np.column_stack([counts, stats.ends])
    if prior is not None:
        counts = counts + prior.relevance_factor * np.where(probs > 0, exits_of(prior.params), 0.0)
    rows = _rows_to_probs(counts, probs)
    return (rows, None) if params.end_probs is None else (rows[:, :-1], rows[:, -1])


def _estimate_mixtures(
    stats: HmmStats,
    emissions: Emissions,
    variance_floor: npt.ArrayLike,
    min_occupancy: float,
    prior: Prior | None,
    updates: Updates,
) -> MixtureEmissions:
    """Return a mixture for each state, from its part of the statistics."""
    assert isinstance(emissions, MixtureEmissions)
    mixtures = list(emissions.mixtures)
    for state, part in enumerate(_stats_of_states(stats.emissions, emissions)):
        base = None
        if prior is not None:
            assert isinstance(prior.params.emissions, MixtureEmissions)
            base = prior.params.emissions.mixtures[state]
        elif part.n_frames < min_occupancy:
            continue
        mixtures[state] = _estimate_mixture(part, mixtures[state], variance_floor, min_occupancy, base, prior, updates)
    return MixtureEmissions(mixtures)


def _estimate_mixture(
    part: GmmStats,
    old: GmmParams,
    variance_floor: npt.ArrayLike,
    min_occupancy: float,
    base: GmmParams | None,
    prior: Prior | None,
    updates: Updates,
) -> GmmParams:
    """Return the mixture of one state."""
    weight_counts = part.zeroth
    if base is not None and prior is not None:
        r = prior.relevance_factor
        part = part + GmmStats.expected(base, np.full(base.n_components, r), center=part.center)
        weight_counts = weight_counts + r * base.n_components * base.weights
    if not (updates.weights and updates.means):
        min_occupancy = 0.0  # a component that may not move cannot be repaired
    new = estimate_ml(part, variance_floor=variance_floor, min_occupancy=min_occupancy)
    weights = new.weights if base is None else weight_counts / weight_counts.sum()
    return _keep_fixed(part, old, GmmParams(weights, new.means, new.variances), variance_floor, updates)


def _estimate_tied(
    stats: HmmStats,
    emissions: Emissions,
    variance_floor: npt.ArrayLike,
    min_occupancy: float,
    prior: Prior | None,
    updates: Updates,
) -> TiedEmissions:
    """Return the codebook and the weights of each state; a Gaussian without data stays where it is."""
    assert isinstance(emissions, TiedEmissions)
    assert stats.codebook_use is not None
    part, use, old = stats.emissions, stats.codebook_use, emissions.codebook
    if prior is not None:
        base = prior.params.emissions
        assert isinstance(base, TiedEmissions)
        r = prior.relevance_factor
        part = part + GmmStats.expected(base.codebook, np.full(old.n_components, r), center=part.center)
        use = use + r * old.n_components * base.weights
    new = estimate_ml(part, variance_floor=variance_floor, min_occupancy=0.0)
    dead = (part.zeroth < min_occupancy)[:, np.newaxis]
    found = GmmParams(old.weights, np.where(dead, old.means, new.means), np.where(dead, old.variances, new.variances))
    weights = _rows_to_probs(use, emissions.weights) if updates.weights else emissions.weights
    return TiedEmissions(_keep_fixed(part, old, found, variance_floor, updates), weights)


def _keep_fixed(
    part: GmmStats, old: GmmParams, new: GmmParams, variance_floor: npt.ArrayLike, updates: Updates
) -> GmmParams:
    """Return the new mixture with the old values of what is not to change; variances are about the means that stay."""
    variances = new.variances
    if not updates.means:
        counts = np.where(part.zeroth > 0, part.zeroth, 1.0)[:, np.newaxis]
        offsets = old.means - part.center
        about_old = part.second / counts - offsets * (2.0 * part.first / counts - offsets)
        seen = (part.zeroth > 0)[:, np.newaxis]
        variances = np.where(seen, np.maximum(about_old, variance_floor), old.variances)
    return GmmParams(
        new.weights if updates.weights else old.weights,
        new.means if updates.means else old.means,
        variances if updates.covariances else old.variances,
    )


def _stats_of_states(stats: GmmStats, emissions: MixtureEmissions) -> list[GmmStats]:
    """Return the part of each state of the statistics of all Gaussians."""
    parts = []
    for start, stop in zip(emissions.offsets[:-1], emissions.offsets[1:], strict=True):
        zeroth = stats.zeroth[start:stop]
        moments = stats.first[start:stop], stats.second[start:stop]
        parts.append(GmmStats(zeroth, *moments, stats.center, 0.0, float(zeroth.sum())))
    return parts


def _rows_to_probs(counts: Float64Array, old: Float64Array) -> Float64Array:
    """Return rows divided by their sums; a row (almost) without counts keeps its old probabilities."""
    sums = counts.sum(axis=1, keepdims=True)
    seen = sums > LEAST_VISITS
    return np.where(seen, counts / np.where(seen, sums, 1.0), old)
