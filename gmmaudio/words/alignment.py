"""Forced alignment: when each of the words that are known to have been said was said."""

from collections.abc import Mapping, Sequence

import numpy.typing as npt

from gmmaudio.errors import GmmAudioError
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.words.acceptor import WordAcceptor, sentence
from gmmaudio.words.decoding import decode
from gmmaudio.words.hypotheses import Hypothesis
from gmmaudio.words.network import NetworkOptions, build_network


def align(
    words: Sequence[str],
    models: Mapping[str, HmmParams],
    frames: npt.ArrayLike,
    *,
    grammar: WordAcceptor | None = None,
    options: NetworkOptions | None = None,
) -> Hypothesis:
    """Return the most probable times of a known string of words.

    Parameters
    ----------
    words : sequence of str
        What was said.
    models : mapping of str to HmmParams
        As for `build_network`; with one of `SILENCE`, pauses may stand between the words.
    frames : array-like, shape (n_frames, n_features)
    grammar : WordAcceptor, optional
        The grammar whose probabilities the result is to have; those of exactly this string if not given.
    options : NetworkOptions, optional

    Returns
    -------
    Hypothesis
        Words and pauses with their states; `to_alignment` gives them times in seconds.

    Raises
    ------
    ParameterError
        If a word has no model, or the grammar does not accept the words.
    GmmAudioError
        If there are fewer frames than the words need, or the models cannot have produced the frames.

    Examples
    --------
    >>> import numpy as np
    >>> from gmmaudio.gmm import GmmParams
    >>> from gmmaudio.hmm.emissions import MixtureEmissions
    >>> def model(mean):
    ...     state = GmmParams(weights=[1.0], means=[[mean]], covariances=[[1.0]])
    ...     return HmmParams([1.0], [[0.9]], MixtureEmissions([state]), end_probs=[0.1])
    >>> found = align(["low", "high"], {"low": model(0.0), "high": model(9.0)}, [[0.1], [0.3], [8.7], [9.2], [9.1]])
    >>> [(part.label, part.start_frame, part.end_frame) for part in found.segments]
    [('low', 0, 2), ('high', 2, 5)]
    """
    acceptor = sentence(words) if grammar is None else grammar.restricted_to(words)
    network = build_network(acceptor, models, options)
    log_likelihoods = network.emission_log_likelihoods(frames)
    said = " ".join(words)
    if len(log_likelihoods) < network.min_frames:
        raise GmmAudioError(
            f"the words {said!r} need at least {network.min_frames} frames but there are {len(log_likelihoods)}; "
            "is this the right recording?"
        )
    found = decode(network, log_likelihoods)
    if not found.segments:
        raise GmmAudioError(f"the words {said!r} cannot have produced these frames: their likelihood is 0")
    return found
