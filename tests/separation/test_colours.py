"""The colours of sources in a mixture, against brute force, filtered sources and the identities of their prior."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax
from separation.sounds import RATE, buzz, hiss

from gmmaudio.metrics import si_sdr
from gmmaudio.separation import SpectralParams, StftConfig, accumulate_spectral_stats
from gmmaudio.separation.colours import N_BANDS, RELEVANCE_FRAMES, band_starts, estimate_colours
from gmmaudio.separation.gains import update_sums
from gmmaudio.separation.joint import LIKELIHOOD_SCALE

STARTS = (0, 10, 25)
N_BINS = 60
PAIR = ["low", "hiss"]


def source(seed: int, n_components: int = 3) -> SpectralParams:
    rng = np.random.default_rng(seed)
    return SpectralParams(rng.dirichlet(np.ones(n_components)), rng.gamma(0.5, 2.0, (n_components, N_BINS)) + 0.01)


def drawn(sources: list[SpectralParams], gains: np.ndarray, n_frames: int) -> np.ndarray:
    """Powers of a mixture of the sources."""
    rng = np.random.default_rng(0)
    total = sum(
        gain * own.variances[rng.choice(own.n_components, n_frames, p=own.weights)]
        for own, gain in zip(sources, gains, strict=True)
    )
    return (total * rng.exponential(size=total.shape)).astype(np.float32)


def in_bins(bands: list[list[float]]) -> np.ndarray:
    return np.repeat(np.array(bands), np.diff([*STARTS, N_BINS]), axis=1)


def test_the_sums_of_an_update_equal_brute_force():
    one, other, gains = source(1), source(2, 4), np.array([0.7, 0.3])
    power = drawn([one, other], gains, 20)
    explained, expected = np.zeros((2, N_BINS)), np.zeros((2, N_BINS))
    pairs = list(itertools.product(range(3), range(4)))
    for frame in power:
        parts = [(0.7 * one.variances[i], 0.3 * other.variances[j]) for i, j in pairs]
        scaled = [-LIKELIHOOD_SCALE * (np.log(a + b) + frame / (a + b)).sum() for a, b in parts]
        posteriors = softmax(scaled + np.log([one.weights[i] * other.weights[j] for i, j in pairs]))
        for posterior, part in zip(posteriors, parts, strict=True):
            for index, own in enumerate(part):
                explained[index] += posterior * frame * own / sum(part) ** 2
                expected[index] += posterior * own / sum(part)
    found = update_sums([one, other], gains, power)
    assert_allclose(found[0], explained, rtol=1e-3, atol=1e-3)  # float32
    assert_allclose(found[1], expected, rtol=1e-3, atol=1e-3)


def test_two_sources_of_one_component_have_the_sums_of_several():
    sources, gains = [source(1, 1), source(2, 1)], np.array([0.7, 0.3])
    power = drawn(sources, gains, 20)
    absent = SpectralParams([1.0], np.full((1, N_BINS), 1e-6))
    for pair, several in zip(
        update_sums(sources, gains, power), update_sums([*sources, absent], np.append(gains, 1e-6), power), strict=True
    ):
        assert_allclose(several[:2], pair, rtol=1e-3)


def test_the_filter_of_a_drawn_source_is_found():
    colours = in_bins([[1.0, 1.0, 1.0], [3.0, 1.0, 0.3]])
    sources = [source(3), source(4)]
    power = drawn([own.coloured(colour) for own, colour in zip(sources, colours, strict=True)], np.ones(2), 1000)
    gains, found = estimate_colours(sources, np.ones(2), power, STARTS, n_updates=20)
    ratios = gains[1] * found[1] / (gains[0] * found[0])
    assert_allclose(ratios, colours[1] / colours[0], rtol=0.25)  # scaled posteriors are not exact


def test_a_colour_leaves_the_power_of_its_source_as_it_is():
    sources = [source(3), source(4)]
    _, colours = estimate_colours(sources, np.ones(2), 5 * drawn(sources, np.array([1.0, 4.0]), 100), STARTS)
    for own, colour in zip(sources, colours, strict=True):
        mean = own.weights @ own.variances
        assert_allclose((colour * mean).sum(), mean.sum(), rtol=1e-9)


def test_colours_of_few_frames_stay_near_those_of_the_training():
    sources = [source(3), source(4)]
    power = drawn([sources[0], sources[1].coloured(in_bins([[9.0, 1.0, 1.0]])[0])], np.ones(2), 400)
    few, many = (estimate_colours(sources, np.ones(2), power[:n], STARTS)[1] for n in (1, 400))
    assert np.abs(np.log(few)).max() < np.abs(np.log(many)).max() / 2
    assert RELEVANCE_FRAMES > 1


def test_colours_do_not_depend_on_the_scale_of_the_mixture():
    sources = [source(3), source(4)]
    power = drawn(sources, np.array([1.0, 0.5]), 100)
    gains, colours = estimate_colours(sources, np.array([1.0, 0.5]), power, STARTS)
    scaled_gains, scaled = estimate_colours(sources, 1e-6 * np.array([1.0, 0.5]), 1e-6 * power, STARTS)
    assert_allclose(scaled, colours, rtol=1e-3)
    assert_allclose(scaled_gains, 1e-6 * gains, rtol=1e-3)


def test_a_coloured_model_has_the_density_of_filtered_frames():
    own, colour = source(1), in_bins([[0.5, 2.0, 1.0]])[0]
    power = drawn([own], np.ones(1), 30)
    plain = accumulate_spectral_stats(own, power)
    filtered = accumulate_spectral_stats(own.coloured(colour), (power * colour).astype(np.float32))
    assert_allclose(filtered.log_likelihood, plain.log_likelihood - 30 * np.log(colour).sum(), rtol=1e-5)
    assert_allclose(filtered.zeroth, plain.zeroth, rtol=1e-3)


@pytest.mark.parametrize("frame_length", [0.004, 0.064, 1.0])
def test_bands_begin_at_0_and_none_is_empty(frame_length):
    stft = StftConfig(RATE, frame_length)
    starts = band_starts(stft)
    assert starts[0] == 0
    assert len(starts) <= N_BANDS
    assert (np.diff([*starts, stft.n_bins]) > 0).all()


def dull_hiss(seconds: float) -> np.ndarray:
    """A hiss through another microphone: a one-pole low-pass filter, at the level of a buzz."""
    noise = hiss(seconds, seed=12)
    for index in range(1, len(noise)):
        noise[index] += np.float32(0.7) * noise[index - 1]
    return noise * np.float32(0.5)


def test_a_noise_through_another_microphone_is_separated_better_with_its_colour(separator):
    low, noise = buzz(3, seed=11), dull_hiss(3)
    mixed = low + noise
    levels = separator.estimate_levels(mixed, PAIR)
    with_colours, without = (separator.separate(mixed, PAIR, levels=known) for known in (levels, dict(levels)))
    assert si_sdr(low, with_colours["low"]) > si_sdr(low, without["low"]) + 1


def test_plain_numbers_keep_the_colours_of_the_training(separator):
    stream = separator.stream(PAIR, levels={"low": -20.0, "hiss": -20.0})
    assert_array_equal(stream._state.colours, 1.0)


def test_levels_are_a_mapping_of_numbers(separator):
    levels = separator.estimate_levels(buzz(1, seed=1) + hiss(1, seed=2), PAIR)
    assert list(levels) == PAIR
    assert dict(levels) == {name: levels[name] for name in PAIR}
