"""The E-step: sequences and a model in, statistics out, on several threads and in bounded memory.

Conventions. Densities are evaluated once: one matrix product for a batch of whole sequences, the recursions over the
batch, and a second matrix product for the moments. Batch number i is added to lane i mod `N_LANES`, in order, whichever
thread does it, and the lanes are added up in order: the sums have the same bits with any number of threads. Sequences
longer than `sequences.LONG_FRAMES` are gone through in blocks (see `_long`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError
from gmmaudio.gmm._blas import check_n_threads, in_parallel, one_blas_thread, worth_threads
from gmmaudio.gmm.density import Precision, density_matrix
from gmmaudio.hmm._designs import CompleteDesign, Design, MissingDesign, add_moments
from gmmaudio.hmm._shares import TiedShares, shares_of
from gmmaudio.hmm.alignment import Aligner, Alignment
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sequences import Batch, SequenceSource
from gmmaudio.hmm.statistics import HmmStats

N_LANES = 16
"""Sums that are kept apart, and so the largest number of threads that find work."""

RECURSION = 1000
"""Multiplications of a matrix product that take as long as the recursions for a frame and a state."""


@dataclass
class Lane:
    """Sums of some batches."""

    start: Float64Array
    transitions: Float64Array
    ends: Float64Array
    moments: Float64Array
    codebook_use: Float64Array | None
    log_likelihood: float = 0.0
    n_frames: float = 0.0
    n_sequences: int = 0

    @classmethod
    def zeros(cls, params: HmmParams, n_coefficients: int, *, tied: bool) -> "Lane":
        """Return the sums of no batch."""
        n_states, n_components = params.n_states, params.emissions.pool.n_components
        use = np.zeros((n_states, n_components)) if tied else None
        moments = np.zeros((n_components, n_coefficients))
        return cls(np.zeros(n_states), np.zeros((n_states, n_states)), np.zeros(n_states), moments, use)

    def add(self, other: "Lane") -> None:
        """Add the sums of another lane."""
        for name in ("start", "transitions", "ends", "moments", "codebook_use"):
            mine, its = getattr(self, name), getattr(other, name)
            if mine is not None:
                mine += its
        self.log_likelihood += other.log_likelihood
        self.n_frames += other.n_frames
        self.n_sequences += other.n_sequences


class Evaluator:
    """Evaluates batches under one model."""

    def __init__(self, params: HmmParams, *, precision: Precision, has_missing: bool, align: Aligner) -> None:
        pool = params.emissions.pool
        self.params = params
        self._dtype = density_matrix(pool, precision).dtype
        self.design: Design = MissingDesign(pool, precision) if has_missing else CompleteDesign(pool, precision)
        self._align = align

    def new_lane(self) -> Lane:
        """Return sums to add batches to."""
        tied = isinstance(shares_of(self.params.emissions, self._dtype), TiedShares)
        return Lane.zeros(self.params, self.design.n_coefficients, tied=tied)

    def add(self, lane: Lane, batch: Batch) -> None:
        """Add the statistics of a batch to a lane."""
        design, log_densities = self.design.log_densities(batch.frames, batch.observed)
        shares = shares_of(self.params.emissions, log_densities.dtype)
        log_likelihoods = shares.log_likelihoods(log_densities)
        constants = self.design.log_volumes(batch.observed) + self.params.emissions.log_pool_share
        log_likelihoods += constants[:, np.newaxis] if isinstance(constants, np.ndarray) else constants
        if batch.weights is not None:
            log_likelihoods *= batch.weights[:, np.newaxis]
        found = self._align(self.params, log_likelihoods, batch)
        posteriors = found.posteriors
        if batch.weights is not None:
            posteriors = posteriors * batch.weights[:, np.newaxis]
        add_moments(lane.moments, shares.shares(posteriors), design)
        if isinstance(shares, TiedShares):
            lane.codebook_use += shares.codebook_use
        _add_chain(lane, found, batch)


def accumulate_hmm_stats(
    params: HmmParams,
    source: SequenceSource,
    *,
    align: Aligner,
    precision: Precision = "single",
    n_threads: int | None = None,
) -> HmmStats:
    """Return the statistics of all sequences under a model.

    Parameters
    ----------
    params : HmmParams
    source : SequenceSource
    align : callable
        `alignment.baum_welch`, `alignment.best_path`, or another aligner.
    precision : {"single", "double"}
        Arithmetic of densities and of the sums over some hundred frames; everything else is float64. A model that
        float32 would not bear, missing features aside, and tied emissions take float64.
    n_threads : int, optional
        All processors that the process may use if not given. Does not change a bit of the result.

    Raises
    ------
    GmmAudioError
        If a sequence is impossible under the model.
    """
    evaluator = Evaluator(params, precision=precision, has_missing=source.has_missing, align=align)
    n_products = source.n_frames * (2 * params.emissions.pool.density_matrix.size + RECURSION * params.n_states)
    return _accumulate(evaluator, source.batches(), worth_threads(check_n_threads(n_threads), n_products))


@one_blas_thread
def _accumulate(evaluator: Evaluator, batches: Iterator[Batch], n_threads: int) -> HmmStats:
    """Add the batches to lanes, some at a time, and return the statistics of all lanes."""
    lanes = [evaluator.new_lane() for _ in range(N_LANES)]
    while window := list(islice(batches, N_LANES)):

        def add(number: int, window: list[Batch] = window) -> None:
            evaluator.add(lanes[number], window[number])

        in_parallel(add, range(len(window)), n_threads=n_threads)
    total = lanes[0]
    for lane in lanes[1:]:
        total.add(lane)
    emissions = evaluator.design.stats(total.moments)
    counts = total.log_likelihood, total.n_frames, total.n_sequences
    return HmmStats(total.start, total.transitions, total.ends, emissions, total.codebook_use, *counts)


def _add_chain(lane: Lane, found: Alignment, batch: Batch) -> None:
    """Add what concerns the chain."""
    if not np.isfinite(found.log_likelihoods).all():
        number = batch.numbers[np.flatnonzero(~np.isfinite(found.log_likelihoods))[0]]
        raise GmmAudioError(
            f"sequence {number} has probability 0 under the model; is it too short to reach an end of the topology, "
            "or are its values extreme?"
        )
    lane.start += found.start
    lane.transitions += found.transitions
    lane.ends += found.ends
    lane.log_likelihood += float(found.log_likelihoods.sum())
    lane.n_frames += float(len(batch.frames) if batch.weights is None else batch.weights.sum())
    lane.n_sequences += len(batch.numbers)
