"""Which word strings are sentences, and how probable each is: a finite automaton without empty moves.

Conventions. The automaton is a Markov chain over *places*: a place is one occurrence of a word in the grammar, and
being there means that this word is being said (Glushkov 1961, "The abstract theory of automata"). A sentence is a walk
from a start to an end, and its probability is the product along the way, summed over all walks that say it. Row =
from, column = to. Two labels stand for no word: `SILENCE` and `GARBAGE`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError

SILENCE = "<silence>"
"""Label of the pauses around and between words."""

GARBAGE = "<garbage>"
"""Label of speech that is none of the words."""

SUM_TOLERANCE = 1e-9
"""How far above 1 rounding may take the sum of all ways to go on."""


@dataclass(frozen=True, eq=False)
class WordAcceptor:
    """A probability distribution over word strings.

    Parameters
    ----------
    labels : tuple of str
        The word of each place.
    start_probs : array, shape (n_places,)
        Probability that the sentence begins at a place.
    follow_probs : sparse array, shape (n_places, n_places)
        Probability that one place follows another.
    end_probs : array, shape (n_places,)
        Probability that the sentence ends after a place.
    empty_prob : float
        Probability of the sentence without words.

    Raises
    ------
    ParameterError
        If shapes do not match, a probability is negative, the ways to go on from a place have more than probability
        1 together, or no sentence can be completed.

    Examples
    --------
    >>> acceptor = one_of(["yes", "no"])
    >>> acceptor.accepts(["yes"]), acceptor.accepts(["yes", "no"])
    (True, False)
    """

    labels: tuple[str, ...]
    start_probs: Float64Array
    follow_probs: sp.csr_array
    end_probs: Float64Array
    empty_prob: float = 0.0

    def __post_init__(self) -> None:
        n_places = len(self.labels)
        shapes = self.start_probs.shape, self.follow_probs.shape, self.end_probs.shape
        if shapes != ((n_places,), (n_places, n_places), (n_places,)):
            raise ParameterError(f"there are {n_places} labels, but the probabilities have the shapes {shapes}")
        _check_distributions(self)
        if not len(_useful_places(self)) and not self.empty_prob:
            raise ParameterError("the grammar accepts nothing: no way through it ends; are all weights 0?")

    @property
    def n_places(self) -> int:
        """Number of places."""
        return len(self.labels)

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All labels but that of silence, sorted."""
        return tuple(sorted(set(self.labels) - {SILENCE}))

    def accepts(self, words: Sequence[str]) -> bool:
        """Whether this string of words is a sentence."""
        return self.sentence_log_probability(words) > -math.inf

    def sentence_log_probability(self, words: Sequence[str]) -> float:
        """Return the log-probability of a string of words, −inf if it is no sentence."""
        if not len(words):
            return _log(self.empty_prob)
        labels = np.array(self.labels, dtype=object)
        probs, total = self.start_probs * (labels == words[0]), 0.0
        for word in words[1:]:
            scale = float(probs.sum())
            if scale == 0.0:
                return -math.inf
            total += math.log(scale)  # a long string has a probability that no float64 can hold
            probs = ((probs / scale) @ self.follow_probs) * (labels == word)
        return total + _log(float(probs @ self.end_probs))

    def restricted_to(self, words: Sequence[str]) -> "WordAcceptor":
        """Return the part of the grammar that says exactly these words, with the probabilities that it has here.

        Raises
        ------
        ParameterError
            If the grammar does not accept them.
        """
        if not self.accepts(words):
            raise ParameterError(f"the grammar does not accept the words {' '.join(words)!r}")
        if not len(words):
            return WordAcceptor((), np.empty(0), sp.csr_array((0, 0)), np.empty(0), self.empty_prob)
        layers = [np.array([p for p, label in enumerate(self.labels) if label == word], dtype=int) for word in words]
        places = np.concatenate(layers)
        before_first = sp.csr_array((len(places), len(layers[0])))
        after_last = sp.csr_array((len(layers[-1]), 0))
        steps = [self.follow_probs[here][:, there] for here, there in pairwise(layers)]
        whole = WordAcceptor(
            tuple(self.labels[p] for p in places),
            np.pad(self.start_probs[layers[0]], (0, len(places) - len(layers[0]))),
            sp.csr_array(sp.hstack([before_first, sp.block_diag([*steps, after_last])])),
            np.pad(self.end_probs[layers[-1]], (len(places) - len(layers[-1]), 0)),
        )
        return trimmed(whole)

    def with_garbage(self, probability: float = 0.5) -> "WordAcceptor":
        """Return a grammar that also accepts an utterance that is garbage throughout, with this probability.

        What is said outside of the grammar is then recognised as `GARBAGE`, that is, rejected.
        """
        if not 0.0 < probability < 1.0:
            raise ParameterError(f"probability is {probability} but must be between 0 and 1")
        return WordAcceptor(
            (*self.labels, GARBAGE),
            np.append((1.0 - probability) * self.start_probs, probability),
            sp.csr_array(sp.block_diag([self.follow_probs, sp.csr_array((1, 1))])),
            np.append(self.end_probs, 1.0),
            (1.0 - probability) * self.empty_prob,
        )


