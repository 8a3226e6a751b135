"""How well scores tell target trials from nontarget trials.

Conventions. A *trial* is one comparison of a test recording with one enrolled model; it is a *target* trial if both
come from the same source. A higher score means target, and a trial is accepted if `score >= threshold`. Trials with
equal scores are accepted or rejected together, so the order of the trials never matters. Rates are fractions, not
per cent. The equal error rate is read from the curve that joins neighbouring operating points by straight lines
(not from its convex hull as BOSARIS does, which is never larger, nor at the nearest threshold). Detection costs are
divided by the cost of the better of the two systems that do not listen, min(p_target c_miss, (1 − p_target) c_fa):
0 is perfect, 1 is worthless. `act_dcf` and `cllr` take the scores for natural-log likelihood ratios; all other
measures stay the same under any increasing map of the scores.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.errors import ParameterError


@dataclass(frozen=True)
class VerificationResult:
    """Every measure of one set of trials; see the function of the same name for each."""

    n_targets: int
    n_nontargets: int
    eer: float
    min_dcf: float
    act_dcf: float
    cllr: float
    min_cllr: float


def validate(scores: npt.ArrayLike, is_target: npt.ArrayLike) -> tuple[Float64Array, BoolArray]:
    """Return the trials as float64 scores and boolean labels.

    Parameters
    ----------
    scores : array-like, shape (n_trials,)
        One finite number for each trial.
    is_target : array-like of bool, or of 0 and 1, shape (n_trials,)
        Whether each trial is a target trial. Both kinds must occur.

    Raises
    ------
    ParameterError
        If the shapes differ, a score is not a finite number, a label is neither true nor false, or one kind is missing.
    """
    score_array, label_array = _as_real(scores, "scores"), _as_real(is_target, "is_target")
    if score_array.ndim != 1 or score_array.shape != label_array.shape:
        raise ParameterError(
            f"scores has shape {score_array.shape} and is_target has {label_array.shape}; "
            "both need (n_trials,), one entry for each trial"
        )
    if not np.isfinite(score_array).all():
        trial = int(np.flatnonzero(~np.isfinite(score_array))[0])
        raise ParameterError(f"scores holds {score_array[trial]} at trial {trial}; every trial needs a finite score")
    if not np.isin(label_array, (0.0, 1.0)).all():
        raise ParameterError("is_target holds values other than true and false; compare the two names first")
    labels = label_array == 1.0
    n_targets = int(labels.sum())
    if n_targets in (0, labels.size):
        missing = "target" if n_targets == 0 else "nontarget"
        raise ParameterError(f"{labels.size} trials hold no {missing} trial; error rates need trials of both kinds")
    return score_array, labels


def det_curve(scores: npt.ArrayLike, is_target: npt.ArrayLike) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return the rates of misses and false acceptances at every threshold that makes a difference.

    Parameters
    ----------
    scores, is_target : array-like, shape (n_trials,)
        The trials, as `validate` takes them.

    Returns
    -------
    p_miss : ndarray, shape (n_thresholds,)
        Fraction of the target trials whose score is below the threshold: 0 rising to 1.
    p_fa : ndarray, shape (n_thresholds,)
        Fraction of the nontarget trials whose score is not below the threshold: 1 falling to 0.
    thresholds : ndarray, shape (n_thresholds,)
        The distinct scores in rising order, then infinity.

    Raises
    ------
    ParameterError
        If the trials cannot be used; see `validate`.

    Examples
    --------
    >>> p_miss, p_fa, thresholds = det_curve([3.0, 1.0, 2.0, 0.0], [True, True, False, False])
    >>> p_miss.tolist(), p_fa.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [1.0, 0.5, 0.5, 0.0, 0.0])
    """
    distinct, targets, nontargets = _count_by_score(*validate(scores, is_target))
    targets_below = np.concatenate(([0], np.cumsum(targets)))
    nontargets_below = np.concatenate(([0], np.cumsum(nontargets)))
    # One division of integers each: the ends are exactly 0 and 1.
    p_miss = targets_below / targets_below[-1]
    p_fa = (nontargets_below[-1] - nontargets_below) / nontargets_below[-1]
    return p_miss, p_fa, np.append(distinct, np.inf)


