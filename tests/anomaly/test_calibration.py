"""Tails against scipy's law and against p-values that are known."""

import numpy as np
import pytest
from scipy.stats import genpareto

from gmmaudio.anomaly import TailCalibration
from gmmaudio.anomaly.calibration import fit_pareto
from gmmaudio.errors import ParameterError

FOUR_STANDARD_ERRORS = 0.15  # of scale and shape, from 20,000 excesses; moments are least certain at shape 0.4
ROUNDING = 1e-9


@pytest.mark.parametrize("shape", [0.0, 0.2, 0.4])
def test_pareto_fit_finds_the_parameters_of_a_large_sample(shape):
    sample = genpareto(shape, scale=3.0).rvs(20_000, random_state=0)
    assert fit_pareto(sample) == pytest.approx((3.0, shape), abs=FOUR_STANDARD_ERRORS)


def test_pareto_fit_of_a_bounded_sample_has_no_end_point():
    assert fit_pareto(np.random.default_rng(0).random(1000))[1] == 0.0


def test_pareto_fit_of_equal_excesses_is_finite():
    assert np.isfinite(fit_pareto(np.zeros(30))).all()


def test_the_tail_is_the_law_that_was_fitted():
    calibration = TailCalibration.fit(np.random.default_rng(0).standard_t(4, size=5000))
    share, scale, shape = calibration.tail
    beyond = calibration.levels[-1] + np.array([0.1, 3.0, 50.0])
    expected = -np.log10(share * genpareto(shape, calibration.levels[-1], scale).sf(beyond))
    np.testing.assert_allclose(calibration.apply(beyond), expected, rtol=ROUNDING)


def test_the_body_is_the_rank():
    scores = np.random.default_rng(0).normal(size=20_000)
    calibration = TailCalibration.fit(scores)
    points = np.quantile(scores, [0.1, 0.5, 0.9])
    np.testing.assert_allclose(calibration.apply(points), -np.log10([0.9, 0.5, 0.1]), atol=0.01)


def test_p_values_never_rise_with_the_score():
    calibration = TailCalibration.fit(np.round(np.random.default_rng(0).normal(size=500), 1))
    assert (np.diff(calibration.apply(np.linspace(-5, 50, 2000))) >= 0).all()


def test_scores_that_are_all_equal_give_p_1_and_finite_values_beyond():
    calibration = TailCalibration.fit(np.ones(200))
    assert calibration.apply([1.0])[0] < 2
    assert np.isfinite(calibration.apply([2.0, 1e9])).all()


def test_too_few_scores_are_refused():
    with pytest.raises(ParameterError, match="there are 10 scores"):
        TailCalibration.fit(np.append(np.arange(10.0), np.nan))