def one_of(words: Sequence[str]) -> WordAcceptor:
    """Return the grammar of isolated words: one of these, all equally probable."""
    return word_strings(words, 1, 1)


def word_loop(words: Sequence[str], *, continue_prob: float = 0.5) -> WordAcceptor:
    """Return the grammar of one or more of these words in any order, all equally probable.

    Parameters
    ----------
    words : sequence of str
        `GARBAGE` may be among them.
    continue_prob : float
        Probability that another word follows.
    """
    labels = _checked_vocabulary(words)
    if not 0.0 <= continue_prob < 1.0:
        raise ParameterError(f"continue_prob is {continue_prob} but must be at least 0 and less than 1")
    share = 1.0 / len(labels)
    follow_probs = sp.csr_array(np.full((len(labels), len(labels)), continue_prob * share))
    return WordAcceptor(labels, np.full(len(labels), share), follow_probs, np.full(len(labels), 1.0 - continue_prob))


def word_strings(words: Sequence[str], min_words: int, max_words: int) -> WordAcceptor:
    """Return the grammar of all strings of `min_words` to `max_words` of these words.

    All lengths are equally probable, and so are all words.

    Examples
    --------
    >>> digits = word_strings(["one", "two"], 2, 3)
    >>> digits.accepts(["one", "one"]), digits.accepts(["two"])
    (True, False)
    """
    labels = _checked_vocabulary(words)
    if not 1 <= min_words <= max_words:
        raise ParameterError(f"min_words and max_words are {min_words} and {max_words}; need 1 <= min <= max")
    lengths = np.arange(1, max_words + 1)
    stop_probs = np.where(lengths >= min_words, 1.0 / (max_words + 1 - np.maximum(lengths, min_words)), 0.0)
    share = 1.0 / len(labels)
    steps = sp.diags_array((1.0 - stop_probs[:-1]) * share, offsets=1, shape=(max_words, max_words))
    return WordAcceptor(
        labels * max_words,
        np.pad(np.full(len(labels), share), (0, len(labels) * (max_words - 1))),
        sp.csr_array(sp.kron(steps, np.ones((len(labels), len(labels))))),
        np.repeat(stop_probs, len(labels)),
    )


def sentence(words: Sequence[str]) -> WordAcceptor:
    """Return the grammar of exactly this string of words, for forced alignment."""
    if isinstance(words, str) or not len(words):
        raise ParameterError(f"words is {words!r}; give a list of at least one word")
    steps = sp.csr_array(np.eye(len(words), k=1))
    ends = np.eye(len(words))
    return WordAcceptor(tuple(words), ends[0], steps, ends[-1])


def trimmed(acceptor: WordAcceptor) -> WordAcceptor:
    """Return the acceptor without the places that no sentence passes."""
    places = _useful_places(acceptor)
    return WordAcceptor(
        tuple(acceptor.labels[p] for p in places),
        acceptor.start_probs[places],
        sp.csr_array(acceptor.follow_probs[places][:, places]),
        acceptor.end_probs[places],
        acceptor.empty_prob,
    )


def _useful_places(acceptor: WordAcceptor) -> IntArray:
    """Return the places that can be reached from a start and from which an end can be reached."""
    steps = sp.csr_array(acceptor.follow_probs)
    steps.eliminate_zeros()
    forward = _reachable(acceptor.start_probs > 0, steps)
    backward = _reachable(acceptor.end_probs > 0, sp.csr_array(steps.T))
    return np.flatnonzero(forward & backward)


def _reachable(begin: np.ndarray, steps: sp.csr_array) -> np.ndarray:
    """Return which places can be reached in any number of steps."""
    reached, pending = begin.copy(), list(np.flatnonzero(begin))
    while pending:
        place = pending.pop()
        following = steps.indices[steps.indptr[place] : steps.indptr[place + 1]]
        new = following[~reached[following]]
        reached[new] = True
        pending.extend(new)
    return reached


def _check_distributions(acceptor: WordAcceptor) -> None:
    """Refuse negative probabilities and sums above 1."""
    sums = acceptor.follow_probs.sum(axis=1) + acceptor.end_probs
    sums = np.append(sums, acceptor.start_probs.sum() + acceptor.empty_prob)
    values = np.concatenate(
        [acceptor.follow_probs.data, acceptor.start_probs, acceptor.end_probs, [acceptor.empty_prob]]
    )
    if not (values >= 0.0).all() or sums.max() > 1.0 + SUM_TOLERANCE:
        raise ParameterError(
            "probabilities of an acceptor must not be negative, nor sum to more than 1 from any place; "
            f"the smallest is {values.min()}, the largest sum {sums.max()}"
        )


def _checked_vocabulary(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words, at least one and none of them twice."""
    if isinstance(words, str):
        raise ParameterError(f"words is the string {words!r}; give a list of words")
    labels = tuple(words)
    if not labels:
        raise ParameterError("words is empty; a grammar needs at least one word")
    if len(set(labels)) < len(labels):
        doubled = sorted({label for label in labels if labels.count(label) > 1})
        raise ParameterError(f"the words {doubled} are given more than once")
    return labels


def _log(probability: float) -> float:
    """Return the natural logarithm, −inf of 0."""
    return math.log(probability) if probability > 0.0 else -math.inf
