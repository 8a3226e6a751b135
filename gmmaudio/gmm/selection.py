"""How many components, and of which shape: training over a grid, compared by a criterion.

Conventions. See `gmmaudio.gmm.criteria` for signs. What is held out is whole *recordings*: neighbouring frames resemble
each other, so a model that has learnt one frame by heart does well on the next, and a split between them would praise
it for that.
"""

import itertools
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from gmmaudio._typing import AnyArray, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.gmm.criteria import aic, assignment_entropy, bic, icl, mean_with_error
from gmmaudio.gmm.estimator import GMM
from gmmaudio.gmm.folds import joined_recordings, recording_folds
from gmmaudio.gmm.starts.initialization import Initialization

Criterion = Literal["bic", "aic", "icl", "held_out"]
CRITERIA = ("bic", "aic", "icl", "held_out")

TRAINING = {"tol": 1e-4, "max_iter": 500}
"""Options of `GMM` where `select` gives none: an unfinished training would count against the larger model."""

HELD_OUT_FIGURES = ("held_out", "held_out_error", "behind", "behind_error")

STARTS: tuple[Initialization, ...] = ("kmeans++", "greedy")
"""How trainings of a candidate start, in turn: k-means misses small clusters beside large ones, growth finds them."""

ROWS_TOGETHER = 65_536
"""Frames whose responsibilities are looked at together."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One model of the grid and what the criteria say of it.

    Attributes
    ----------
    covariance_type : str
    n_components, n_parameters : int
    log_likelihood : float
        Mean per frame of the training data.
    bic, aic, icl : float
        Of the model that was trained on all frames; the least is the best.
    model : GMM
        Trained on all frames.
    held_out, held_out_error : float
        Mean log-likelihood per frame of recordings that were held out, and its standard error over recordings. These
        and the next two are NaN unless the criterion is "held_out".
    behind, behind_error : float
        How far `held_out` is behind the best candidate's, and the standard error of that difference: it is taken
        recording by recording, so that what a recording is worth to all models alike cancels.
    """

    covariance_type: str
    n_components: int
    n_parameters: int
    log_likelihood: float
    bic: float
    aic: float
    icl: float
    model: GMM
    held_out: float = math.nan
    held_out_error: float = math.nan
    behind: float = math.nan
    behind_error: float = math.nan


@dataclass(frozen=True, eq=False)
class Selection:
    """What `select` returns; `print` shows it as a table.

    Attributes
    ----------
    candidates : tuple of Candidate
        In the order of the grid.
    best : Candidate
        The one that was chosen.
    criterion : str
    """

    candidates: tuple[Candidate, ...]
    best: Candidate
    criterion: Criterion

    @property
    def model(self) -> GMM:
        """The chosen model, trained on all frames."""
        return self.best.model

    @property
    def shown(self) -> list[str]:
        """Names of the figures that were asked for."""
        names = [field.name for field in fields(Candidate) if field.name != "model"]
        return [name for name in names if self.criterion == "held_out" or name not in HELD_OUT_FIGURES]

    def __str__(self) -> str:
        """Return the table, with an asterisk at the candidate that was chosen."""
        chosen = [candidate is self.best for candidate in self.candidates]
        return candidate_table(self.candidates, self.shown, chosen=chosen)


