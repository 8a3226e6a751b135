"""How good an identifier is on recordings whose speakers are known.

Conventions. A *known* recording is of an enrolled speaker, a *stranger's* of nobody enrolled. Closed-set figures look
at known recordings only: whether the best score is that of the true speaker, and how well the scores of true and other
speakers can be told apart (see `gmmaudio.metrics`). Open-set figures look at decisions. Intervals are at 95 %:
Wilson's for proportions, and for error rates the bootstrap over speakers, whose recordings are not independent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.errors import ParameterError
from gmmaudio.metrics import bootstrap_interval, eer, min_dcf, proportion_interval

N_RESAMPLES = 500


@dataclass(frozen=True)
class Proportion:
    """A count of a total, printed with its interval."""

    count: int
    total: int

    @property
    def interval(self) -> tuple[float, float]:
        """At 95 %; (0, 1) if nothing was counted."""
        return proportion_interval(self.count, self.total) if self.total else (0.0, 1.0)

    def __str__(self) -> str:
        if self.total == 0:
            return "none"
        low, high = self.interval
        return f"{self.count / self.total:.1%} ({self.count}/{self.total}) [{low:.1%}, {high:.1%}]"


@dataclass(frozen=True)
class ErrorRate:
    """A figure of verification with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass(frozen=True, eq=False)
class ClosedSet:
    """Figures of known recordings.

    Attributes
    ----------
    right : Proportion
        Recordings whose best candidate is the true speaker.
    eer, min_dcf : ErrorRate
    scores : array, shape (n_trials,)
        Every recording against every enrolled speaker, for DET curves.
    is_target : array of bool, shape (n_trials,)
    """

    right: Proportion
    eer: ErrorRate
    min_dcf: ErrorRate
    scores: Float64Array
    is_target: BoolArray


@dataclass(frozen=True, eq=False)
class OpenSet:
    """Figures of decisions.

    Attributes
    ----------
    false_accepts : Proportion
        Strangers' recordings that were given a name.
    misses : Proportion
        Known recordings that were not given their own name.
    confusion : array of int, shape (n_names + 1, n_names + 1)
        Rows: who spoke; columns: the decision; the last of both is "unknown".
    names : tuple of str
    """

    false_accepts: Proportion
    misses: Proportion
    confusion: IntArray
    names: tuple[str, ...]


def closed_set(
    closest: Sequence[str | None],
    scores: Sequence[Mapping[str, float]],
    truth: Sequence[str],
    *,
    random_state: int = 0,
) -> ClosedSet:
    """Return the closed-set figures of recordings.

    Parameters
    ----------
    closest : sequence of str or None
        For each recording the best candidate (`Identification.closest`), None if there was no speech.
    scores : sequence of dict of str to float
        For each recording the score of each enrolled name (`Identification.scores`).
    truth : sequence of str
        Who speaks, one of the names.
    random_state : int
        Seed of the bootstrap.

    Raises
    ------
    ParameterError
        If the lengths differ, or speech of fewer than two enrolled speakers is among the recordings: then there are
        no two kinds of trials, or no speakers to draw.

    Examples
    --------
    >>> scores = [{"anna": 2.0, "bruno": 0.1}, {"anna": 0.3, "bruno": 1.5}]
    >>> result = closed_set(["anna", "bruno"], scores, ["anna", "bruno"])
    >>> result.right.count, result.eer.value
    (2, 0.0)
    """
    _check_lengths(len(scores), len(truth))
    _check_lengths(len(closest), len(truth))
    heard = {name for own, name in zip(scores, truth, strict=True) if name in own}
    if len(heard) < 2:
        raise ParameterError(
            f"closed-set figures need recordings of at least two enrolled speakers but there are {len(heard)}; "
            "enroll more people, or add recordings of those who are enrolled"
        )
    right = sum(best == name for best, name in zip(closest, truth, strict=True))
    trials = [
        (score, candidate == name, name)
        for own, name in zip(scores, truth, strict=True)
        for candidate, score in own.items()
    ]
    values = np.array([score for score, _, _ in trials])
    is_target = np.array([target for _, target, _ in trials], dtype=np.bool_)
    speakers = np.array([name for _, _, name in trials])

    rates = []
    for metric in (eer, min_dcf):
        low, high = bootstrap_interval(
            metric, values, is_target, speakers, n_resamples=N_RESAMPLES, random_state=random_state
        )
        rates.append(ErrorRate(metric(values, is_target), low, high))
    return ClosedSet(Proportion(right, len(truth)), rates[0], rates[1], values, is_target)


def open_set(decisions: Sequence[str], truth: Sequence[str], names: Sequence[str]) -> OpenSet:
    """Return the open-set figures of decisions.

    Parameters
    ----------
    decisions : sequence of str
        A name or "unknown" for each recording.
    truth : sequence of str
        Who speaks; anybody who is not among the names counts as a stranger.
    names : sequence of str
        Rows and columns of the confusion matrix.

    Examples
    --------
    >>> result = open_set(["anna", "unknown", "anna"], ["anna", "anna", "carl"], ["anna", "bruno"])
    >>> result.false_accepts.count, result.misses.count, result.misses.total
    (1, 1, 2)
    """
    _check_lengths(len(decisions), len(truth))
    place = {name: index for index, name in enumerate(names)}
    confusion = np.zeros((len(names) + 1, len(names) + 1), dtype=np.intp)
    for decision, name in zip(decisions, truth, strict=True):
        confusion[place.get(name, -1), place.get(decision, -1)] += 1
    known = confusion[:-1]
    return OpenSet(
        Proportion(int(confusion[-1, :-1].sum()), int(confusion[-1].sum())),
        Proportion(int(known.sum() - np.trace(known)), int(known.sum())),
        confusion,
        tuple(names),
    )


def _check_lengths(n_results: int, n_truth: int) -> None:
    """Raise unless there is one result for each recording."""
    if n_results != n_truth or not n_truth:
        raise ParameterError(f"there are {n_results} results for {n_truth} recordings; give one for each, at least one")
