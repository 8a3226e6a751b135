"""The N best sentences with different words."""

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.words import _kernels
from gmmaudio.words._kernels import ENTERING, NO_RECORD, NO_WORD, Records, Steps, Strings, Tokens
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
    search = _TokenPassing(network, n_best)
    for row in np.ascontiguousarray(log_likelihoods, dtype=np.float64):
        search.push(row)
    return search.hypotheses()


class _TokenPassing:
    """Tokens of all states, and the strings and records that they refer to; see `_kernels`."""

    def __init__(self, network: WordNetwork, n_best: int) -> None:
        incoming, n_states = network.chain.incoming, network.n_states
        self._network, self._n_frames = network, 0
        targets = np.repeat(np.arange(n_states), np.diff(incoming.firsts))
        is_entry = np.asarray(network.is_entry[incoming.others, targets], dtype=np.bool_)
        vocabulary = {label: n for n, label in enumerate(network.acceptor.vocabulary)} | {SILENCE: NO_WORD}
        self._words = np.array([vocabulary[label] for label in network.labels])[network.places]
        with np.errstate(divide="ignore"):
            self._log_starts, self._log_ends = np.log(network.start_probs), np.log(network.end_probs)
            self._steps = Steps(incoming.firsts, incoming.others, np.log(incoming.probs), is_entry)
        self._leads_out = network.end_probs > 0
        self._leads_out[incoming.others[is_entry]] = True
        self._tokens, self._others = (
            Tokens(np.full((n_states, n_best), -np.inf), *np.zeros((2, n_states, n_best), dtype=np.int64))
            for _ in range(2)
        )
        self._exits = np.zeros((n_states, n_best), dtype=np.int64)
        none = np.empty(0, dtype=np.int64)
        self._strings, self._n_strings = Strings(none, none, none), 1  # number 0: no words
        self._records, self._n_records = Records(none, none, none, np.empty(0)), 0

    def push(self, log_likelihoods: Float64Array) -> None:
        """Take a frame."""
        self._make_room()
        if self._n_frames == 0:
            self._tokens.scores[:, 0] = self._log_starts
            self._tokens.records[:, 0] = ENTERING - NO_RECORD
        else:
            _kernels.move_tokens(self._steps, self._tokens, self._exits, self._others)
            self._tokens, self._others = self._others, self._tokens
        self._n_records = _kernels.record_entries(self._n_frames, self._tokens, self._records, self._n_records)
        self._n_strings = _kernels.emit_tokens(
            log_likelihoods,
            self._network.columns,
            self._words,
            self._leads_out,
            self._tokens,
            self._exits,
            self._strings,
            self._n_strings,
        )
        self._n_frames += 1

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """Return the best sentences that end now."""
        scores = (self._tokens.scores + self._log_ends[:, np.newaxis]).ravel()
        order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores > -np.inf)]
        _, firsts = np.unique(self._exits.ravel()[order], return_index=True)
        best = order[np.sort(firsts)[: self._tokens.scores.shape[1]]]
        last_records = self._tokens.records.ravel()[best]
        return tuple(
            self._traced(float(scores[place]), int(record)) for place, record in zip(best, last_records, strict=True)
        )

    def _traced(self, log_probability: float, record: int) -> Hypothesis:
        """Follow the records of entries back from the last one."""
        segments = []
        end_frame, end_total = self._n_frames, log_probability
        while record != NO_RECORD:
            before, frame, state, total = (values[record] for values in self._records)
            start_total = 0.0 if before == NO_RECORD else float(total)
            label = self._network.labels[self._network.places[state]]
            segments.append(Segment(label, int(frame), int(end_frame), end_total - start_total))
            end_frame, end_total, record = frame, start_total, int(before)
        return Hypothesis(tuple(reversed(segments)), log_probability)

    def _make_room(self) -> None:
        """Have room for all strings and records that one frame can add."""
        n_best = self._tokens.scores.shape[1]
        n_records = self._n_records + self._tokens.scores.size
        if n_records > len(self._records.parents):
            self._records = Records(*(_longer(values, 2 * n_records) for values in self._records))
        n_strings = self._n_strings + n_best * np.count_nonzero(self._leads_out)
        if n_strings > len(self._strings.befores):
            befores, lasts = (_longer(values, 2 * n_strings) for values in self._strings[1:])
            self._strings = Strings(np.full(4 * n_strings, -1), befores, lasts)
            _kernels.fill_table(self._strings, self._n_strings)


def _longer(values: AnyArray, size: int) -> AnyArray:
    """Return a longer array that begins with these values."""
    return np.concatenate([values, np.empty(size - len(values), dtype=values.dtype)])
