"""The N best sentences with different words."""

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.words._kernels import NO_RECORD, NO_WORD, Steps, pass_tokens
from gmmaudio.words.acceptor import SILENCE
from gmmaudio.words.hypotheses import Hypothesis, Segment
from gmmaudio.words.network import WordNetwork


def decode_n_best(network: WordNetwork, log_likelihoods: Float64Array, n_best: int) -> tuple[Hypothesis, ...]:
    """Return the most probable path of each of the N best strings of words.

    Exact: no other string of words has a more probable path. Strings differ in their words, garbage included; pauses
    do not count.

    Parameters
    ----------
    network : WordNetwork
    log_likelihoods : array, shape (n_frames, n_columns)
        From `WordNetwork.emission_log_likelihoods`.
    n_best : int
        Number of strings wanted.

    Returns
    -------
    tuple of Hypothesis
        Best first; fewer where the grammar has fewer sentences that fit. Their segments have no states.

    Raises
    ------
    ParameterError
        If `n_best` is less than 1.
    """
    if n_best < 1:
        raise ParameterError(f"n_best is {n_best} but must be at least 1")
    network.state_log_likelihoods(log_likelihoods[:0])  # checks the columns
    if not len(log_likelihoods):
        return ()
    incoming = network.chain.incoming
    vocabulary = {label: n for n, label in enumerate(network.acceptor.vocabulary)} | {SILENCE: NO_WORD}
    words = np.array([vocabulary[label] for label in network.labels])[network.places]
    targets = np.repeat(np.arange(network.n_states), np.diff(incoming.firsts))
    is_entry = np.asarray(network.is_entry[incoming.others, targets], dtype=np.bool_)
    with np.errstate(divide="ignore"):
        found, last_records, parents, entered, totals = pass_tokens(
            np.log(network.start_probs),
            Steps(incoming.firsts, incoming.others, np.log(incoming.probs), is_entry),
            np.log(network.end_probs),
            words,
            network.columns,
            np.ascontiguousarray(log_likelihoods, dtype=np.float64),
            n_best,
        )
    n_frames = len(log_likelihoods)
    return tuple(
        _traced(network, float(score), int(record), parents, entered, totals, n_frames)
        for score, record in zip(found, last_records, strict=True)
    )


def _traced(
    network: WordNetwork,
    log_probability: float,
    record: int,
    parents: IntArray,
    entered: IntArray,
    totals: Float64Array,
    n_frames: int,
) -> Hypothesis:
    """Follow the records of entries back from the last one."""
    segments = []
    end_frame, end_total = n_frames, log_probability
    while record != NO_RECORD:
        start_frame, state = entered[record]
        is_first = parents[record] == NO_RECORD
        start_total = 0.0 if is_first else float(totals[record])
        label = network.labels[network.places[state]]
        segments.append(Segment(label, int(start_frame), int(end_frame), end_total - start_total))
        end_frame, end_total = start_frame, start_total
        record = int(parents[record])
    return Hypothesis(tuple(reversed(segments)), log_probability)
