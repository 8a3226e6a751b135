"""A smaller automaton for the same sentences, with the same probabilities.

Two exact ways of merging places of the same word (lumping of Markov chains: Kemeny & Snell 1960, "Finite Markov
chains", chapter 6; weighted bisimulation of automata: Buchholz 2008): *forward*, places from which everything goes on
alike; *backward*, places that are reached in fixed proportion from everywhere, so that the proportion is all that was
ever known of the difference. The first merges common endings of the sentences, the second common beginnings.
"""

import numpy as np
import scipy.sparse as sp

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.words.acceptor import WordAcceptor, trimmed

DIGITS = 12
"""Decimal digits in which probabilities must agree to be taken for equal."""


def reduced(acceptor: WordAcceptor) -> WordAcceptor:
    """Merge places until no two of them can be merged; the sentences keep their probabilities.

    Examples
    --------
    >>> from gmmaudio.words.acceptor import WordAcceptor
    >>> import numpy as np, scipy.sparse as sp
    >>> steps = sp.csr_array(np.array([[0.0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]))
    >>> doubled = WordAcceptor(("go", "go", "on", "on"), np.array([0.5, 0.5, 0, 0]), steps, np.array([0, 0, 1.0, 1]))
    >>> reduced(doubled).labels
    ('go', 'on')
    """
    acceptor = trimmed(acceptor)
    n_places = acceptor.n_places + 1
    while acceptor.n_places < n_places:
        n_places = acceptor.n_places
        acceptor = _merged(acceptor, _alike_ahead(acceptor))
        acceptor = _merged(acceptor, _proportional_behind(acceptor))
    return acceptor


def groups_of(rows: list[bytes]) -> IntArray:
    """Return the number of the group of equal entries that each belongs to, in the order of first appearance."""
    numbers: dict[bytes, int] = {}
    return np.array([numbers.setdefault(row, len(numbers)) for row in rows], dtype=int)


def row_keys(matrix: sp.csr_array, column: Float64Array) -> list[bytes]:
    """Return one key for each row of a sparse matrix with a column beside it; equal rows have equal keys."""
    matrix = sp.csr_array(sp.hstack([matrix, sp.csr_array(column[:, np.newaxis])]))
    matrix.data = matrix.data.round(DIGITS)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    spans = zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    return [matrix.indices[a:b].tobytes() + matrix.data[a:b].tobytes() for a, b in spans]


def _alike_ahead(acceptor: WordAcceptor) -> IntArray:
    """Return groups of places with the same word from which every group is entered with the same probability."""
    groups = groups_of([label.encode() for label in acceptor.labels])
    n_groups = 0
    while n_groups < groups.max(initial=-1) + 1:
        n_groups = groups.max() + 1
        keys = row_keys(acceptor.follow_probs @ _indicator(groups), acceptor.end_probs)
        groups = groups_of([group.tobytes() + key for group, key in zip(groups, keys, strict=True)])
    return groups


def _proportional_behind(acceptor: WordAcceptor) -> IntArray:
    """Return groups of places with the same word that are entered in the same proportions from everywhere."""
    totals = acceptor.start_probs + acceptor.follow_probs.sum(axis=0)
    shares = sp.csr_array((acceptor.follow_probs / totals).T)
    keys = row_keys(shares, acceptor.start_probs / totals)
    return groups_of([label.encode() + b"\0" + key for label, key in zip(acceptor.labels, keys, strict=True)])


def _merged(acceptor: WordAcceptor, groups: IntArray) -> WordAcceptor:
    """Return the acceptor with one place for each group, weighted by how often its members are entered."""
    into = _indicator(groups)
    totals = acceptor.start_probs + acceptor.follow_probs.sum(axis=0)
    weights = sp.csr_array((into * totals[:, np.newaxis]).T)
    weights = sp.csr_array(weights / weights.sum(axis=1)[:, np.newaxis])
    first_of_group = np.unique(groups, return_index=True)[1]
    return WordAcceptor(
        tuple(acceptor.labels[p] for p in first_of_group),
        acceptor.start_probs @ into,
        sp.csr_array(weights @ acceptor.follow_probs @ into),
        weights @ acceptor.end_probs,
        acceptor.empty_prob,
    )


def _indicator(groups: IntArray) -> sp.csr_array:
    """Return the matrix (n_places, n_groups) that is 1 where a place belongs to a group."""
    n_places = len(groups)
    return sp.csr_array(
        (np.ones(n_places), (np.arange(n_places), groups)), shape=(n_places, groups.max(initial=-1) + 1)
    )
