"""How the frames of sequences belong to the states: by Baum-Welch, by the best path, or as a start needs it.

Conventions. An *aligner* takes a model, the log-likelihoods of the frames of a batch in its states, and the batch; it
returns an `Alignment`. The E-step is the same for all of them.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.gmm.survey import array_digest
from gmmaudio.hmm._lanes import lane_posteriors
from gmmaudio.hmm.chain import Chain
from gmmaudio.hmm.inference import batch_viterbi
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sequences import Batch

Training = Literal["baum-welch", "viterbi"]


class Alignment(NamedTuple):
    """How the frames of a batch belong to the states.

    Attributes
    ----------
    log_likelihoods : array, shape (n_sequences,)
        Of the sequences, or of what aligned them.
    posteriors : array, shape (n_frames, n_states)
    start, transitions, ends : array
        Expected counts of the chain, as in `HmmStats`.
    """

    log_likelihoods: Float64Array
    posteriors: Float64Array
    start: Float64Array
    transitions: Float64Array
    ends: Float64Array


Aligner = Callable[[HmmParams, Float64Array, Batch], Alignment]


def baum_welch(params: HmmParams, log_likelihoods: Float64Array, batch: Batch) -> Alignment:
    """Align by the posteriors of all paths (Rabiner 1989, eq. 27 and 37)."""
    found = lane_posteriors(params.chain, log_likelihoods, batch.offsets)
    counts = arc_table(params.chain, found.arc_counts)
    return Alignment(found.log_likelihoods, found.state_posteriors, found.start, counts, found.end)


def arc_table(chain: Chain, values: Float64Array) -> Float64Array:
    """Return values of the outgoing arcs as a matrix, row = from."""
    table = np.zeros((chain.n_states, chain.n_states))
    sources = np.repeat(np.arange(chain.n_states), np.diff(chain.outgoing.firsts))
    table[sources, chain.outgoing.others] = values
    return table


def best_path(params: HmmParams, log_likelihoods: Float64Array, batch: Batch) -> Alignment:
    """Align by the path of the greatest probability (Viterbi training, segmental k-means)."""
    paths, log_probabilities = batch_viterbi(params.chain, log_likelihoods, batch.offsets)
    return _along_path(paths, log_probabilities, batch, params.n_states)


def along_states(seed: int | None = None) -> Aligner:
    """Return an aligner that cuts each sequence into one part for each state, in their order.

    Parameters
    ----------
    seed : int, optional
        Equal parts if not given; else the cuts are random, and those of a sequence depend on the seed and its values.
    """

    def align(params: HmmParams, log_likelihoods: Float64Array, batch: Batch) -> Alignment:
        equal = np.arange(1, params.n_states) / params.n_states
        parts = []
        for first, stop in pairwise(batch.offsets):
            cuts = equal
            if seed is not None:
                digest = int(array_digest(np.asarray(batch.frames[first:stop])), 16)
                cuts = np.sort(np.random.default_rng([seed, digest]).random(len(equal)))
            parts.append(np.searchsorted(cuts, (np.arange(stop - first) + 0.5) / (stop - first)))
        found = _along_path(np.concatenate(parts), np.zeros(len(parts)), batch, params.n_states)
        # A sequence of fewer frames than states makes jumps that the topology forbids; they must not become possible.
        ends = found.ends if params.end_probs is None else found.ends * (params.end_probs > 0)
        return found._replace(
            start=found.start * (params.start_probs > 0),
            transitions=found.transitions * (params.transition_matrix > 0),
            ends=ends,
        )

    return align


def by_another_model(other: HmmParams) -> Aligner:
    """Return an aligner that takes the posteriors of another model of the same states."""

    def align(params: HmmParams, log_likelihoods: Float64Array, batch: Batch) -> Alignment:
        frames = batch.frames if batch.observed is None else np.where(batch.observed, batch.frames, np.nan)
        return baum_welch(other, other.frame_log_likelihoods(frames, precision="double"), batch)

    return align


ALIGNERS: Mapping[Training, Aligner] = {"baum-welch": baum_welch, "viterbi": best_path}
"""The aligners that training can iterate, by name."""


def _along_path(paths: IntArray, log_probabilities: Float64Array, batch: Batch, n_states: int) -> Alignment:
    """Return the alignment of states that are known."""
    posteriors = np.zeros((len(paths), n_states))
    posteriors[np.arange(len(paths)), paths] = 1.0
    firsts, lasts = batch.offsets[:-1], batch.offsets[1:] - 1
    start = np.bincount(paths[firsts], minlength=n_states).astype(np.float64)
    ends = np.bincount(paths[lasts], minlength=n_states).astype(np.float64)
    within = np.ones(len(paths), dtype=np.bool_)
    within[lasts] = False
    moves = paths[within].astype(np.intp) * n_states + paths[1:][within[:-1]]
    transitions = np.bincount(moves, minlength=n_states * n_states).reshape(n_states, n_states)
    return Alignment(log_probabilities, posteriors, start, transitions.astype(np.float64), ends)
