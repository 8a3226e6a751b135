"""The one expectation-maximisation loop, for mixtures, hidden Markov models and whatever comes.

Conventions. Log-likelihoods are natural logs. `history[i]` is the mean log-likelihood per frame of the parameters that
*entered* iteration i + 1; the parameters that are returned are one update further than its last entry, so they are at
least as likely wherever the update is an ascent. `len(history) == n_iter` always. A run may stop after any update and
another one go on from what it left, with the same results as one run that did not stop.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError


class Statistics(Protocol):
    """What the loop needs to know of sufficient statistics."""

    @property
    def log_likelihood(self) -> float:
        """Log-likelihood of all frames under the parameters that produced the statistics."""

    @property
    def n_frames(self) -> float:
        """Number of frames, or the sum of their weights."""


ParamsT = TypeVar("ParamsT")
StatsT = TypeVar("StatsT", bound=Statistics)

ROUNDING = 5e-4
RELATIVE_ROUNDING = 1e-5
"""A fall smaller than `ROUNDING` nats per frame plus this fraction of the log-likelihood is rounding: densities in
single precision err by up to 2.4e-4 per frame, of either sign."""


@dataclass(frozen=True)
class EmResult(Generic[ParamsT]):
    """What a run of EM leaves.

    Attributes
    ----------
    params : object
        Parameters after `n_iter` updates.
    history : tuple of float
        Mean log-likelihood per frame of the parameters that entered each iteration.
    n_iter : int
        Number of updates made.
    converged : bool
        Whether the change fell below the tolerance; False when the iteration limit ended the run.
    fall_expected : bool
        Whether the last update was not an ascent by design, so that the next log-likelihood may be lower.
    previous : object, optional
        Parameters that entered the last iteration, kept only where the next one may need them.
    """

    params: ParamsT
    history: tuple[float, ...]
    n_iter: int
    converged: bool
    fall_expected: bool = False
    previous: ParamsT | None = None


def run_em(
    params: ParamsT,
    accumulate: Callable[[ParamsT], StatsT],
    estimate: Callable[[StatsT], ParamsT],
    *,
    max_iter: int,
    tol: float,
    may_fall: Callable[[ParamsT, StatsT], bool] | None = None,
    relax: Callable[[ParamsT, ParamsT], ParamsT] | None = None,
    callback: Callable[[int, ParamsT, float], None] | None = None,
    resume: EmResult[ParamsT] | None = None,
    on_update: Callable[[EmResult[ParamsT]], None] | None = None,
) -> EmResult[ParamsT]:
    """Alternate E-step and M-step until the mean log-likelihood per frame changes by less than a tolerance.

    Dempster, Laird & Rubin 1977: an exact M-step never lowers the likelihood, so a fall beyond rounding is reported
    with a `GmmAudioWarning` and never counts as convergence.

    Parameters
    ----------
    params : object
        Where to start.
    accumulate : callable
        E-step: parameters to statistics, which carry `log_likelihood` and `n_frames`.
    estimate : callable
        M-step: statistics to parameters.
    max_iter : int
        Largest number of updates, at least 1.
    tol : float
        Smallest change, in nats per frame, that keeps the loop going. 0.0 runs all `max_iter` iterations.
    may_fall : callable, optional
        Given the parameters that entered an iteration and their statistics, says whether the update from these
        statistics is not an ascent by design (a repair of dead components, a prior); no warning follows then.
    relax : callable, optional
        Given the parameters that entered the last iteration and their update, returns parameters beyond the update, to
        enter the next iteration instead of it. Tried while EM is slow: after a gain of more than half of the one
        before. Where they do not gain `tol`, the update enters after all, at the cost of another E-step: `history`
        rises as that of plain EM does, only a plain step ends the run, and what is returned is a plain update.
    callback : callable, optional
        Called in each iteration with its number (from 1), the parameters that entered it, and their mean
        log-likelihood per frame: for progress bars. An exception raised by it ends the run.
    resume : EmResult, optional
        What an earlier run left, to go on from instead of from `params`.
    on_update : callable, optional
        Called with the start and after each update, with what the run would return if it ended now: for checkpoints.

    Returns
    -------
    EmResult

    Raises
    ------
    ParameterError
        If `max_iter` or `tol` cannot be used, the earlier run is longer than `max_iter`, or there are no frames.
    GmmAudioError
        If the log-likelihood is NaN or infinite.
    """
    state = EmResult(params, (), 0, converged=False) if resume is None else resume
    _check_limits(max_iter, tol, state.n_iter)
    if resume is None and on_update is not None:
        on_update(state)
    while state.n_iter < max_iter and not state.converged:
        entering, stats = _e_step(state, accumulate, relax, tol)
        history = (*state.history, _mean_log_likelihood(stats))
        if callback is not None:
            callback(len(history), entering, history[-1])
        converged = False
        if len(history) > 1:
            fell = not state.fall_expected and _warn_of_fall(history)
            converged = bool(not fell and abs(history[-1] - history[-2]) < tol)
        fall_expected = may_fall is not None and bool(may_fall(entering, stats))
        previous = None if relax is None else entering
        state = EmResult(estimate(stats), history, len(history), converged, fall_expected, previous)
        if on_update is not None:
            on_update(state)
    return state


def _check_limits(max_iter: int, tol: float, n_iter: int) -> None:
    """Raise if the loop could not run or would never end as asked."""
    if max_iter < 1:
        raise ParameterError(f"max_iter is {max_iter} but at least 1 iteration is needed")
    if n_iter > max_iter:
        raise ParameterError(f"max_iter is {max_iter} but the earlier run has {n_iter} iterations already; raise it")
    if not tol >= 0:
        raise ParameterError(f"tol is {tol} but must be 0 (run all iterations) or positive")


def _e_step(
    state: EmResult[ParamsT],
    accumulate: Callable[[ParamsT], StatsT],
    relax: Callable[[ParamsT, ParamsT], ParamsT] | None,
    tol: float,
) -> tuple[ParamsT, StatsT]:
    """Return the parameters that enter the next iteration, beyond the last update if that gains, and their statistics.

    Whatever this depends on is in the state, so a run that goes on from an earlier one takes the same steps.
    """
    if relax is not None and state.previous is not None and not state.fall_expected and _is_slow(state.history):
        beyond = relax(state.previous, state.params)
        stats = accumulate(beyond)
        if stats.log_likelihood / stats.n_frames - state.history[-1] >= tol:  # not so if it is NaN
            return beyond, stats
    return state.params, accumulate(state.params)


def _mean_log_likelihood(stats: Statistics) -> float:
    """Return the log-likelihood per frame of the parameters that produced the statistics."""
    if not stats.n_frames > 0:
        raise ParameterError("there are no frames (or all their weights are 0); EM needs at least one")
    mean = stats.log_likelihood / stats.n_frames
    if not math.isfinite(mean):
        raise GmmAudioError(f"the mean log-likelihood is {mean}; check the frames for extreme values, or scale them")
    return mean


def _is_slow(history: tuple[float, ...]) -> bool:
    """Return whether the last gain is more than half of the one before; fast EM would only be made to oscillate."""
    if len(history) < 3:
        return False
    before, last = history[-2] - history[-3], history[-1] - history[-2]
    return 0.0 < before < 2.0 * last


def _warn_of_fall(history: tuple[float, ...]) -> bool:
    """Warn if the last entry is lower than the one before by more than rounding, and say whether it is."""
    fall = history[-2] - history[-1]
    fell = fall > ROUNDING + RELATIVE_ROUNDING * abs(history[-2])
    if fell:
        warnings.warn(
            f"the mean log-likelihood fell by {fall:.3g} in iteration {len(history) - 1}, which EM never does; "
            "if precision is 'single', try 'double', or raise the variance floor",
            GmmAudioWarning,
            stacklevel=3,
        )
    return fell


def warn_unconverged(result: EmResult[ParamsT], *, max_iter: int, tol: float) -> None:
    """Warn the caller's caller's caller if the iteration limit ended a run that was to converge."""
    from sklearn.exceptions import ConvergenceWarning

    if not result.converged and tol > 0:
        warnings.warn(
            f"EM stopped at max_iter={max_iter} before the change per iteration fell below tol={tol}; "
            "raise max_iter or tol, or set tol=0.0 if a fixed number of iterations is meant",
            ConvergenceWarning,
            stacklevel=4,
        )