def select(
    X: npt.ArrayLike | Sequence[npt.ArrayLike] | Sequence[str | os.PathLike[str]],
    n_components: Iterable[int] = range(1, 11),
    *,
    covariance_types: Iterable[str] = ("diag",),
    criterion: Criterion = "bic",
    groups: npt.ArrayLike | None = None,
    n_folds: int = 5,
    one_standard_error: bool = False,
    n_init: int = 3,
    random_state: int | np.random.RandomState | None = None,
    callback: Callable[[int, int, Candidate], None] | None = None,
    **options: Any,
) -> Selection:
    """Train a `GMM` for each number of components and each shape, and return which does best.

    Parameters
    ----------
    X : array-like, shape (n_frames, n_features), or a list of such arrays or of files
        Frames; of a list, each array or file (`.npy`, `.features`) is a recording.
    n_components : iterable of int
    covariance_types : iterable of str
        As in `GMM`.
    criterion : {"bic", "aic", "icl", "held_out"}
        "bic" for the density of independent frames; "icl" for clusters, where overlapping components count as one;
        "aic" where too many are better than too few; "held_out", the mean log-likelihood per frame of recordings that
        a model has not seen (cross-validation), for frames of recordings. Candidates are compared on the same folds.
    groups : array-like, shape (n_frames,), optional
        The recording of each frame, for "held_out": the frames of one are never split. Not needed for a list. Frames of
        one array without groups count as independent.
    n_folds : int
        Parts that the recordings are dealt into, for "held_out".
    one_standard_error : bool
        Choose the candidate with the fewest parameters whose held-out likelihood is within one standard error of the
        best (Breiman et al. 1984, sec. 3.4.3), where the error is that of the difference, `Candidate.behind_error`.
    n_init : int
        Trainings of each candidate, from different starts; the one with the greatest likelihood counts. They start as
        `STARTS` says in turn, unless `init` is among the options.
    random_state : int, RandomState or None
        A candidate does not depend on the rest of the grid.
    callback : callable, optional
        Called after each candidate with how many are done, how many there are, and the candidate.
    **options
        Of `GMM`; `TRAINING` has what is not its default here.

    Returns
    -------
    Selection

    Raises
    ------
    ParameterError
        If the grid is empty, there are fewer recordings than folds, an option is not one of those above, or as
        `GMM.fit`.

    Warns
    -----
    ConvergenceWarning
        If the training of candidates on all frames stopped at the iteration limit.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(mean, 1, (200, 2)) for mean in (-8, 0, 8)])
    >>> found = select(X, range(1, 5), random_state=0)
    >>> found.best.n_components, np.sort(found.model.means_[:, 0]).round()
    (3, array([-8., -0.,  8.]))
    >>> print(select(X, (3, 4), random_state=0))
       covariance_type  n_components  n_parameters  log_likelihood     bic     aic     icl
    *             diag             3            14         -3.8871  4754.1  4692.5  4754.1
                  diag             4            19         -3.8793  4776.6  4693.1  4776.7
    """
    grid = list(itertools.product(covariance_types, n_components))
    _check_search(grid, criterion, one_standard_error, n_init)
    frames, recordings = joined_recordings(X, groups)
    inits = itertools.cycle([options["init"]] if "init" in options else STARTS)
    *seeds, fold_seed = check_random_state(random_state).randint(2**31 - 1, size=n_init + 1)
    folds = recording_folds(recordings, n_folds, int(fold_seed)) if criterion == "held_out" else []
    starts = [{"random_state": int(seed), "init": init} for seed, init in zip(seeds, inits, strict=False)]
    candidates, sums = [], []
    for covariance_type, number in grid:
        start = GMM(number, covariance_type=covariance_type, **{**TRAINING, **options})
        candidate = _candidate(_best_fit(start, frames, starts), frames)
        if folds:
            sums.append(_held_out_sums(start, frames, recordings, folds, starts))
            mean, error = mean_with_error(sums[-1], np.bincount(recordings).astype(np.float64))
            candidate = replace(candidate, held_out=mean, held_out_error=error)
        candidates.append(candidate)
        if callback is not None:
            callback(len(candidates), len(grid), candidate)
    _warn_of_unconverged(candidates)
    if criterion == "held_out":
        candidates = _compared(candidates, sums, recordings)
        best = _best_held_out(candidates, one_standard_error=one_standard_error)
    else:
        best = min(candidates, key=lambda candidate: float(getattr(candidate, criterion)))
    return Selection(tuple(candidates), best, criterion)


def candidate_table(candidates: Sequence[object], names: Sequence[str], *, chosen: Sequence[bool]) -> str:
    """Return a table in text: the named attributes of each candidate, and an asterisk at what was chosen."""
    figures = ([name, *(as_text(getattr(candidate, name)) for candidate in candidates)] for name in names)
    columns = [["", *("*" if is_chosen else "" for is_chosen in chosen)], *figures]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join("  ".join(map(str.rjust, line, widths)) for line in lines)


