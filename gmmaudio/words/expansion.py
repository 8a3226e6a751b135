"""What a network needs beyond the words of its grammar: pauses, and two places for a word that follows itself."""

import numpy as np
import scipy.sparse as sp

from gmmaudio.words.acceptor import SILENCE, WordAcceptor, trimmed
from gmmaudio.words.reduction import groups_of, row_keys


def with_silence(acceptor: WordAcceptor, probability: float) -> WordAcceptor:
    """Return the grammar with an optional pause before the first and after each word.

    One pause serves all places from which everything goes on alike.
    """
    groups = groups_of(row_keys(acceptor.follow_probs, acceptor.end_probs))
    firsts = np.unique(groups, return_index=True)[1]
    n_pauses = len(firsts) + 1
    to_pause = sp.csr_array(
        (np.full(acceptor.n_places, probability), (np.arange(acceptor.n_places), groups)),
        shape=(acceptor.n_places, n_pauses),
    )
    after_pause = sp.vstack([acceptor.follow_probs[firsts], sp.csr_array(acceptor.start_probs[np.newaxis])])
    follow_probs = sp.block_array([[(1.0 - probability) * acceptor.follow_probs, to_pause], [after_pause, None]])
    return trimmed(
        WordAcceptor(
            (*acceptor.labels, *[SILENCE] * n_pauses),
            np.concatenate([(1.0 - probability) * acceptor.start_probs, np.zeros(n_pauses - 1), [probability]]),
            sp.csr_array(follow_probs),
            np.concatenate(
                [(1.0 - probability) * acceptor.end_probs, acceptor.end_probs[firsts], [acceptor.empty_prob]]
            ),
            (1.0 - probability) * acceptor.empty_prob,
        )
    )


def apart_from_itself(acceptor: WordAcceptor, labels: set[str]) -> WordAcceptor:
    """Return the grammar with two places for each one of these words that may follow itself, taking turns.

    So a repetition of a word is a transition between two places, never one within a model.
    """
    stay_probs = acceptor.follow_probs.diagonal()
    doubled = np.flatnonzero([p > 0 and label in labels for p, label in zip(stay_probs, acceptor.labels, strict=True)])
    if not len(doubled):
        return acceptor
    n_places = acceptor.n_places
    stays = sp.csr_array(
        (stay_probs[doubled], (doubled, np.arange(len(doubled)))), shape=(n_places, len(doubled))
    )  # from each one to its twin
    alone = np.zeros(n_places)
    alone[doubled] = stay_probs[doubled]
    others = acceptor.follow_probs - sp.diags_array(alone)
    back = sp.csr_array(stays.T)
    return WordAcceptor(
        (*acceptor.labels, *(acceptor.labels[p] for p in doubled)),
        np.pad(acceptor.start_probs, (0, len(doubled))),
        sp.csr_array(sp.block_array([[others, stays], [others[doubled] + back, None]])),
        np.concatenate([acceptor.end_probs, acceptor.end_probs[doubled]]),
        acceptor.empty_prob,
    )