def eer(scores: npt.ArrayLike, is_target: npt.ArrayLike) -> float:
    """Return the equal error rate: where misses and false acceptances are equally frequent.

    Parameters
    ----------
    scores, is_target : array-like, shape (n_trials,)
        The trials, as `validate` takes them.

    Raises
    ------
    ParameterError
        If the trials cannot be used; see `validate`.

    Examples
    --------
    >>> eer([3.0, 1.0, 2.0, 0.0], [True, True, False, False])
    0.5
    """
    p_miss, p_fa, _ = det_curve(scores, is_target)
    excess = p_miss - p_fa  # rises from -1 to 1
    after = int(np.argmax(excess >= 0))
    before = after - 1
    fraction = excess[before] / (excess[before] - excess[after])
    return float(p_miss[before] + fraction * (p_miss[after] - p_miss[before]))


def min_dcf(
    scores: npt.ArrayLike, is_target: npt.ArrayLike, *, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
) -> float:
    """Return the normalised detection cost at the threshold that is best for these very trials.

    min over thresholds of (c_miss p_miss p_target + c_fa p_fa (1 − p_target)) / min(c_miss p_target,
    c_fa (1 − p_target)), as in the NIST speaker recognition evaluations.

    Parameters
    ----------
    scores, is_target : array-like, shape (n_trials,)
        The trials, as `validate` takes them.
    p_target : float
        How probable a target trial is where the system will be used (in the trials it may be different).
    c_miss, c_fa : float
        Cost of a miss and of a false acceptance.

    Raises
    ------
    ParameterError
        If the trials cannot be used, `p_target` is not between 0 and 1, or a cost is not positive.

    Examples
    --------
    >>> min_dcf([3.0, 1.0, 2.0, 0.0], [True, True, False, False])
    0.5
    """
    p_miss, p_fa, _ = det_curve(scores, is_target)
    return float(_normalised_cost(p_miss, p_fa, p_target, c_miss, c_fa).min())


def act_dcf(
    scores: npt.ArrayLike, is_target: npt.ArrayLike, *, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
) -> float:
    """Return the normalised detection cost at the threshold that Bayes' rule gives, for calibrated scores.

    The threshold is log(c_fa (1 − p_target) / (c_miss p_target)). The excess over `min_dcf` is the cost of bad
    calibration; unlike `min_dcf` the result may be above 1.

    Parameters
    ----------
    scores : array-like, shape (n_trials,)
        Log-likelihood ratios (natural logarithm).
    is_target, p_target, c_miss, c_fa
        As in `min_dcf`.

    Raises
    ------
    ParameterError
        If the trials cannot be used, `p_target` is not between 0 and 1, or a cost is not positive.

    Examples
    --------
    >>> act_dcf([3.0, 1.0, 2.0, 0.0], [True, True, False, False], p_target=0.2)
    2.5
    """
    llrs, labels = validate(scores, is_target)
    _check_costs(p_target, c_miss, c_fa)
    accepted = llrs >= math.log(c_fa * (1 - p_target) / (c_miss * p_target))
    p_miss, p_fa = np.mean(~accepted[labels]), np.mean(accepted[~labels])
    return float(_normalised_cost(p_miss, p_fa, p_target, c_miss, c_fa))


def cllr(scores: npt.ArrayLike, is_target: npt.ArrayLike) -> float:
    """Return the cost of log-likelihood ratios in bits, which averages over all priors and costs.

    ½ (mean over targets of log2(1 + e^−llr) + mean over nontargets of log2(1 + e^llr)); Brümmer & du Preez 2006,
    "Application-independent evaluation of speaker detection". 0 is perfect; scores that are always 0 get 1.

    Parameters
    ----------
    scores : array-like, shape (n_trials,)
        Log-likelihood ratios (natural logarithm).
    is_target : array-like, shape (n_trials,)
        Whether each trial is a target trial.

    Raises
    ------
    ParameterError
        If the trials cannot be used; see `validate`.

    Examples
    --------
    >>> cllr([0.0, 0.0, 0.0], [True, False, False])
    1.0
    """
    llrs, labels = validate(scores, is_target)
    miss_bits = np.logaddexp(0.0, -llrs[labels]).mean() / math.log(2)
    fa_bits = np.logaddexp(0.0, llrs[~labels]).mean() / math.log(2)
    return float((miss_bits + fa_bits) / 2)


