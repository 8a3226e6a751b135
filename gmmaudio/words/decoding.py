"""The best sentences of an utterance, and how certain each of their words is.

Conventions. All functions take a network and ``network.emission_log_likelihoods(frames)``, which is computed once. An
utterance into which no sentence fits (too few frames, or impossible ones) is not an error: nothing is recognised.
"""

from typing import NamedTuple

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.hmm.inference import batch_viterbi
from gmmaudio.words._kernels import best_by_label
from gmmaudio.words.hypotheses import NOTHING, Hypothesis, Segment, path_segments, with_confidences
from gmmaudio.words.network import WordNetwork

CONFIDENCE_SCALE = 0.1
"""Frames 10 ms apart, each with its deltas, are far from independent: about ten of them are worth one."""


class LabelPosteriors(NamedTuple):
    """How probable each label is at each frame.

    Attributes
    ----------
    labels : tuple of str
        Words, `SILENCE` and `GARBAGE`, as far as the network has them.
    probs : array, shape (n_frames, n_labels)
        Rows sum to 1, or are 0 if nothing can be recognised.
    """

    labels: tuple[str, ...]
    probs: Float64Array


def decode(network: WordNetwork, log_likelihoods: Float64Array) -> Hypothesis:
    """Return the most probable path through the network.

    Parameters
    ----------
    network : WordNetwork
    log_likelihoods : array, shape (n_frames, n_columns)
        From `WordNetwork.emission_log_likelihoods`.

    Returns
    -------
    Hypothesis
        Without segments, and of log-probability −inf, if no sentence fits.
    """
    states = network.state_log_likelihoods(log_likelihoods)
    if not len(states):
        return NOTHING
    path, log_probabilities = batch_viterbi(network.chain, states, np.array([0, len(states)]))
    if log_probabilities[0] == -np.inf:
        return NOTHING
    path_log_likelihoods = states[np.arange(len(path)), path]
    segments = path_segments(network, path, path_log_likelihoods, is_complete=True)
    return Hypothesis(segments, float(log_probabilities[0]))


def label_posteriors(
    network: WordNetwork, log_likelihoods: Float64Array, *, scale: float = CONFIDENCE_SCALE
) -> LabelPosteriors:
    """Return how probable each label is at each frame, in competition with the best that could be said instead.

    With s the log-probability of the best path of a whole sentence that says label l at frame t, this is
    ``exp(scale · s_tl) / Σ_k exp(scale · s_tk)``: the word posteriors of Wessel, Schlüter, Macherey & Ney 2001
    ("Confidence measures for large vocabulary continuous speech recognition", eq. 4–5), whose words also count with
    their best alignment and scaled log-probabilities. Sums over all alignments, scaled, would favour the models with
    the most alignments.

    Parameters
    ----------
    network : WordNetwork
    log_likelihoods : array, shape (n_frames, n_columns)
    scale : float
        Factor of log-probabilities.

    Raises
    ------
    ParameterError
        If `scale` is not positive and finite.
    """
    if not 0.0 < scale < np.inf:
        raise ParameterError(f"scale is {scale} but must be positive and finite")
    states = network.state_log_likelihoods(log_likelihoods)
    labels = tuple(dict.fromkeys(network.labels))
    numbers = np.array([labels.index(label) for label in network.labels])[network.places]
    scores = np.empty((len(states), len(labels)))
    chain = network.chain
    with np.errstate(divide="ignore"):
        incoming, outgoing = (
            (arcs.firsts, arcs.others, np.log(arcs.probs)) for arcs in (chain.incoming, chain.outgoing)
        )
        best_by_label(np.log(chain.start), incoming, outgoing, np.log(chain.end), numbers, states, scores)
    best = scores.max(axis=1, initial=-np.inf, keepdims=True)
    probs = np.exp(scale * (scores - np.where(np.isfinite(best), best, 0.0)))
    return LabelPosteriors(labels, probs / np.maximum(probs.sum(axis=1, keepdims=True), 1.0))


def with_confidence(hypothesis: Hypothesis, posteriors: LabelPosteriors) -> Hypothesis:
    """Return the hypothesis with the confidence of each segment: the mean posterior of its label over its frames."""
    numbers = {label: n for n, label in enumerate(posteriors.labels)}

    def confidence(part: Segment) -> float:
        """Return the mean posterior of a label over its frames."""
        return min(1.0, float(posteriors.probs[part.start_frame : part.end_frame, numbers[part.label]].mean()))

    return with_confidences(hypothesis, [confidence(part) for part in hypothesis.segments])
