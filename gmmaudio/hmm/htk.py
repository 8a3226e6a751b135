"""Hidden Markov models of HTK, from its text format (MMF).

Conventions. The part that is read, of chapter 7 of The HTK Book: options (`~o`, or after `<BEGINHMM>`) with one stream,
diagonal covariances and no durations; variance floors (`~v`), which are passed over; models (`~h "name"`) with
`<BEGINHMM>`, `<NUMSTATES>`, `<STATE>`, `<NUMMIXES>`, `<MIXTURE>`, `<MEAN>`, `<VARIANCE>`, `<GCONST>`, `<TRANSP>` and
`<ENDHMM>`. Keywords may be in either case. Everything tied (`~s`, `~m`, `~t`, `~u`, and `~v` in a state) is refused,
and so are binary files: `HHEd` with an empty script writes them as text.

HTK's first and last state emit nothing: the first row of `<TRANSP>` holds the start probabilities, its last column
the end probabilities of what is here `HmmParams`.
"""

import os
import re
import warnings

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import GmmAudioError, GmmAudioWarning
from gmmaudio.gmm.interop._tokens import Tokens, read_bytes
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.hmm.emissions import MixtureEmissions
from gmmaudio.hmm.parameters import HmmParams

TOKEN = r'<[^<>\s]*>|"[^"\n]*"|~[A-Za-z]|[^\s<>"~]+|[<>"~]'
PASSED_OVER = re.compile(r"<(NULLD|DIAGC|(MFCC|PLP|FBANK|MELSPEC|LPC|LPCEPSTRA|LPREFC|LPDELCEP|IREFC|USER)(_\w)*)>")
"""Options without a value: no durations, diagonal covariances, and what the features are."""

MOST_FEATURES = 2**16
MOST_STATES = 2**16
MOST_COMPONENTS = 2**16

SUM_TOLERANCE = 1e-3
"""How far probabilities may be from a sum of 1, as those that people write by hand are."""

CONSTANT_TOLERANCE = 1e-4
"""How far `<GCONST>` may be from what the variances give, relative to the sum of its terms' magnitudes."""


def read_htk(path: str | os.PathLike[str]) -> dict[str, HmmParams]:
    """Read the hidden Markov models of a text MMF file, by name.

    Parameters
    ----------
    path : path-like
        See the module for the part of the format that is read.

    Raises
    ------
    GmmAudioError
        If the file cannot be read or holds anything else; the message names the line.

    Warns
    -----
    GmmAudioWarning
        If a stored `<GCONST>` is not that of its variances: the file was edited, or is damaged.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "hmmdefs"
    >>> _ = path.write_text('''~o <VECSIZE> 1 <USER> ~h "a" <BEGINHMM> <NUMSTATES> 3
    ...     <STATE> 2 <MEAN> 1 0.5 <VARIANCE> 1 2.0 <TRANSP> 3  0 1 0  0 0.9 0.1  0 0 0 <ENDHMM>''')
    >>> model = read_htk(path)["a"]
    >>> model.transition_matrix, model.end_probs
    (array([[0.9]]), array([0.1]))
    """
    contents = read_bytes(path)
    if b"\0" in contents:
        raise GmmAudioError(f"{path} is not text; write the models as text with HTK's HHEd")
    tokens = Tokens(contents, TOKEN, str(path), upper=r"<.*>|~.")
    size: int | None = None
    models: dict[str, HmmParams] = {}
    while tokens.peek() is not None:
        macro = tokens.expect("~O", "~H", "~V")
        if macro == "~O":
            size = _options(tokens, size)
            continue
        name = _name(tokens)
        if macro == "~V":
            _vector(tokens, "<VARIANCE>", size)
        elif name in models:
            raise tokens.error(f"there are two models of the name {name!r}")
        else:
            models[name] = _model(tokens, size)
    if not models:
        raise GmmAudioError(f"{path} holds no model (~h)")
    return models


def _options(tokens: Tokens, size: int | None) -> int | None:
    """Go past options; return the number of features if they say it."""
    while (option := tokens.peek() or "").startswith("<") and option != "<NUMSTATES>":
        if option == "<VECSIZE>":
            tokens.advance()
            size = tokens.count("features", most=MOST_FEATURES)
        elif option == "<STREAMINFO>":
            tokens.advance()
            tokens.count("streams; one is all that can be read", most=1)
            size = tokens.count("features", most=MOST_FEATURES)
        elif option == "<HMMSETID>":
            tokens.advance()
            tokens.advance()
        elif PASSED_OVER.fullmatch(option):
            tokens.advance()
        else:
            raise tokens.unexpected("an option of a model with diagonal covariances and no durations")
    return size


def _name(tokens: Tokens) -> str:
    """Return the name of a macro, with or without quotes."""
    token = tokens.peek()
    if token is None or token[0] in "<>~" or token == '"':
        raise tokens.unexpected("a name")
    tokens.advance()
    return token.strip('"')


