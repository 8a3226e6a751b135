"""How far a measured figure may be off by chance.

Conventions. An interval is `(low, high)` at the stated confidence, two-sided. It tells of the chance in the choice
of the trials, not of training and test being unlike. Trials of one speaker are not independent: resample speakers.
"""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from gmmaudio._typing import AnyArray, BoolArray, Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.metrics.verification import validate

Metric = Callable[[Float64Array, BoolArray], float]


def bootstrap_interval(
    metric: Metric,
    scores: npt.ArrayLike,
    is_target: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.Generator | None = None,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a measure of trials, with whole groups drawn.

    Efron & Tibshirani 1993, chapter 13. Draws without any target or any nontarget trial are drawn again. An error
    rate of 0 stays 0 in every draw; `proportion_interval` says what so few trials are worth.

    Parameters
    ----------
    metric : callable
        Takes scores and is_target and returns a number: `eer`, or `functools.partial(min_dcf, p_target=0.05)`.
    scores, is_target : array-like, shape (n_trials,)
        The trials, as `validate` takes them.
    groups : array-like, shape (n_trials,), optional
        What trials depend on together, such as the name of the speaker who is heard. Without it every trial is a
        group of its own, and the interval is too narrow if trials share speakers.
    n_resamples : int
        Number of draws.
    confidence : float
        Between 0 and 1.
    random_state : int, Generator or None
        Seed of the draws.

    Raises
    ------
    ParameterError
        If the trials cannot be used, `groups` has another length or names fewer than two groups, `n_resamples` is
        not positive, or `confidence` is not between 0 and 1.

    Examples
    --------
    >>> from gmmaudio.metrics import eer
    >>> rng = np.random.default_rng(0)
    >>> is_target = np.arange(400) % 2 == 0
    >>> scores = rng.standard_normal(400) + 2 * is_target
    >>> low, high = bootstrap_interval(eer, scores, is_target, n_resamples=200, random_state=0)
    >>> low < eer(scores, is_target) < high
    True
    """
    score_array, labels = validate(scores, is_target)
    tail = _tail_probability(confidence)
    if n_resamples < 1:
        raise ParameterError(f"n_resamples is {n_resamples} but must be at least 1; 1000 is usual")
    trials_of_group = _trials_of_group(groups, len(labels))
    rng = np.random.default_rng(random_state)
    values = np.empty(n_resamples)
    for number in range(n_resamples):
        trials = _draw_groups(trials_of_group, labels, rng)
        values[number] = metric(score_array[trials], labels[trials])
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(
    values: npt.ArrayLike,
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.Generator | None = None,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean of independent values, such as dB of each mixture.

    Efron & Tibshirani 1993, chapter 13.

    Raises
    ------
    ParameterError
        If there are fewer than two values, one is not finite, or an option cannot be used.

    Examples
    --------
    >>> low, high = mean_interval(np.random.default_rng(0).normal(5.0, 1.0, 100), random_state=0)
    >>> low < 5.0 < high
    True
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ParameterError(f"values has shape {array.shape} but two or more finite numbers in a row are needed")
    if n_resamples < 1:
        raise ParameterError(f"n_resamples is {n_resamples} but must be at least 1; 1000 is usual")
    tail = _tail_probability(confidence)
    draws = np.random.default_rng(random_state).integers(len(array), size=(n_resamples, len(array)))
    low, high = np.quantile(array[draws].mean(axis=1), [tail, 1 - tail])
    return float(low), float(high)


def proportion_interval(n_successes: int, n_trials: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a proportion, such as the accuracy of independent trials.

    Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the usual
    normal approximation it makes sense for 0 and for all of few trials.

    Parameters
    ----------
    n_successes, n_trials : int
        How many of how many trials succeeded.
    confidence : float
        Between 0 and 1.

    Raises
    ------
    ParameterError
        If the counts are not 0 <= n_successes <= n_trials with n_trials > 0, or `confidence` is not between 0 and 1.

    Examples
    --------
    >>> low, high = proportion_interval(300, 300)
    >>> round(low, 3), high
    (0.987, 1.0)
    """
    if not 0 <= n_successes <= n_trials or n_trials < 1:
        raise ParameterError(
            f"n_successes is {n_successes} and n_trials is {n_trials}; need 0 <= n_successes <= n_trials, n_trials > 0"
        )
    quantile = -float(ndtri(_tail_probability(confidence)))
    share = n_successes / n_trials
    spread = quantile**2 / n_trials
    centre = (share + spread / 2) / (1 + spread)
    half_width = math.sqrt(spread * (share * (1 - share) + spread / 4)) / (1 + spread)
    # At the ends the formula is exact only up to rounding.
    low = 0.0 if n_successes == 0 else centre - half_width
    high = 1.0 if n_successes == n_trials else centre + half_width
    return low, high


def _tail_probability(confidence: float) -> float:
    """Return the probability left out at each end."""
    if not 0 < confidence < 1:
        raise ParameterError(f"confidence is {confidence} but must be between 0 and 1; 0.95 is usual")
    return (1 - confidence) / 2


def _trials_of_group(groups: npt.ArrayLike | None, n_trials: int) -> list[AnyArray]:
    """Return the trial numbers of each group; at least two groups."""
    labels = np.arange(n_trials) if groups is None else np.asarray(groups)
    if labels.shape != (n_trials,):
        raise ParameterError(f"groups has shape {labels.shape} but {n_trials} trials need ({n_trials},)")
    _, index, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        raise ParameterError("groups names one group only; an interval needs at least 2, and more to be worth much")
    return np.split(np.argsort(index, kind="stable"), np.cumsum(sizes)[:-1])


def _draw_groups(trials_of_group: list[AnyArray], is_target: BoolArray, rng: np.random.Generator) -> AnyArray:
    """Return the trials of as many groups as there are, drawn with replacement; both kinds of trial occur."""
    n_groups = len(trials_of_group)
    while True:
        trials = np.concatenate([trials_of_group[group] for group in rng.integers(n_groups, size=n_groups)])
        if 0 < np.count_nonzero(is_target[trials]) < len(trials):
            return trials
