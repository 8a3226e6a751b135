"""Recognition of an utterance that is still going on."""

from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array, IntArray
from gmmaudio.hmm import _path_kernels
from gmmaudio.hmm.streaming import OnlineViterbi
from gmmaudio.stage import Stage
from gmmaudio.words.hypotheses import NOTHING, Hypothesis, path_segments
from gmmaudio.words.network import WordNetwork


@dataclass
class _StreamState:
    """Log-likelihoods of the pending frames; states of all others, their log-likelihoods; how the utterance ended."""

    pending: Float64Array
    path: IntArray
    path_log_likelihoods: Float64Array
    final_log_probability: float = 0.0
    ended: bool = False


class _Search(OnlineViterbi):
    """An online search that also tells the best path that need not be complete."""

    def leading_states(self) -> tuple[IntArray, float]:
        """Return the best path through the pending frames, wherever in a sentence it is, and its log-probability."""
        state = self._state
        states = np.full(state.n_pending, -1, dtype=np.int32)
        best = _path_kernels.best_state(state.scores, np.zeros_like(state.scores))
        if state.n_frames == 0 or best < 0:
            return states, -np.inf
        _path_kernels.trace(state.pointers, best, states)
        return states, float(state.log_probability + state.scores[best])


class WordStream(Stage):
    """Frames in, words out: what has been said so far is there at any time.

    After `flush`, `result` is exactly what `decode` says of the whole utterance, however it was cut; the next `push`
    begins a new utterance. Memory grows by 12 bytes per frame until then, beside what `OnlineViterbi` keeps.

    Parameters
    ----------
    network : WordNetwork
    """

    _state: _StreamState

    def __init__(self, network: WordNetwork) -> None:
        self._network = network
        self._search = _Search(network.start_probs, network.transition_matrix, end_probs=network.end_probs)
        self.reset()

    @property
    def lookahead(self) -> int:
        """Frames between a frame and its effect on the result: none."""
        return 0

    @property
    def result(self) -> Hypothesis:
        """What has been said: after `flush` the best sentence, before it the best beginning of one.

        A beginning may end within a word, which then is its last segment. Later frames may change it, but not the
        first `n_final_frames`.
        """
        state = self._state
        if state.ended:
            return self._hypothesis(state.path, state.path_log_likelihoods, state.final_log_probability)
        leading, log_probability = self._search.leading_states()
        path = np.concatenate([state.path, leading])
        return self._hypothesis(path, self._with_pending(leading), log_probability)

    @property
    def n_final_frames(self) -> int:
        """Number of frames whose states will not change any more."""
        return len(self._state.path)

    def push(self, rows: AnyArray) -> IntArray:
        """Take frames, shape (n_frames, n_features); return the states of the network that have become final."""
        if self._state.ended:
            self.reset()
        log_likelihoods = self._network.emission_log_likelihoods(rows)
        states = self._search.push(self._network.state_log_likelihoods(log_likelihoods))
        self._state.pending = np.concatenate([self._state.pending, log_likelihoods])
        self._append(states)
        return states

    def flush(self) -> IntArray:
        """End the utterance; its `result` stays until the next one begins."""
        if self._state.ended:  # an utterance without frames
            self.reset()
        self._state.final_log_probability = self._search.log_probability
        states = self._search.flush()
        self._append(states)
        self._state.ended = True
        return states

    def reset(self) -> None:
        """Begin a new utterance."""
        none = np.empty((0, self._network.n_columns))
        self._state = _StreamState(none, np.empty(0, dtype=np.int32), np.empty(0))
        self._search.reset()

    def _parts(self) -> dict[str, Stage]:
        """Return the search."""
        return {"search": self._search}

    def _append(self, states: IntArray) -> None:
        """Move frames from the pending ones to the final path."""
        state = self._state
        state.path_log_likelihoods = self._with_pending(states)
        state.path = np.concatenate([state.path, states])
        state.pending = state.pending[len(states) :].copy()

    def _with_pending(self, states: IntArray) -> Float64Array:
        """Return the log-likelihoods of the final path, continued by these states of pending frames."""
        pending = self._state.pending[np.arange(len(states)), self._network.columns[states]]
        return np.concatenate([self._state.path_log_likelihoods, pending])

    def _hypothesis(self, path: IntArray, path_log_likelihoods: Float64Array, log_probability: float) -> Hypothesis:
        """Return the hypothesis of a path; nothing if the frames are impossible."""
        if not len(path) or log_probability == -np.inf:
            return NOTHING
        segments = path_segments(self._network, path, path_log_likelihoods, is_complete=self._state.ended)
        return Hypothesis(segments, log_probability)
