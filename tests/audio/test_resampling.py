import copy
import pickle
from functools import cache

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.audio import Resampler
from gmmaudio.errors import GmmAudioError, ParameterError

# Different FFT blocks round differently in float32; seen at full-scale noise: 1e-6.
SEAM = 2e-6
RATE_PAIRS = [
    (48_000, 16_000),
    (44_100, 16_000),
    (8_000, 16_000),
    (11_025, 8_000),
    (192_000, 16_000),
    (4_000, 16_000),
    (16_000, 44_100),
    (16_001, 8_000),  # no common divisor: the context is a whole second
]


@cache
def noise(n_samples):
    signal = np.random.default_rng(5).uniform(-1, 1, n_samples).astype(np.float32)
    signal.flags.writeable = False
    return signal


def stream(resampler, signal, cuts):
    pieces = np.split(signal, np.minimum(np.cumsum(cuts, dtype=int), len(signal)))
    return np.concatenate([*(resampler.push(piece) for piece in pieces), resampler.flush()])


@pytest.mark.parametrize(("source_rate", "target_rate"), RATE_PAIRS)
def test_resampler_agrees_with_soxr_over_the_whole_signal_across_epochs(source_rate, target_rate):
    signal = noise(round(8.7 * source_rate))
    expected = soxr.resample(signal, source_rate, target_rate)
    np.testing.assert_allclose(Resampler(source_rate, target_rate).transform(signal), expected, rtol=0, atol=SEAM)


@pytest.mark.parametrize(("source_rate", "target_rate"), [(4_000, 16_000), (11_025, 8_000), (16_001, 8_000)])
@settings(max_examples=15, deadline=None)
@given(
    n_samples=st.integers(0, 40_000),
    cuts=st.lists(st.sampled_from([0, 1, 2, 7, 80, 640, 5_001, 20_000]), max_size=40),
)
def test_resampler_stream_equals_batch_bit_for_bit(source_rate, target_rate, n_samples, cuts):
    resampler = Resampler(source_rate, target_rate)
    signal = noise(n_samples)
    assert np.array_equal(stream(resampler, signal, cuts), resampler.transform(signal))


def test_resampler_stream_of_single_samples_equals_batch_across_an_epoch():
    resampler = Resampler(4_000, 8_000)
    signal = noise(17_000)
    assert np.array_equal(stream(resampler, signal, [1] * 17_000), resampler.transform(signal))


@pytest.mark.parametrize(("source_rate", "target_rate"), RATE_PAIRS)
@pytest.mark.parametrize("extra", [-1, 0, 1, 100, 300])
def test_resampler_length_is_that_of_soxr_around_an_epoch_boundary(source_rate, target_rate, extra):
    n_samples = 4 * source_rate + extra
    n_converted = Resampler(source_rate, target_rate).transform(noise(n_samples)).size
    assert n_converted == int(n_samples * target_rate / source_rate + 0.5)


@pytest.mark.parametrize("n_samples", [0, 1, 2, 3, 5, 17, 100])
def test_resampler_length_of_short_signals_is_that_of_soxr(n_samples):
    signal = noise(n_samples)
    assert Resampler(44_100, 16_000).transform(signal).size == soxr.resample(signal, 44_100, 16_000).size


@settings(max_examples=20, deadline=None)
@given(saved_at=st.integers(0, 40_000), cut=st.sampled_from([1, 333, 4_000]))
def test_resampler_continues_a_saved_stream_bit_for_bit(saved_at, cut):
    signal = noise(40_000)
    first, second = Resampler(4_000, 16_000), Resampler(4_000, 16_000)
    before = [first.push(piece) for piece in np.split(signal[:saved_at], range(cut, saved_at, max(cut, saved_at // 9)))]
    second.push(noise(100))
    second.load_state(first.state_dict())
    after = [second.push(signal[saved_at:]), second.flush()]
    assert np.array_equal(np.concatenate(before + after), first.transform(signal))


def test_resampler_state_is_a_copy():
    resampler = Resampler(8_000, 16_000)
    resampler.push(noise(1_000))
    state = resampler.state_dict()
    before = copy.deepcopy(state)
    resampler.push(noise(1_000))
    assert np.array_equal(state["window"], before["window"])


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda stage: pickle.loads(pickle.dumps(stage))])
def test_resampler_copied_in_mid_stream_continues_bit_for_bit(clone):
    signal = noise(30_000)
    resampler = Resampler(8_000, 16_000)
    before = resampler.push(signal[:12_345])
    copied = clone(resampler)
    after = [copied.push(signal[12_345:]), copied.flush()]
    assert np.array_equal(np.concatenate([before, *after]), resampler.transform(signal))


def test_resampler_transform_leaves_its_own_stream_alone():
    signal = noise(20_000)
    resampler = Resampler(8_000, 16_000)
    before = resampler.push(signal[:5_000])
    resampler.transform(noise(3_000))
    after = [resampler.push(signal[5_000:]), resampler.flush()]
    assert np.array_equal(np.concatenate([before, *after]), resampler.transform(signal))


def test_resampler_starts_afresh_after_flush():
    resampler = Resampler(8_000, 16_000)
    signal = noise(2_000)
    once = stream(resampler, signal, [700])
    assert np.array_equal(stream(resampler, signal, [5]), once)


@pytest.mark.parametrize(("source_rate", "target_rate"), [*RATE_PAIRS, (4_000, 192_000), (192_000, 4_000)])
def test_resampler_is_never_later_than_its_lookahead(source_rate, target_rate):
    resampler = Resampler(source_rate, target_rate)
    n_pushed = n_returned = 0
    step = source_rate // 200
    signal = noise(9 * source_rate)
    while n_pushed + step <= signal.size:
        n_returned += resampler.push(signal[n_pushed : n_pushed + step]).size
        n_pushed += step
        assert n_returned >= (n_pushed - resampler.lookahead) * target_rate / source_rate - 1


def test_resampler_between_equal_rates_changes_nothing():
    resampler = Resampler(16_000, 16_000)
    signal = noise(1_000)
    assert np.array_equal(stream(resampler, signal, [10, 0, 300]), signal)
    assert resampler.lookahead == 0


def test_resampler_gives_the_same_for_int16_and_float32():
    samples = (noise(9_000) * 32767).astype(np.int16)
    resampler = Resampler(8_000, 16_000)
    assert np.array_equal(resampler.transform(samples), resampler.transform(samples.astype(np.float32) / 32768))


def test_resampler_keeps_memory_bounded():
    resampler = Resampler(8_000, 16_000)
    size_at_start = resampler.state_dict()["window"].nbytes
    for _ in range(60):
        resampler.push(noise(8_000))
    assert resampler.state_dict()["window"].nbytes == size_at_start


@pytest.mark.parametrize("rate", [0, -8_000, 999, 2_000_000, 8_000.5])
def test_resampler_refuses_rates_that_are_not_of_audio(rate):
    with pytest.raises(ParameterError, match=r"source_rate is .* from 1000 to 1000000 Hz"):
        Resampler(rate, 16_000)


def test_resampler_refuses_samples_that_are_not_finite():
    with pytest.raises(GmmAudioError, match="value nan at sample 2"):
        Resampler(8_000, 16_000).push(np.array([0.0, 0.0, np.nan]))