def min_cllr(scores: npt.ArrayLike, is_target: npt.ArrayLike) -> float:
    """Return the `cllr` that remains when the scores are calibrated as well as any increasing map can.

    The map is found on these very trials by pooling adjacent violators (Brümmer & du Preez 2006).

    Parameters
    ----------
    scores, is_target : array-like, shape (n_trials,)
        The trials, as `validate` takes them.

    Raises
    ------
    ParameterError
        If the trials cannot be used; see `validate`.

    Examples
    --------
    >>> min_cllr([-5.0, 7.0, 9.0], [False, True, True])
    0.0
    """
    _, targets, nontargets = _count_by_score(*validate(scores, is_target))
    pooled = _pool_adjacent_violators(targets, nontargets)
    p_target, p_nontarget = pooled.T / pooled.sum(axis=0)[:, np.newaxis]
    return float((_mean_bits(p_target, p_nontarget) + _mean_bits(p_nontarget, p_target)) / 2)


def evaluate(
    scores: npt.ArrayLike, is_target: npt.ArrayLike, *, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
) -> VerificationResult:
    """Return every measure of this module for one set of trials.

    Parameters
    ----------
    scores : array-like, shape (n_trials,)
        Log-likelihood ratios; for other scores `act_dcf` and `cllr` mean nothing.
    is_target, p_target, c_miss, c_fa
        As in `min_dcf`.

    Raises
    ------
    ParameterError
        If the trials cannot be used, `p_target` is not between 0 and 1, or a cost is not positive.

    Examples
    --------
    >>> evaluate([3.0, 1.0, 2.0, 0.0], [True, True, False, False]).eer
    0.5
    """
    llrs, labels = validate(scores, is_target)
    return VerificationResult(
        n_targets=int(labels.sum()),
        n_nontargets=int((~labels).sum()),
        eer=eer(llrs, labels),
        min_dcf=min_dcf(llrs, labels, p_target=p_target, c_miss=c_miss, c_fa=c_fa),
        act_dcf=act_dcf(llrs, labels, p_target=p_target, c_miss=c_miss, c_fa=c_fa),
        cllr=cllr(llrs, labels),
        min_cllr=min_cllr(llrs, labels),
    )


def _as_real(values: npt.ArrayLike, name: str) -> Float64Array:
    """Return a float64 array, or say that the values are not numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{name} is not an array of numbers ({error})") from error


def _count_by_score(scores: Float64Array, is_target: BoolArray) -> tuple[Float64Array, IntArray, IntArray]:
    """Return the distinct scores in rising order, and how many targets and nontargets have each."""
    distinct, index = np.unique(scores, return_inverse=True)
    targets = np.bincount(index[is_target], minlength=len(distinct))
    nontargets = np.bincount(index[~is_target], minlength=len(distinct))
    return distinct, targets, nontargets


def _check_costs(p_target: float, c_miss: float, c_fa: float) -> None:
    """Refuse a prior outside (0, 1) and costs that are not positive."""
    if not 0 < p_target < 1:
        raise ParameterError(f"p_target is {p_target} but must be between 0 and 1, both excluded")
    if not (0 < c_miss < math.inf and 0 < c_fa < math.inf):
        raise ParameterError(f"c_miss is {c_miss} and c_fa is {c_fa}; both costs must be positive")


def _normalised_cost(
    p_miss: npt.ArrayLike, p_fa: npt.ArrayLike, p_target: float, c_miss: float, c_fa: float
) -> Float64Array:
    """Return the detection cost, divided by that of the better of accepting and rejecting everything."""
    _check_costs(p_target, c_miss, c_fa)
    cost_of_missing, cost_of_accepting = c_miss * p_target, c_fa * (1 - p_target)
    cost = cost_of_missing * np.asarray(p_miss) + cost_of_accepting * np.asarray(p_fa)
    return cost / min(cost_of_missing, cost_of_accepting)


def _pool_adjacent_violators(targets: IntArray, nontargets: IntArray) -> IntArray:
    """Merge neighbouring counts until the proportion of targets rises; rows are (targets, nontargets)."""
    blocks: list[tuple[int, int]] = []
    for n_target, n_nontarget in zip(targets.tolist(), nontargets.tolist(), strict=True):
        # Cross-multiplied, because a block may have no nontargets.
        while blocks and blocks[-1][0] * n_nontarget >= n_target * blocks[-1][1]:
            previous = blocks.pop()
            n_target, n_nontarget = n_target + previous[0], n_nontarget + previous[1]
        blocks.append((n_target, n_nontarget))
    return np.array(blocks)


def _mean_bits(p_own: Float64Array, p_other: Float64Array) -> float:
    """Return the mean over trials of one kind of log2(1 + p_other / p_own), where that kind occurs."""
    occurs = p_own > 0
    return float(np.sum(p_own[occurs] * np.log2(1 + p_other[occurs] / p_own[occurs])))