def _model(tokens: Tokens, size: int | None) -> HmmParams:
    """Return the model that begins here."""
    tokens.expect("<BEGINHMM>")
    size = _options(tokens, size)
    tokens.expect("<NUMSTATES>")
    n_states = tokens.count("states, with the first and last that emit nothing", most=MOST_STATES)
    if n_states < 3:
        raise tokens.error(f"<NUMSTATES> is {n_states} but a model that emits has at least 3")
    mixtures = []
    for state in range(2, n_states):
        tokens.expect("<STATE>")
        if tokens.count("number of the state", most=MOST_STATES) != state:
            raise tokens.error(f"state {state} is expected; the states must be there in their order")
        mixtures.append(_mixture(tokens, size))
        size = mixtures[-1].n_features
    tokens.expect("<TRANSP>")
    if tokens.count("states", most=MOST_STATES) != n_states:
        raise tokens.error(f"<TRANSP> is of another number of states than <NUMSTATES>, which is {n_states}")
    chain = _chain(tokens, n_states)
    tokens.expect("<ENDHMM>")
    with tokens.places_errors():
        return HmmParams(chain[0, 1:-1], chain[1:-1, 1:-1], MixtureEmissions(mixtures), chain[1:-1, -1])


def _chain(tokens: Tokens, n_states: int) -> Float64Array:
    """Return the transition matrix with HTK's first and last state; all rows but the last sum to 1."""
    rows = [tokens.vector("transition probabilities", n_states) for _ in range(n_states)]
    chain = np.stack(rows)
    for index, row in enumerate(chain[:-1]):
        if not ((row >= 0).all() and abs(row.sum() - 1.0) <= SUM_TOLERANCE):
            raise tokens.error(f"row {index + 1} of the <TRANSP> that ends here are no probabilities that sum to 1")
    if chain[:, 0].any() or chain[-1].any():
        raise tokens.error("<TRANSP> leads into the first state, or out of the last, which HTK's models never do")
    if chain[0, -1] > 0:
        raise tokens.error("<TRANSP> leads from the first state to the last (a tee model), which emits nothing")
    if not chain[:, -1].any():
        raise tokens.error("<TRANSP> never leads to the last state, so that no sequence could end")
    chain[:-1] /= chain[:-1].sum(axis=1, keepdims=True)
    return chain


def _mixture(tokens: Tokens, size: int | None) -> GmmParams:
    """Return the mixture of a state; components that are not there have lost their weight in training."""
    n_components = 1
    if tokens.peek() == "<NUMMIXES>":
        tokens.advance()
        n_components = tokens.count("components", most=MOST_COMPONENTS)
    if tokens.peek() == "<STREAM>":
        tokens.advance()
        tokens.count("number of the stream; one is all that can be read", most=1)
    weights: dict[int, float] = {}
    gaussians = []
    while tokens.peek() == "<MIXTURE>":
        tokens.advance()
        index = tokens.count("number of the component", most=n_components)
        if index in weights:
            raise tokens.error(f"component {index} is there twice")
        weights[index] = tokens.number("weight of the component")
        gaussians.append(_gaussian(tokens, size))
        size = len(gaussians[-1][0])
    if not gaussians:
        weights, gaussians = {1: 1.0}, [_gaussian(tokens, size)]
    shares = np.array(list(weights.values()))
    if not ((shares >= 0).all() and abs(shares.sum() - 1.0) <= SUM_TOLERANCE):
        raise tokens.error(f"the weights of the state that ends here sum to {shares.sum():.6g} but must to 1")
    means, variances = (np.stack(rows) for rows in zip(*gaussians, strict=True))
    with tokens.places_errors():
        return GmmParams(shares / shares.sum(), means, variances)


def _gaussian(tokens: Tokens, size: int | None) -> tuple[Float64Array, Float64Array]:
    """Return mean and variance of a component."""
    if tokens.peek() == "<RCLASS>":
        tokens.advance()
        tokens.number("regression class")
    mean = _vector(tokens, "<MEAN>", size)
    variance = _vector(tokens, "<VARIANCE>", len(mean))
    if not ((variance > 0) & (variance < np.inf)).all():
        raise tokens.error(f"<VARIANCE> that ends here must be positive and finite; its least is {variance.min()}")
    if tokens.peek() == "<GCONST>":
        place = tokens.place()
        tokens.advance()
        _check_constant(place, tokens.number("constant"), variance)
    return mean, variance


def _vector(tokens: Tokens, keyword: str, size: int | None) -> Float64Array:
    """Return the vector after a keyword and its size."""
    tokens.expect(keyword)
    n_numbers = tokens.count("features", most=MOST_FEATURES)
    if size is not None and n_numbers != size:
        raise tokens.error(f"{keyword} has {n_numbers} features but the model has {size}")
    return tokens.vector(keyword, n_numbers)


def _check_constant(place: str, stored: float, variance: Float64Array) -> None:
    """Warn if a stored constant is not ``D log 2π + Σ log σ²``."""
    terms = np.append(np.log(variance), len(variance) * np.log(2.0 * np.pi))
    if not abs(stored - terms.sum()) <= CONSTANT_TOLERANCE * (1.0 + np.abs(terms).sum()):
        warnings.warn(
            f"{place}: <GCONST> is {stored:.6g} but the variances give {terms.sum():.6g}, which is used; "
            "was the file edited by hand?",
            GmmAudioWarning,
            stacklevel=6,
        )
