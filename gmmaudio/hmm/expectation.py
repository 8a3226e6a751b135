"""The E-step: sequences and a model in, statistics out, on several threads and in bounded memory.

Conventions. Densities are evaluated once: one matrix product for a batch of whole sequences, the recursions over the
batch, and a second matrix product for the moments. Batch number i is added to lane i mod `N_LANES`, in order, whichever
thread does it, and the lanes are added up in order: the sums have the same bits with any number of threads. Sequences
longer than `sequences.LONG_FRAMES` are gone through in blocks (see `_long`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError
from gmmaudio.gmm._blas import check_n_threads, in_parallel, one_blas_thread, worth_threads
from gmmaudio.gmm.density import Precision
from gmmaudio.hmm._designs import CompleteDesign, Design, DesignRows, MissingDesign
from gmmaudio.hmm._long import long_log_likelihood, long_posteriors
from gmmaudio.hmm._shares import Shares, TiedShares, shares_of
from gmmaudio.hmm._workspace import Workspace
from gmmaudio.hmm.alignment import Aligner, Alignment, arc_table, baum_welch
from gmmaudio.hmm.emissions import TiedEmissions
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sequences import LONG_FRAMES, Batch, SequenceSource
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
        self.design: Design = MissingDesign(pool, precision) if has_missing else CompleteDesign(pool, precision)
        self._align = align

    def new_lane(self) -> Lane:
        """Return sums to add batches to."""
        tied = isinstance(self.params.emissions, TiedEmissions)
        return Lane.zeros(self.params, self.design.n_coefficients, tied=tied)

    def add(self, lane: Lane, batch: Batch, workspace: Workspace) -> None:
        """Add the statistics of a batch to a lane."""
        if batch.is_long:
            found = self._add_in_blocks(lane, batch, workspace)
        else:
            evaluated = self._evaluate(batch, workspace)
            found = self._align(self.params, evaluated.log_likelihoods, batch)
            _add_emissions(lane, evaluated, found.posteriors, batch)
        _add_chain(lane, found, batch)

    def _evaluate(self, batch: Batch, workspace: Workspace) -> "_Evaluated":
        """Return the log-likelihoods of the frames in the states, and what is needed to count them afterwards."""
        design, log_densities = self.design.log_densities(batch.frames, batch.observed, workspace)
        shares = shares_of(self.params.emissions, log_densities.dtype, workspace)
        log_likelihoods = shares.log_likelihoods(log_densities)
        constants = self.design.log_volumes(batch.observed) + self.params.emissions.log_pool_share
        log_likelihoods += constants[:, np.newaxis] if isinstance(constants, np.ndarray) else constants
        if batch.weights is not None:
            log_likelihoods *= batch.weights[:, np.newaxis]
        return _Evaluated(design, shares, log_likelihoods)

    def _add_in_blocks(self, lane: Lane, batch: Batch, workspace: Workspace) -> Alignment:
        """Add the emissions of a long sequence block by block; return its alignment, but for the posteriors."""
        blocks = _LongSequence(self, batch, workspace)
        if self._align is not baum_welch:
            found = self._align(self.params, blocks.all_log_likelihoods(), batch)
            for number, rows in enumerate(blocks.rows):
                blocks.log_likelihoods(number)
                blocks.add_emissions(lane, found.posteriors[rows])
            return found
        chain, counts = self.params.chain, np.zeros(len(self.params.chain.outgoing.probs))
        total, before = long_log_likelihood(chain, blocks.log_likelihoods, len(blocks.rows))
        start = end = np.zeros(chain.n_states)
        for block in long_posteriors(chain, blocks.log_likelihoods, before) if np.isfinite(total) else ():
            blocks.add_emissions(lane, block.state_posteriors)
            counts += block.arc_counts
            start = block.state_posteriors[0]  # the first block comes last
            end = block.state_posteriors[-1] if block.number == len(blocks.rows) - 1 else end
        return Alignment(np.array([total]), np.empty((0, 0)), start, arc_table(chain, counts), end)


class _Evaluated(NamedTuple):
    """Log-likelihoods of frames, and what is needed to count the frames afterwards."""

    design: DesignRows
    shares: Shares
    log_likelihoods: Float64Array


class _LongSequence:
    """The blocks of a long sequence under a model, one at a time."""

    def __init__(self, evaluator: Evaluator, batch: Batch, workspace: Workspace) -> None:
        self._evaluator, self._batch, self._workspace = evaluator, batch, workspace
        self.rows = [slice(start, start + LONG_FRAMES) for start in range(0, len(batch.frames), LONG_FRAMES)]

    def log_likelihoods(self, number: int) -> Float64Array:
        """Return the log-likelihoods of the frames of a block, which becomes the present one."""
        self._block = self._batch.block(self.rows[number].start, self.rows[number].stop)
        self._evaluated = self._evaluator._evaluate(self._block, self._workspace)
        return self._evaluated.log_likelihoods

    def all_log_likelihoods(self) -> Float64Array:
        """Return the log-likelihoods of all frames."""
        return np.concatenate([self.log_likelihoods(number).copy() for number in range(len(self.rows))])

    def add_emissions(self, lane: Lane, posteriors: Float64Array) -> None:
        """Add the emissions of the present block."""
        _add_emissions(lane, self._evaluated, posteriors, self._block)


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
    idle: SimpleQueue[Workspace] = SimpleQueue()
    for _ in range(n_threads):
        idle.put(Workspace())

    def add(numbered: tuple[int, Batch]) -> None:
        number, batch = numbered
        workspace = idle.get()
        evaluator.add(lanes[number], batch, workspace)
        idle.put(workspace)

    while True:
        window = list(enumerate(islice(batches, N_LANES)))
        if not window:
            break
        in_parallel(add, window, n_threads=n_threads)
        window.clear()  # before the next ones are read
    total = lanes[0]
    for lane in lanes[1:]:
        total.add(lane)
    emissions = evaluator.design.stats(total.moments)
    counts = total.log_likelihood, total.n_frames, total.n_sequences
    return HmmStats(total.start, total.transitions, total.ends, emissions, total.codebook_use, *counts)


def _add_emissions(lane: Lane, evaluated: _Evaluated, posteriors: Float64Array, batch: Batch) -> None:
    """Add what concerns the Gaussians."""
    if batch.weights is not None:
        posteriors = posteriors * batch.weights[:, np.newaxis]
    evaluated.design.add_moments(lane.moments, evaluated.shares.shares(posteriors))
    if isinstance(evaluated.shares, TiedShares):
        lane.codebook_use += evaluated.shares.codebook_use


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