def _check_search(grid: list[tuple[str, int]], criterion: str, one_standard_error: bool, n_init: int) -> None:
    """Raise for a search that cannot be made."""
    if criterion not in CRITERIA:
        raise ParameterError(f"criterion is {criterion!r} but must be one of {', '.join(map(repr, CRITERIA))}")
    if not grid:
        raise ParameterError("the grid is empty; give at least one number of components and one covariance type")
    if n_init < 1:
        raise ParameterError(f"n_init is {n_init} but each candidate must be trained at least once")
    if one_standard_error and criterion != "held_out":
        raise ParameterError(f"one_standard_error goes with criterion='held_out'; {criterion!r} has no standard error")


def _best_fit(start: GMM, frames: AnyArray, starts: Sequence[dict[str, Any]]) -> GMM:
    """Return the training with the greatest likelihood of those from different starts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # told once for all candidates
        models: list[GMM] = [clone(start).set_params(**where).fit(frames) for where in starts]
    return max(models, key=lambda model: float(model.history_[-1]))


def _candidate(model: GMM, frames: AnyArray) -> Candidate:
    """Return what the criteria say of a model and the frames that it was trained on."""
    n_frames, n_parameters = len(frames), model.params_.n_free
    log_likelihood = float(model.score_samples(frames).sum())
    entropy = math.fsum(
        assignment_entropy(model.predict_proba(frames[first : first + ROWS_TOGETHER]))
        for first in range(0, n_frames, ROWS_TOGETHER)
    )
    return Candidate(
        model.covariance_type,
        model.n_components,
        n_parameters,
        log_likelihood / n_frames,
        bic(log_likelihood, n_parameters, n_frames),
        aic(log_likelihood, n_parameters),
        icl(log_likelihood, n_parameters, n_frames, entropy),
        model,
    )


def _held_out_sums(
    start: GMM,
    frames: AnyArray,
    recordings: IntArray,
    folds: list[tuple[IntArray, IntArray]],
    starts: Sequence[dict[str, Any]],
) -> Float64Array:
    """Return the log-likelihood of each recording under the model that has not seen it, shape (n_recordings,)."""
    log_likelihoods = np.empty(len(frames))
    for train, test in folds:
        log_likelihoods[test] = _best_fit(start, frames[train], starts).score_samples(frames[test])
    return np.asarray(np.bincount(recordings, weights=log_likelihoods), dtype=np.float64)


def _compared(candidates: list[Candidate], sums: list[Float64Array], recordings: IntArray) -> list[Candidate]:
    """Return the candidates with how far each is behind the one with the greatest held-out likelihood."""
    counts = np.bincount(recordings).astype(np.float64)
    best = sums[int(np.argmax([candidate.held_out for candidate in candidates]))]
    compared = []
    for candidate, own in zip(candidates, sums, strict=True):
        behind, error = mean_with_error(best - own, counts)
        compared.append(replace(candidate, behind=behind, behind_error=error))
    return compared


def _best_held_out(candidates: list[Candidate], *, one_standard_error: bool) -> Candidate:
    """Return the candidate with the greatest held-out likelihood, or the smallest that is not clearly behind it."""
    near = [c for c in candidates if c.behind <= (c.behind_error if one_standard_error else 0.0)]
    return min(near, key=lambda candidate: candidate.n_parameters)


def _warn_of_unconverged(candidates: Sequence[Candidate]) -> None:
    """Warn the caller's caller of trainings that the iteration limit ended, unless that was meant."""
    unfinished = [c for c in candidates if not c.model.converged_ and c.model.tol > 0]
    if unfinished:
        named = ", ".join(f"{c.n_components} ({c.covariance_type})" for c in unfinished)
        warnings.warn(
            f"EM stopped at max_iter={unfinished[0].model.max_iter} for the candidates with {named} components, whose "
            "criteria are therefore worse than they could be; raise max_iter or tol",
            ConvergenceWarning,
            stacklevel=3,
        )


def as_text(value: str | float) -> str:
    """Return a cell of the table."""
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 1e3 else f"{value:.1f}"
    return str(value)
