import itertools
import math
from dataclasses import dataclass

import pytest

from gmmaudio.em import run_em
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError


@dataclass(frozen=True)
class ScriptedStats:
    log_likelihood: float
    n_frames: float = 1.0


def run_script(log_likelihoods, **options):
    """EM whose parameters are the number of updates, and whose log-likelihoods are given."""
    options = {"max_iter": len(log_likelihoods), "tol": 1e-3} | options
    updates = itertools.count(1)
    return run_em(0, lambda params: ScriptedStats(log_likelihoods[params]), lambda _: next(updates), **options)


def test_tol_zero_runs_all_iterations_even_without_change():
    result = run_script([-1.0] * 5, tol=0.0)
    assert (result.n_iter, result.converged) == (5, False)


def test_history_holds_the_log_likelihood_of_the_parameters_that_entered_each_iteration():
    result = run_script([-5.0, -3.0, -2.0], tol=0.0)
    assert result.history == (-5.0, -3.0, -2.0)


def test_returned_parameters_are_one_update_past_the_last_history_entry():
    result = run_script([-5.0, -3.0, -2.0], tol=0.0)
    assert result.params == len(result.history) == result.n_iter == 3


def test_converges_when_the_change_falls_below_tol():
    result = run_script([-5.0, -3.0, -2.9999, 0.0])
    assert (result.n_iter, result.converged) == (3, True)


def test_iteration_limit_is_not_convergence():
    assert not run_script([-5.0, -3.0], tol=1e-3).converged


def test_history_is_per_frame():
    result = run_em(0, lambda _: ScriptedStats(-30.0, 10.0), lambda _: 0, max_iter=1, tol=0.0)
    assert result.history == (-3.0,)


def test_a_fall_is_a_warning_and_not_convergence():
    with pytest.warns(GmmAudioWarning, match=r"fell by 0\.5 in iteration 1"):
        result = run_script([-1.0, -1.5, -0.5], tol=1.0)
    assert result.n_iter == 3


def test_a_fall_by_rounding_is_silent():
    assert run_script([-1.0, -1.0 - 1e-9]).converged


def test_a_fall_after_a_step_that_may_fall_is_silent():
    result = run_script([-1.0, -1.5, -0.5], may_fall=lambda params, stats: params == 0)
    assert result.n_iter == 3


SLOW = (-8.0, -7.0, -6.2, -5.6, -5.2)  # each gain is more than half of the one before


def relaxed_steps(log_likelihoods, **options):
    """Return what relaxation was asked to go beyond, in a run where it goes nowhere."""
    steps = []
    run_script(log_likelihoods, relax=lambda *step: steps.append(step) or step[1], **options)
    return steps


def test_steps_are_relaxed_from_the_second_gain_on_where_gains_shrink_slowly():
    assert relaxed_steps(SLOW) == [(2, 3), (3, 4)]


def test_steps_are_plain_where_gains_shrink_fast():
    assert relaxed_steps([-8.0, -4.0, -3.0, -2.7, -2.6]) == []


def test_a_step_that_may_fall_is_not_relaxed():
    assert relaxed_steps(SLOW, may_fall=lambda params, _: params == 2) == [(3, 4)]


BEYOND = 9
"""Parameters that relaxation goes to in `run_beyond`."""


def run_beyond(log_likelihood, **options):
    """EM on `SLOW` whose relaxed steps have one log-likelihood."""
    scripted = dict(enumerate(SLOW)) | {BEYOND: log_likelihood}
    return run_script(scripted, relax=lambda *_: BEYOND, **({"max_iter": len(SLOW)} | options))


@pytest.mark.parametrize("log_likelihood", [-7.0, -6.1999, math.nan, -math.inf])
def test_a_relaxed_step_that_does_not_gain_the_tolerance_is_undone(log_likelihood):
    assert run_beyond(log_likelihood) == run_script(SLOW, relax=lambda _, updated: updated)


def test_a_relaxed_step_that_gains_enters_the_iteration():
    seen = []
    run_beyond(-5.0, max_iter=4, callback=lambda *call: seen.append(call))
    assert seen[-1] == (4, BEYOND, -5.0)


def test_only_a_plain_step_ends_a_run():
    gain_of_the_plain_step = 0.6
    assert not run_beyond(-6.2, max_iter=4, tol=gain_of_the_plain_step - 1e-9).converged
    assert run_beyond(-6.2, max_iter=4, tol=gain_of_the_plain_step + 1e-9).converged


def square_root_em(max_iter, **options):
    """EM that approaches 0 slowly."""
    return run_em(
        4.0,
        lambda params: ScriptedStats(-(params**2)),
        lambda stats: 0.9 * math.sqrt(-stats.log_likelihood),
        max_iter=max_iter,
        tol=1e-6,
        **options,
    )


def relax(params, updated):
    return params + 1.5 * (updated - params)


def test_relaxation_comes_further_in_as_many_iterations():
    assert square_root_em(12, relax=relax).history[-1] > square_root_em(12).history[-1]


@pytest.mark.parametrize("max_iter", [3, 4, 5])
def test_what_a_relaxed_run_returns_is_a_plain_update_of_what_entered_last(max_iter):
    result = square_root_em(max_iter, relax=relax)
    assert result.params == pytest.approx(0.9 * result.previous, rel=1e-12)


@pytest.mark.parametrize("n_before", [1, 3, 5])
def test_a_relaxed_run_goes_on_from_an_earlier_one_as_if_it_had_not_stopped(n_before):
    resumed = square_root_em(12, relax=relax, resume=square_root_em(n_before, relax=relax))
    assert resumed == square_root_em(12, relax=relax)


def test_callback_gets_iteration_parameters_and_their_log_likelihood():
    calls = []
    run_script([-5.0, -3.0], tol=0.0, callback=lambda *call: calls.append(call))
    assert calls == [(1, 0, -5.0), (2, 1, -3.0)]


@pytest.mark.parametrize(("option", "value"), [("max_iter", 0), ("tol", -1.0), ("tol", math.nan)])
def test_an_unusable_limit_is_refused(option, value):
    with pytest.raises(ParameterError, match=f"{option} is"):
        run_script([-1.0], **{option: value})


def test_no_frames_are_refused():
    with pytest.raises(ParameterError, match="no frames"):
        run_em(0, lambda _: ScriptedStats(0.0, 0.0), lambda _: 0, max_iter=1, tol=0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_log_likelihood_that_is_not_finite_is_an_error(value):
    with pytest.raises(GmmAudioError, match="mean log-likelihood is"):
        run_script([value])
