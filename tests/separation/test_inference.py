"""Posteriors and masks of joint states, gains, and the factorial hidden Markov model, against brute force."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from scipy.stats import norm

from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.separation import SpectralParams
from gmmaudio.separation.factorial import factorial_forward_backward
from gmmaudio.separation.gains import estimate_gains, update_gains
from gmmaudio.separation.joint import LIKELIHOOD_SCALE, MASK_FLOOR, WienerPair, independent_masks
from gmmaudio.separation.mixmax import LIKELIHOOD_SCALE as MIXMAX_SCALE
from gmmaudio.separation.mixmax import MixmaxPair
from gmmaudio.separation.several import SeveralSources
from gmmaudio.separation.training import LOG_FLOOR

SINGLE = 2e-5  # float32 sums over a few bins
N_BINS = 5


def source(seed: int, n_components: int = 3, n_bins: int = N_BINS) -> SpectralParams:
    rng = np.random.default_rng(seed)
    return SpectralParams(rng.dirichlet(np.ones(n_components)), rng.gamma(0.5, 2.0, (n_components, n_bins)) + 0.01)


def drawn(sources: list[SpectralParams], gains: list[float], n_frames: int, seed: int = 0) -> np.ndarray:
    """Powers of a mixture of the sources."""
    rng = np.random.default_rng(seed)
    total = sum(
        gain * params.variances[rng.choice(params.n_components, n_frames, p=params.weights)]
        for params, gain in zip(sources, gains, strict=True)
    )
    return (total * rng.exponential(size=total.shape)).astype(np.float32)


def brute_force_masks(pair: WienerPair, power: np.ndarray) -> np.ndarray:
    """Posterior mean of the Wiener gain of the first source, state by state."""
    masks = []
    for frame in power:
        logs, gains = [], []
        for one, other in itertools.product(range(pair.shape[0]), range(pair.shape[1])):
            first = pair.gains[0] * pair.first.variances[one] + MASK_FLOOR
            second = pair.gains[1] * pair.second.variances[other] + MASK_FLOOR
            log_likelihood = (-np.log(first + second) - frame / (first + second)).sum()
            prior = np.log(pair.first.weights[one] * pair.second.weights[other])
            logs.append(LIKELIHOOD_SCALE * log_likelihood + prior)
            gains.append(first / (first + second))
        masks.append(softmax(logs) @ np.array(gains))
    return np.array(masks)


def test_wiener_masks_equal_brute_force():
    pair = WienerPair(source(1), source(2, 4), (0.7, 0.3))
    power = drawn([pair.first, pair.second], [0.7, 0.3], 37)
    assert_allclose(independent_masks(pair, power)[:, 0], brute_force_masks(pair, power), rtol=0, atol=SINGLE)


def test_masks_are_shares_that_sum_to_one():
    pair = WienerPair(source(1), source(2, 4), (0.7, 0.3))
    masks = independent_masks(pair, drawn([pair.first, pair.second], [0.7, 0.3], 20))
    assert (masks >= 0).all()
    assert_allclose(masks.sum(axis=1), 1.0, rtol=0, atol=1e-7)


def test_silent_frames_have_finite_masks():
    assert np.isfinite(
        independent_masks(WienerPair(source(1), source(2), (0.5, 0.5)), np.zeros((3, N_BINS), np.float32))
    ).all()


def test_a_frame_has_the_same_mask_bits_alone_and_among_others():
    pair = WienerPair(source(1, 16, 65), source(2, 16, 65), (0.5, 0.5))
    power = drawn([pair.first, pair.second], [0.5, 0.5], 50)
    together = independent_masks(pair, power)
    alone = np.concatenate([independent_masks(pair, power[i : i + 1]) for i in range(len(power))])
    assert_array_equal(alone, together)


@pytest.mark.parametrize("ratio_db", [-9.0, 0.0, 9.0])
def test_gains_of_a_drawn_mixture_are_found(ratio_db):
    sources = [source(3, 4, 60), source(4, 4, 60)]
    gains = np.array([1.0, 10 ** (ratio_db / 10)])
    found, _ = estimate_gains(sources, drawn(sources, gains, 400))
    assert_allclose(10 * np.log10(found), 10 * np.log10(gains), atol=0.7)  # 0.7 dB: 24,000 bins and a few updates


def test_the_gain_update_has_the_true_gains_as_its_fixed_point():
    sources = [source(5, 1, 60), source(6, 1, 60)]  # one state: scaled posteriors of several are not exact
    gains = np.array([0.8, 0.2])
    assert_allclose(update_gains(sources, gains, drawn(sources, gains, 4000)), gains, rtol=0.03)  # sampling error


def test_gains_scale_with_the_mixture():
    sources = [source(3, 4, 60), source(4, 4, 60)]
    power = drawn(sources, [1.0, 0.5], 100)
    assert_allclose(estimate_gains(sources, 1e-6 * power)[0], 1e-6 * estimate_gains(sources, power)[0], rtol=1e-3)


def test_the_factorial_recursion_equals_the_sum_over_all_paths():
    rng = np.random.default_rng(0)
    shape, n_frames = (2, 3), 4
    start = rng.dirichlet(np.ones(6)).reshape(shape)
    first, second = rng.dirichlet(np.ones(2), 2), rng.dirichlet(np.ones(3), 3)
    log_likelihoods = rng.normal(size=(n_frames, *shape)) * 3
    posteriors, total = np.zeros((n_frames, *shape)), 0.0
    for path in itertools.product(itertools.product(range(2), range(3)), repeat=n_frames):
        prob = start[path[0]] * np.exp(sum(log_likelihoods[t][pair] for t, pair in enumerate(path)))
        for (i, j), (k, m) in itertools.pairwise(path):
            prob *= first[i, k] * second[j, m]
        total += prob
        for frame, pair in enumerate(path):
            posteriors[frame][pair] += prob
    result = factorial_forward_backward(start, (first, second), log_likelihoods)
    assert_allclose(result.posteriors, posteriors / total, rtol=0, atol=1e-12)
    assert_allclose(result.log_likelihood, np.log(total), rtol=1e-12)


def test_the_factorial_recursion_survives_a_frame_that_contradicts_the_past():
    stay = np.eye(2)
    log_likelihoods = np.array([[[0.0, -900.0], [-900.0, -900.0]], [[-900.0, -900.0], [-900.0, 0.0]]])
    result = factorial_forward_backward(np.full((2, 2), 0.25), (stay, stay), log_likelihoods)
    assert np.isfinite(result.posteriors).all()


def log_source(seed: int) -> GmmParams:
    rng = np.random.default_rng(seed)
    return GmmParams(rng.dirichlet(np.ones(3)), rng.normal(-1, 2, (3, N_BINS)), rng.uniform(0.5, 3, (3, N_BINS)))


def test_mixmax_posteriors_and_masks_equal_brute_force():
    pair = MixmaxPair(log_source(1), log_source(2), (0.6, 0.4))
    power = np.random.default_rng(3).exponential(size=(N_BINS, 16)).astype(np.float32)
    logs, shares = np.zeros((9, 16)), np.zeros((9, N_BINS, 16))
    for index, (one, other) in enumerate(itertools.product(range(3), range(3))):
        density, distribution = [], []
        for params, component, gain in ((pair.first, one, 0.6), (pair.second, other, 0.4)):
            own = norm(params.means[component][:, np.newaxis], np.sqrt(params.variances[component])[:, np.newaxis])
            x = np.log(power / gain + LOG_FLOOR)
            density.append(own.pdf(x))
            distribution.append(own.cdf(x))
        louder = density[0] * distribution[1], density[1] * distribution[0]
        logs[index] = MIXMAX_SCALE * np.log(louder[0] + louder[1]).sum(axis=0)
        shares[index] = louder[0] / (louder[0] + louder[1])
    assert_allclose(pair.log_likelihoods(power), logs, rtol=0, atol=1e-3)  # float32 tails of the normal
    posteriors = softmax(logs + pair.log_prior[:, np.newaxis], axis=0).astype(np.float32)
    expected = np.einsum("pt,pft->ft", posteriors, shares)
    assert_allclose(pair.first_mask(power, posteriors), expected, rtol=0, atol=5e-3)  # pairs under 0.1 % are left out


def test_three_sources_have_masks_that_sum_to_one_and_favour_the_loud_one():
    sources = [source(seed, 3, 40) for seed in (7, 8, 9)]
    power = drawn(sources, [1.0, 0.01, 0.01], 30)
    masks = SeveralSources(sources, np.array([1.0, 0.01, 0.01])).masks(power)
    assert_allclose(masks.sum(axis=1), 1.0, rtol=0, atol=1e-6)
    assert masks[:, 0].mean() > 0.8


def test_the_mean_field_of_two_sources_with_one_component_each_is_exact():
    sources = [source(1, 1), source(2, 1)]
    power = drawn(sources, [0.7, 0.3], 10)
    exact = independent_masks(WienerPair(sources[0], sources[1], (0.7, 0.3)), power)
    assert_allclose(SeveralSources(sources, np.array([0.7, 0.3])).masks(power), exact, rtol=0, atol=SINGLE)
