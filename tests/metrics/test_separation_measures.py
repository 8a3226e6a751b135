"""Measures of separated sources, against mir_eval and against what they must be."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gmmaudio.errors import ParameterError
from gmmaudio.metrics import best_order, bss_eval, mean_interval, sar, sdr, si_sdr, sir

PEER_DB = 1e-6  # both solve the same normal equations in float64
SCALE_DB = 1e-6  # rounding of a product


def mixtures(seed: int, n_sources: int = 2, n_samples: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """References, and estimates with some of the others and some noise in them."""
    rng = np.random.default_rng(seed)
    references = rng.standard_normal((n_sources, n_samples)).cumsum(axis=1)
    references -= references.mean(axis=1, keepdims=True)
    leaks = np.eye(n_sources) + 0.2 * rng.standard_normal((n_sources, n_sources))
    return references, leaks @ references + 0.5 * rng.standard_normal(references.shape)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("n_sources", [2, 3])
def test_bss_eval_equals_mir_eval(n_sources):
    separation = pytest.importorskip("mir_eval.separation")
    references, estimates = mixtures(n_sources, n_sources)
    theirs = separation.bss_eval_sources(references, estimates, compute_permutation=False)[:3]
    assert_allclose(np.array(bss_eval(references, estimates)), np.array(theirs), rtol=0, atol=PEER_DB)


def test_sdr_sir_and_sar_are_the_parts_of_bss_eval():
    references, estimates = mixtures(0)
    parts = [measure(references, estimates) for measure in (sdr, sir, sar)]
    assert_allclose(parts, np.array(bss_eval(references, estimates)), rtol=0, atol=0)


def test_si_sdr_equals_its_definition_by_a_search_for_the_gain():
    references, estimates = mixtures(1)
    true = references[0] - references[0].mean()
    own = estimates[0] - estimates[0].mean()
    gain = np.linalg.lstsq(true[:, np.newaxis], own, rcond=None)[0][0]
    expected = 10 * np.log10(np.sum((gain * true) ** 2) / np.sum((gain * true - own) ** 2))
    assert_allclose(si_sdr(references[0], estimates[0]), expected, rtol=0, atol=SCALE_DB)


@settings(max_examples=20, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_si_sdr_does_not_depend_on_level_or_offset(gain, offset):
    references, estimates = mixtures(2)
    moved = si_sdr(references[0], gain * estimates[0] + offset)
    assert_allclose(moved, si_sdr(references[0], estimates[0]), rtol=0, atol=SCALE_DB)


def test_a_filter_shorter_than_the_allowed_one_costs_no_sdr():
    references, _ = mixtures(3)
    filtered = [np.convolve(signal, [0.5, -0.3, 0.2])[: len(signal)] for signal in references]
    assert (sdr(references, filtered) > 40).all()


def test_perfect_and_silent_estimates_have_infinite_si_sdr():
    tone = np.sin(np.arange(100.0))
    assert si_sdr(tone, tone) > 200
    assert si_sdr(tone, np.zeros(100)) == -np.inf


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_best_order_finds_the_permutation(order):
    references, _ = mixtures(4, 3)
    shuffled = [references[index] for index in order]
    assert [order[index] for index in best_order(references, shuffled)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("references", "estimates", "message"),
    [
        ([np.ones(5)], [np.ones(5), np.ones(5)], "1 references and 2 estimates"),
        ([np.ones(5)], [np.ones(6)], "shapes"),
        ([np.zeros(600)], [np.ones(600)], "reference is silent"),
        ([np.full(5, np.nan)], [np.ones(5)], "NaN"),
    ],
)
def test_signals_that_cannot_be_compared_are_one_clear_error(references, estimates, message):
    with pytest.raises(ParameterError, match=message):
        bss_eval(references, estimates)


def test_identical_references_do_not_end_in_a_singular_matrix():
    reference = np.random.default_rng(5).standard_normal(2000)
    assert np.isfinite(sar([reference, reference], [reference + 0.1 * reference[::-1], reference[::-1]])).all()


def test_mean_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        low, high = mean_interval(rng.normal(3.0, 2.0, 40), n_resamples=300, random_state=seed)
        covered += low < 3.0 < high
    assert 180 <= covered <= 198  # 95 % of 200, a little less for the percentile method


def test_mean_interval_needs_two_values():
    with pytest.raises(ParameterError, match="two or more"):
        mean_interval([1.0])
