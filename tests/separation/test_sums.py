"""Sources as sums of their spectra: activations and masks against an explicit loop in double precision."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from separation.sounds import mixture

from gmmaudio.errors import ParameterError
from gmmaudio.separation import SeparationConfig, SpectralParams
from gmmaudio.separation.joint import BLOCK_FRAMES, MASK_FLOOR
from gmmaudio.separation.sums import N_UPDATES, SpectralSums

SINGLE = 1e-4  # float32 through twenty updates
N_BINS = 40
GAINS = np.array([0.7, 0.2, 0.1])


def sources(n_sources: int = 3) -> list[SpectralParams]:
    rng = np.random.default_rng(0)
    return [
        SpectralParams(rng.dirichlet(np.ones(n)), rng.gamma(0.5, 2.0, (n, N_BINS)) + 0.01)
        for n in (3, 4, 2)[:n_sources]
    ]


def frames(n_frames: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 2.0, (n_frames, N_BINS)).astype(np.float32)


def negative_log_likelihood(variances: np.ndarray, frame: np.ndarray) -> float:
    return float((np.log(variances) + frame / variances).sum())


def explicit_masks(power: np.ndarray) -> np.ndarray:
    """Févotte et al. 2009, eq. 4.9, one activation at a time."""
    spectra = [(source, spectrum) for source, own in enumerate(sources()) for spectrum in own.variances]
    start = np.concatenate([gain * own.weights for gain, own in zip(GAINS, sources(), strict=True)])
    masks = np.empty((len(power), 3, N_BINS))
    for frame, out in zip(power.astype(np.float64), masks, strict=True):
        activations = start.copy()
        for _ in range(N_UPDATES):
            total = sum(h * v for h, (_, v) in zip(activations, spectra, strict=True)) + 3 * MASK_FLOOR
            for index, (_, v) in enumerate(spectra):
                activations[index] *= (v * frame / total**2).sum() / (v / total).sum()
        for source in range(3):
            own = (h * v for h, (owner, v) in zip(activations, spectra, strict=True) if owner == source)
            out[source] = sum(own) + MASK_FLOOR
    return masks / masks.sum(axis=1, keepdims=True)


def test_masks_equal_an_explicit_loop():
    power = frames(19)
    assert_allclose(SpectralSums(sources(), GAINS).masks(power), explicit_masks(power), rtol=0, atol=SINGLE)


def test_activations_make_the_frame_likelier_than_their_start():
    spectra = np.concatenate([own.variances for own in sources()])
    start = np.concatenate([gain * own.weights for gain, own in zip(GAINS, sources(), strict=True)])
    power = frames(BLOCK_FRAMES)
    found = SpectralSums(sources(), GAINS).activations(np.ascontiguousarray(power.T))
    for frame, activations in zip(power, found.T, strict=True):
        assert negative_log_likelihood(activations @ spectra, frame) < negative_log_likelihood(start @ spectra, frame)


def test_a_frame_that_is_a_sum_of_spectra_is_taken_apart_as_no_pair_of_them_could():
    low, high = np.repeat([1.0, 0.01], N_BINS // 2), np.repeat([0.01, 1.0], N_BINS // 2)
    rippled = 1.0 + 0.9 * np.cos(np.arange(N_BINS))
    pair = [SpectralParams([0.5, 0.5], [low, high]), SpectralParams([1.0], [rippled])]
    first, second = 4.0 * low + 0.5 * high, 2.0 * rippled
    masks = SpectralSums(pair, np.array([0.5, 0.5])).masks((first + second)[np.newaxis].astype(np.float32))
    assert_allclose(masks[0, 0], first / (first + second), rtol=0, atol=0.05)  # twenty updates are not the limit


def test_masks_are_shares_that_sum_to_one():
    masks = SpectralSums(sources(), GAINS).masks(frames(20))
    assert (masks >= 0).all()
    assert_allclose(masks.sum(axis=1), 1.0, rtol=0, atol=1e-6)


def test_a_frame_has_the_same_mask_bits_alone_and_among_others():
    sums, power = SpectralSums(sources(), GAINS), frames(50)
    alone = np.concatenate([sums.masks(power[i : i + 1]) for i in range(len(power))])
    assert_array_equal(alone, sums.masks(power))


def test_silent_and_very_loud_bins_have_finite_masks():
    power = np.zeros((3, N_BINS), np.float32)
    power[1, ::2] = 1e12
    power[2] = 1e12
    assert np.isfinite(SpectralSums(sources(), GAINS).masks(power)).all()


def test_by_default_the_masks_are_the_mean_of_both_views(separator):
    mixed = mixture()[2]
    levels = separator.estimate_levels(mixed, ["low", "hiss"])
    one, both, total = (
        separator.with_config(SeparationConfig(spectra=spectra)).separate(mixed, ["low", "hiss"], levels=levels)["low"]
        for spectra in ("one", "both", "sum")
    )
    assert_allclose(both, (one + total) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("options", [{"dynamics": "hmm"}, {"likelihood": "mixmax"}])
def test_sums_alone_with_what_needs_states_are_refused(options):
    with pytest.raises(ParameterError, match="has no states"):
        SeparationConfig(spectra="sum", **options)
