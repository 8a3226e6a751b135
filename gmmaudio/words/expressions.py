"""Expressions over words, and the automaton of each: what a grammar is made of once it has been read.

Conventions. An expression is a probability distribution over word strings: alternatives share in proportion to their
weights, and a repetition goes on with probability `CONTINUE_PROB` after each turn. The automaton is built from the
first and last places of the parts (Glushkov 1961), here with probabilities; see `Fragment`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.words.acceptor import WordAcceptor
from gmmaudio.words.reduction import reduced

CONTINUE_PROB = 0.5
"""Probability of another turn after each turn of ``*`` and ``+``, and of the first turn of ``*``."""

MAX_PLACES, MAX_STEPS = 20_000, 5_000_000
"""Places and steps from place to place, at most: a few rules can multiply to more than any memory holds."""


@dataclass(frozen=True, eq=False)
class Fragment:
    """The automaton of a part of a sentence, before its surroundings are known.

    Attributes
    ----------
    empty : float
        Probability that the part says nothing.
    places : int array, shape (n,)
        Its places.
    first : array, shape (n,)
        Probability that it begins at a place; with `empty` they sum to 1.
    last : array, shape (n,)
        Probability that it ends after a place, once there.
    """

    empty: float
    places: IntArray
    first: Float64Array
    last: Float64Array


@dataclass
class _Builder:
    """Places and steps of all fragments made so far."""

    labels: list[str]
    steps: list[tuple[IntArray, IntArray, Float64Array]]
    n_steps: int = 0

    def add_place(self, label: str) -> int:
        """Return a new place for a word."""
        if len(self.labels) == MAX_PLACES:
            raise ParameterError(f"the grammar has more than {MAX_PLACES} places for words; use + or * to repeat")
        self.labels.append(label)
        return len(self.labels) - 1

    def add_steps(self, before: Fragment, after: Fragment, factor: float = 1.0) -> None:
        """Let the first places of one fragment follow the last places of another."""
        rows = before.places[before.last > 0]
        columns = after.places[after.first > 0]
        self.n_steps += len(rows) * len(columns)
        if self.n_steps > MAX_STEPS:
            raise ParameterError(
                f"the grammar has more than {MAX_STEPS} steps from word to word; "
                "use fewer words where any word may follow any other"
            )
        values = factor * np.outer(before.last[before.last > 0], after.first[after.first > 0])
        self.steps.append((np.repeat(rows, len(columns)), np.tile(columns, len(rows)), values.ravel()))


class Expression(ABC):
    """A part of a grammar."""

    @abstractmethod
    def fragment(self, builder: _Builder) -> Fragment:
        """Add the places and inner steps of this expression and return its outside."""


@dataclass(frozen=True)
class Word(Expression):
    """One word."""

    label: str

    def fragment(self, builder: _Builder) -> Fragment:
        """Return a single place."""
        return Fragment(0.0, np.array([builder.add_place(self.label)]), np.ones(1), np.ones(1))


@dataclass(frozen=True)
class Sequence(Expression):
    """Expressions one after the other; none at all says nothing."""

    parts: tuple[Expression, ...]

    def fragment(self, builder: _Builder) -> Fragment:
        """Return the concatenation; a part that says nothing is passed over with its probability of doing so."""
        whole = Fragment(1.0, np.empty(0, dtype=int), np.empty(0), np.empty(0))
        for part in self.parts:
            after = part.fragment(builder)
            builder.add_steps(whole, after)
            whole = Fragment(
                whole.empty * after.empty,
                np.concatenate([whole.places, after.places]),
                np.concatenate([whole.first, whole.empty * after.first]),
                np.concatenate([whole.last * after.empty, after.last]),
            )
        return whole


@dataclass(frozen=True)
class Alternatives(Expression):
    """One of several expressions, with probabilities that sum to 1."""

    choices: tuple[Expression, ...]
    probs: tuple[float, ...]

    def fragment(self, builder: _Builder) -> Fragment:
        """Return the mixture."""
        parts = [choice.fragment(builder) for choice in self.choices]
        return Fragment(
            sum(prob * part.empty for prob, part in zip(self.probs, parts, strict=True)),
            np.concatenate([part.places for part in parts]),
            np.concatenate([prob * part.first for prob, part in zip(self.probs, parts, strict=True)]),
            np.concatenate([part.last for part in parts]),
        )


@dataclass(frozen=True)
class Repeated(Expression):
    """An expression any number of times, at least once if `at_least_once`."""

    part: Expression
    at_least_once: bool

    def fragment(self, builder: _Builder) -> Fragment:
        """Return the closure L = (1 − c) + c e L, with the turns that say nothing summed up.

        With n the probability that a turn says nothing, L goes on to a word with probability ``c / (1 − c n)`` times
        that of the word in a turn, and ends with ``(1 − c) / (1 − c n)``.
        """
        turn = self.part.fragment(builder)
        going_on = CONTINUE_PROB / (1.0 - CONTINUE_PROB * turn.empty)
        ending = (1.0 - CONTINUE_PROB) / (1.0 - CONTINUE_PROB * turn.empty)
        builder.add_steps(turn, turn, going_on)
        if not self.at_least_once:
            return Fragment(ending, turn.places, going_on * turn.first, ending * turn.last)
        first = turn.first * (1.0 + turn.empty * going_on)
        return Fragment(turn.empty * ending, turn.places, first, ending * turn.last)


def to_acceptor(expression: Expression) -> WordAcceptor:
    """Return the automaton of an expression, with as few places as merging can make it.

    Examples
    --------
    >>> acceptor = to_acceptor(Sequence((Word("one"), Repeated(Word("two"), at_least_once=False))))
    >>> acceptor.labels, round(float(np.exp(acceptor.sentence_log_probability(["one", "two"]))), 9)
    (('one', 'two'), 0.25)
    """
    builder = _Builder([], [])
    whole = expression.fragment(builder)
    n_places = len(builder.labels)
    rows, columns, values = (
        np.concatenate(parts) if builder.steps else np.empty(0, dtype=kind)
        for parts, kind in zip(list(zip(*builder.steps, strict=True)) or [()] * 3, (int, int, float), strict=True)
    )
    starts, ends = np.zeros(n_places), np.zeros(n_places)
    starts[whole.places], ends[whole.places] = whole.first, whole.last
    follow_probs = sp.csr_array(sp.coo_array((values, (rows, columns)), shape=(n_places, n_places)))
    return reduced(WordAcceptor(tuple(builder.labels), starts, follow_probs, ends, whole.empty))
