"""From recordings of one source to its models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import Float32Array, Float64Array
from gmmaudio.em import run_em
from gmmaudio.gmm.density import responsibilities
from gmmaudio.gmm.estimation import absolute_variance_floor, dead_components, estimate_map, estimate_ml
from gmmaudio.gmm.frame_moments import single_gaussian
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.starts.initialization import initial_params
from gmmaudio.gmm.statistics import accumulate_stats
from gmmaudio.separation.spectral import (
    TILE_FRAMES,
    SpectralParams,
    SpectralStats,
    accumulate_spectral_stats,
    estimate_spectral_map,
    estimate_spectral_ml,
    has_dead_component,
    spectral_responsibilities,
)

LOG_FLOOR = 1e-3
"""Added to relative powers before their log is taken: what is 30 dB below the mean is as good as silence."""

MAX_ITER = 20
TOLERANCE = 0.02
"""EM ends when an iteration gains less than this many nats per frame, of some hundreds."""

VARIANCE_FRACTION = 0.01
"""Floor of the variances of log spectra, as a fraction of their global variance."""


@dataclass(frozen=True, eq=False)
class SourceModel:
    """What is known of a source.

    Attributes
    ----------
    spectral : SpectralParams
        The mixture of power spectra, at a mean power per bin of 1.
    transition_matrix : array, shape (n_components, n_components)
        Probability of each component after each other; row = from.
    log_spectral : GmmParams
        The mixture of Gaussians on log spectra, for MIXMAX masks.
    """

    spectral: SpectralParams
    transition_matrix: Float64Array
    log_spectral: GmmParams

    def coloured(self, colour: Float64Array) -> "SourceModel":
        """Return the model of the source after a filter of the given power gains, shape (n_bins,)."""
        logs = self.log_spectral
        moved = GmmParams(logs.weights, logs.means + np.log(colour), logs.variances)
        return SourceModel(self.spectral.coloured(colour), self.transition_matrix, moved)

    def same_as(self, other: "SourceModel") -> bool:
        """Return whether no frame can tell the two apart."""
        mine, theirs = self.spectral, other.spectral
        return np.array_equal(mine.weights, theirs.weights) and np.array_equal(mine.variances, theirs.variances)


def log_power(power: Float32Array) -> Float32Array:
    """Return the log spectra that MIXMAX and the initialisation look at."""
    return np.asarray(np.log(power + np.float32(LOG_FLOOR)))


def train_source_model(
    recordings: Sequence[Float32Array], n_components: int, *, random_state: np.random.RandomState
) -> SourceModel:
    """Return the models of a source.

    The log-spectral mixture starts from k-means++; its components start the spectral mixture.

    Parameters
    ----------
    recordings : sequence of arrays, shape (n_frames, n_bins)
        Power spectra of each recording, with a mean of 1.
    n_components : int
    random_state : numpy.random.RandomState
    """
    power = np.concatenate(recordings)
    log_spectral = _train_log_spectral(power, n_components, random_state)
    start = _spectral_start(log_spectral, power)
    spectral = run_em(
        start,
        lambda params: accumulate_spectral_stats(params, power),
        estimate_spectral_ml,
        max_iter=MAX_ITER,
        tol=TOLERANCE,
        may_fall=lambda _, stats: has_dead_component(stats),
    ).params
    return SourceModel(spectral, estimate_transitions(spectral, recordings), log_spectral)


def adapt_source_model(
    prior: SourceModel, recordings: Sequence[Float32Array], *, relevance_factor: float
) -> SourceModel:
    """Return a universal model adapted to recordings of a source, in one step (maximum a posteriori)."""
    power = np.concatenate(recordings)
    stats = accumulate_spectral_stats(prior.spectral, power)
    spectral = estimate_spectral_map(stats, prior.spectral, relevance_factor=relevance_factor)
    log_stats = accumulate_stats(prior.log_spectral, log_power(power))
    log_spectral = estimate_map(log_stats, prior.log_spectral, relevance_factor=relevance_factor, update_weights=True)
    return SourceModel(spectral, estimate_transitions(spectral, recordings), log_spectral)


def estimate_transitions(params: SpectralParams, recordings: Sequence[Float32Array]) -> Float64Array:
    """Return the transition matrix from the component posteriors of neighbouring frames, (n_components, n_components).

    The counts are ``Σ_t γ_t(i) γ_{t+1}(j)``: with posteriors that are nearly 0 or 1, as those of spectra are, what
    Baum-Welch would start from. To each row one frame is added that is distributed as the weights are.
    """
    counts = np.tile(params.weights, (params.n_components, 1))
    for power in recordings:
        responsibilities = np.concatenate(
            [
                spectral_responsibilities(params, power[start : start + TILE_FRAMES])[0]
                for start in range(0, len(power), TILE_FRAMES)
            ]
        ).astype(np.float64)
        counts += responsibilities[:-1].T @ responsibilities[1:]
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _train_log_spectral(power: Float32Array, n_components: int, random_state: np.random.RandomState) -> GmmParams:
    """Return the mixture of the log spectra: the ordinary diagonal mixture of `gmmaudio.gmm`."""
    frames = log_power(power)
    weights = np.ones(len(frames))
    floor = absolute_variance_floor(*single_gaussian(frames, weights), fraction=VARIANCE_FRACTION)
    start = initial_params(
        frames, n_components, init="kmeans++", variance_floor=floor, frame_weights=weights, random_state=random_state
    )
    return run_em(
        start,
        lambda params: accumulate_stats(params, frames),
        lambda stats: estimate_ml(stats, variance_floor=floor),
        max_iter=MAX_ITER,
        tol=TOLERANCE,
        may_fall=lambda _, stats: bool(dead_components(stats).any()),
    ).params


def _spectral_start(log_spectral: GmmParams, power: Float32Array) -> SpectralParams:
    """Return the spectral mixture of the frames that each component of the log-spectral one is nearest to."""
    total = SpectralStats(np.zeros(log_spectral.n_components), np.zeros(log_spectral.means.shape), 0.0, 0.0)
    for start in range(0, len(power), TILE_FRAMES):
        tile = power[start : start + TILE_FRAMES]
        posteriors = responsibilities(log_spectral, log_power(tile)).astype(np.float32)
        total += SpectralStats.from_responsibilities(posteriors, tile)
    return estimate_spectral_ml(total)
