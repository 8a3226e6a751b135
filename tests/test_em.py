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
    return run_em(0, lambda params: ScriptedStats(log_likelihoods[params]), lambda stats: last_update(stats), **options)


def last_update(stats):
    last_update.count += 1
    return last_update.count


@pytest.fixture(autouse=True)
def _count_from_zero():
    last_update.count = 0


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


SLOW = (-8.0, -7.0, -6.2, -5.6)  # each gain is more than half of the one before


def relaxed_in(log_likelihoods, **options):
    """Return the parameters that entered the iterations whose update was relaxed."""
    relaxed = []
    run_script(log_likelihoods, relax=lambda params, updated: relaxed.append(params) or updated, **options)
    return relaxed


def test_steps_are_relaxed_from_the_second_gain_on_where_gains_shrink_slowly():
    assert relaxed_in(SLOW) == [2, 3]


def test_steps_are_plain_where_gains_shrink_fast():
    assert relaxed_in([-8.0, -4.0, -3.0, -2.7]) == []


def test_the_step_after_a_fall_is_plain():
    assert relaxed_in([*SLOW, -5.9, -5.4]) == [2, 3]


def test_a_fall_after_a_relaxed_step_is_silent():
    assert len(relaxed_in([*SLOW, -5.9])) == 2


def test_the_update_before_convergence_is_plain():
    assert relaxed_in([-8.0, -7.0, -6.2], tol=0.9) == []


def test_a_step_that_may_fall_is_not_relaxed():
    assert relaxed_in(SLOW, may_fall=lambda params, _: params == 2) == [3]


def test_a_relaxed_run_goes_on_from_an_earlier_one_as_if_it_had_not_stopped():
    def run(max_iter, resume=None):
        return run_em(
            4.0,
            lambda params: ScriptedStats(-(params**2)),
            lambda stats: 0.9 * math.sqrt(-stats.log_likelihood),
            max_iter=max_iter,
            tol=1e-6,
            relax=lambda params, updated: params + 1.5 * (updated - params),
            resume=resume,
        )

    assert run(12, resume=run(5)) == run(12)


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
