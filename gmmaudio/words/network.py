"""A grammar and one hidden Markov model per word, joined into one large and sparse hidden Markov model.

Conventions. Each place of the grammar gets a copy of its word's model. A copy is left with the end probabilities of its
states, the grammar chooses the next place, and that is entered with its start probabilities, so the network is a proper
hidden Markov model and everything in `gmmaudio.hmm` works on it. Copies of a word share the *columns* of the matrix of
emission log-likelihoods, which is computed once per distinct state of all models, in one matrix product. Where there
is a model of silence, a pause may stand before, between and after words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.hmm.chain import Chain, as_chain
from gmmaudio.hmm.emissions import MixtureEmissions, TiedEmissions
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.words.acceptor import GARBAGE, SILENCE, WordAcceptor, trimmed
from gmmaudio.words.expansion import apart_from_itself, with_silence

MAX_WORD_PENALTY = 500.0
"""Nats; the probability of a word must remain one that float64 can hold."""


@dataclass(frozen=True)
class NetworkOptions:
    """How words, pauses and garbage are weighed against each other.

    Attributes
    ----------
    silence_prob : float
        Probability of a pause wherever one may stand.
    word_penalty : float
        Nats that each word costs, at least 0; raise it when too many short words are recognised.
    garbage_penalty : float
        Nats that each frame of garbage costs, of any sign; raise it when words are rejected, lower it when other
        speech is taken for words.

    Raises
    ------
    ParameterError
        If a value is out of its range.
    """

    silence_prob: float = 0.5
    word_penalty: float = 0.0
    garbage_penalty: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.silence_prob < 1.0:
            raise ParameterError(f"silence_prob is {self.silence_prob} but must be between 0 and 1")
        if not 0.0 <= self.word_penalty <= MAX_WORD_PENALTY:
            raise ParameterError(f"word_penalty is {self.word_penalty} but must be from 0 to {MAX_WORD_PENALTY} nats")
        if not np.isfinite(self.garbage_penalty):
            raise ParameterError(f"garbage_penalty is {self.garbage_penalty} but must be finite")


class _EmissionLaw(Protocol):
    """Whatever gives log-likelihoods of frames in states."""

    def frame_log_likelihoods(self, frames: npt.ArrayLike) -> Float64Array:
        """Return shape (n_frames, n_states)."""
        ...


@dataclass(frozen=True, eq=False)
class WordNetwork:
    """A hidden Markov model of all sentences of a grammar; made by `build_network`.

    Attributes
    ----------
    start_probs : array, shape (n_states,)
    transition_matrix : sparse array, shape (n_states, n_states)
    end_probs : array, shape (n_states,)
    labels : tuple of str
        The word of each place: of each copy of a model.
    places : int array, shape (n_states,)
        Place of each state.
    positions : int array, shape (n_states,)
        Number of each state in the model of its word.
    columns : int array, shape (n_states,)
        Column of each state in the matrix of emission log-likelihoods.
    is_entry : sparse array of bool, shape (n_states, n_states)
        Which transitions enter a new word (or pause), as against those within one.
    column_labels : tuple of str
        Label of each column.
    acceptor : WordAcceptor
        The grammar, without pauses.
    emissions : object with `frame_log_likelihoods`
        Of the distinct states.
    column_offsets : array, shape (n_columns,)
        What is added to the emission log-likelihoods: the garbage penalty.
    """

    start_probs: Float64Array
    transition_matrix: sp.csr_array
    end_probs: Float64Array
    labels: tuple[str, ...]
    places: IntArray
    positions: IntArray
    columns: IntArray
    is_entry: sp.csr_array
    column_labels: tuple[str, ...]
    acceptor: WordAcceptor
    emissions: _EmissionLaw
    column_offsets: Float64Array

    @property
    def n_states(self) -> int:
        """Number of states."""
        return len(self.places)

    @property
    def n_columns(self) -> int:
        """Number of distinct emission states."""
        return len(self.column_labels)

    @cached_property
    def min_frames(self) -> int:
        """Number of frames of the shortest utterance that the network can produce.

        Raises
        ------
        ParameterError
            If it can produce none, because a model cannot come to its end.
        """
        reached, n_frames = self.start_probs > 0, 1
        seen: BoolArray = reached
        while not (reached & (self.end_probs > 0)).any():
            if not reached.any():
                raise ParameterError("no sentence can be completed: no state with an end probability can be reached")
            reached = ((reached.astype(np.float64) @ self.transition_matrix) > 0) & ~seen
            seen = seen | reached
            n_frames += 1
        return n_frames

    @cached_property
    def chain(self) -> Chain:
        """The network in the form in which the compiled recursions want it."""
        return as_chain(self.start_probs, self.transition_matrix, self.end_probs)

    def emission_log_likelihoods(self, frames: npt.ArrayLike) -> Float64Array:
        """Return the log-likelihood of each frame in each distinct state, shape (n_frames, n_columns)."""
        return self.emissions.frame_log_likelihoods(frames) + self.column_offsets

    def state_log_likelihoods(self, log_likelihoods: Float64Array) -> Float64Array:
        """Return the columns of all states, shape (n_frames, n_states).

        Raises
        ------
        ParameterError
            If `log_likelihoods` is not what `emission_log_likelihoods` returns.
        """
        if log_likelihoods.ndim != 2 or log_likelihoods.shape[1] != self.n_columns or np.isnan(log_likelihoods).any():
            raise ParameterError(
                f"log_likelihoods has the shape {np.shape(log_likelihoods)} but needs {self.n_columns} columns without "
                "NaN; give what emission_log_likelihoods returns, not frames"
            )
        return np.ascontiguousarray(log_likelihoods[:, self.columns])


def build_network(
    acceptor: WordAcceptor, models: Mapping[str, HmmParams], options: NetworkOptions | None = None
) -> WordNetwork:
    """Join a grammar and the models of its words.

    Parameters
    ----------
    acceptor : WordAcceptor
    models : mapping of str to HmmParams
        A model with end probabilities for each word of the grammar. Under `SILENCE` that of pauses, if they are to be
        allowed; under `GARBAGE` that of other speech, if the grammar names it. Further models are not used.
    options : NetworkOptions, optional

    Returns
    -------
    WordNetwork

    Raises
    ------
    ParameterError
        If a word of the grammar has no model, a model has no end probabilities or cannot come to its end, or the
        models are of different features.

    Examples
    --------
    >>> from gmmaudio.gmm import GmmParams
    >>> from gmmaudio.hmm.emissions import MixtureEmissions
    >>> from gmmaudio.words.acceptor import one_of
    >>> def model(*means):
    ...     states = [GmmParams(weights=[1.0], means=[[mean]], covariances=[[1.0]]) for mean in means]
    ...     steps = 0.5 * (np.eye(len(means)) + np.eye(len(means), k=1))
    ...     starts = np.eye(len(means))[0]
    ...     return HmmParams(starts, steps, MixtureEmissions(states), end_probs=0.5 * starts[::-1])
    >>> network = build_network(one_of(["up", "down"]), {"up": model(0, 9), "down": model(9, 5, 0)})
    >>> network.n_states, network.min_frames
    (5, 2)
    """
    options = options or NetworkOptions()
    acceptor = trimmed(acceptor)
    used = list(dict.fromkeys([*acceptor.labels, *([SILENCE] if SILENCE in models else [])]))
    _check_models(used, models)
    grammar = with_silence(acceptor, options.silence_prob) if SILENCE in models else acceptor
    grammar = apart_from_itself(grammar, {label for label in used if _may_look_like_staying(models[label])})
    copies = [models[label] for label in grammar.labels]
    place_of = np.repeat(np.arange(len(copies)), [model.n_states for model in copies])
    exits = _by_place(place_of, [_normalized(model)[1] for model in copies])
    penalties = np.array([0.0 if label in (SILENCE, GARBAGE) else options.word_penalty for label in grammar.labels])
    entries = _by_place(place_of, [model.start_probs for model in copies]).T * np.exp(-penalties)[:, np.newaxis]
    within = sp.csr_array(sp.block_diag([_normalized(model)[0] for model in copies], format="csr"))
    between = sp.csr_array(exits @ grammar.follow_probs @ entries)
    column_of, column_labels = _columns(used, models, grammar.labels)
    network = WordNetwork(
        start_probs=grammar.start_probs @ entries,
        transition_matrix=_without_zeros(within + between),
        end_probs=exits @ grammar.end_probs,
        labels=grammar.labels,
        places=place_of,
        positions=np.concatenate([np.arange(model.n_states) for model in copies]),
        columns=column_of,
        is_entry=_without_zeros(between) > 0,
        column_labels=column_labels,
        acceptor=acceptor,
        emissions=_pooled([models[label] for label in used]),
        column_offsets=np.where(np.array(column_labels, dtype=object) == GARBAGE, -options.garbage_penalty, 0.0),
    )
    _ = network.min_frames  # raises where no sentence can be completed
    return network


def _check_models(used: Sequence[str], models: Mapping[str, HmmParams]) -> None:
    """Refuse words without models and models that cannot be joined."""
    if missing := [label for label in used if label not in models]:
        raise ParameterError(
            f"there is no model of {', '.join(map(repr, missing))}; the models are of {', '.join(sorted(models))}"
        )
    if endless := [label for label in used if models[label].end_probs is None]:
        raise ParameterError(
            f"the models of {', '.join(map(repr, endless))} have no end_probs, so that no word could follow; "
            "train them with a topology that has ends"
        )
    features = {models[label].n_features for label in used}
    if len(features) > 1:
        raise ParameterError(f"the models are of {sorted(features)} features; all need the same number")
    if not used:
        raise ParameterError("the grammar has no words and there is no model of silence")


def _may_look_like_staying(model: HmmParams) -> bool:
    """Whether leaving the model and entering it again can look like a transition within it."""
    assert model.end_probs is not None
    return bool((np.outer(model.end_probs, model.start_probs) * model.transition_matrix).any())


def _normalized(model: HmmParams) -> tuple[sp.csr_array, Float64Array]:
    """Return transitions and ends with rows that sum to 1 exactly; models of other programs have six digits."""
    assert model.end_probs is not None
    sums = model.transition_matrix.sum(axis=1) + model.end_probs
    return sp.csr_array(model.transition_matrix / sums[:, np.newaxis]), model.end_probs / sums


def _by_place(place_of: IntArray, values: Sequence[Float64Array]) -> sp.csr_array:
    """Return the values of all states as a matrix (n_states, n_places), each in the column of its place."""
    n_states, n_places = len(place_of), len(values)
    return sp.csr_array((np.concatenate(values), (np.arange(n_states), place_of)), shape=(n_states, n_places))


def _columns(
    used: Sequence[str], models: Mapping[str, HmmParams], labels: Sequence[str]
) -> tuple[IntArray, tuple[str, ...]]:
    """Return the emission column of each state and the label of each column; the models stand side by side."""
    sizes = [models[label].n_states for label in used]
    first = dict(zip(used, np.cumsum([0, *sizes[:-1]]), strict=True))
    column_of = np.concatenate([first[label] + np.arange(models[label].n_states) for label in labels])
    return column_of, tuple(label for label, size in zip(used, sizes, strict=True) for _ in range(size))


def _pooled(models: Sequence[HmmParams]) -> _EmissionLaw:
    """Return one emission law for the states of all models, which one matrix product evaluates if they allow it."""
    laws = [model.emissions for model in models]
    if all(isinstance(law, MixtureEmissions) for law in laws):
        return MixtureEmissions(mixture for law in laws for mixture in law.mixtures)  # type: ignore[attr-defined]
    tied = [law for law in laws if isinstance(law, TiedEmissions)]
    if len(tied) == len(laws) and all(law.codebook is tied[0].codebook for law in tied):
        return TiedEmissions(tied[0].codebook, np.concatenate([law.weights for law in tied]))
    return _SideBySide(tuple(laws))


@dataclass(frozen=True)
class _SideBySide:
    """Emission laws of several kinds."""

    laws: tuple[_EmissionLaw, ...]

    def frame_log_likelihoods(self, frames: npt.ArrayLike) -> Float64Array:
        """Return the columns of all laws."""
        return np.hstack([law.frame_log_likelihoods(frames) for law in self.laws])


def _without_zeros(matrix: sp.csr_array) -> sp.csr_array:
    """Return the matrix with only what is not zero stored, in the order of the columns."""
    matrix = sp.csr_array(matrix)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    return matrix
