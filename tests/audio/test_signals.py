import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.audio import ClippingMeter, as_signal
from gmmaudio.errors import GmmAudioError, ParameterError

HALF_STEP_16_BIT = 0.5 / 32768 + 1e-7  # rounding to int16, and to float32


@pytest.fixture
def int16_samples():
    return np.random.default_rng(0).integers(-32768, 32768, size=1000).astype(np.int16)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_as_signal_of_int16_and_of_its_float_version_are_equal(int16_samples, dtype):
    floats = int16_samples.astype(dtype) / 32768
    assert np.array_equal(as_signal(int16_samples), as_signal(floats))


def test_as_signal_of_int32_equals_int16_of_the_same_signal(int16_samples):
    assert np.array_equal(as_signal(int16_samples.astype(np.int32) * 65536), as_signal(int16_samples))


def test_as_signal_of_big_endian_int16_equals_native(int16_samples):
    assert np.array_equal(as_signal(int16_samples.astype(">i2")), as_signal(int16_samples))


def test_as_signal_of_uint8_is_silent_at_128():
    assert as_signal(np.array([0, 128, 192], dtype=np.uint8)).tolist() == [-1.0, 0.0, 0.5]


def test_as_signal_returns_float32():
    assert as_signal([0.1, 0.2]).dtype == np.float32


def test_as_signal_of_nothing_is_empty():
    assert as_signal([]).shape == (0,)


@pytest.mark.parametrize("shape", [(), (4, 2), (1, 2, 3)])
def test_as_signal_refuses_other_ranks_with_advice(shape):
    with pytest.raises(ParameterError, match=r"shape .* pick a channel"):
        as_signal(np.zeros(shape))


@pytest.mark.parametrize("dtype", [np.complex128, np.bool_, np.int64, np.uint16, np.float16, "U3", object])
def test_as_signal_refuses_types_without_a_known_full_scale(dtype):
    with pytest.raises(ParameterError, match="full scale is not known"):
        as_signal(np.zeros(3).astype(dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_as_signal_names_the_first_sample_that_is_not_finite(value):
    samples = np.zeros(10)
    samples[[7, 9]] = value
    with pytest.raises(GmmAudioError, match=f"value {value} at sample 7"):
        as_signal(samples)


def brute_force_clipped(samples):
    """Third and later samples of every run at full scale, counted one by one."""
    count = run = 0
    for sample in samples:
        run = run + 1 if abs(sample) >= 32767 / 32768 else 0
        count += run >= 3
    return count


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.5, 1.0, -1.0]), max_size=60), st.lists(st.integers(0, 5), max_size=30))
def test_clipping_meter_counts_runs_however_the_signal_is_cut(samples, cuts):
    signal = np.array(samples, dtype=np.float32)
    meter = ClippingMeter()
    for piece in np.split(signal, np.minimum(np.cumsum(cuts, dtype=int), len(signal))):
        meter.push(piece)
    assert (meter.n_clipped, meter.n_samples) == (brute_force_clipped(samples), len(samples))


def test_clipping_meter_counts_runs_in_each_channel():
    meter = ClippingMeter()
    meter.push(np.array([[1, 0], [1, 1], [0, 1], [0, 1], [0, 1]], dtype=np.float32))
    assert meter.n_clipped == 2


def test_quantisation_to_int16_moves_a_signal_by_half_a_step():
    signal = np.random.default_rng(1).uniform(-0.9, 0.9, 500)
    quantised = as_signal(np.round(signal * 32768).astype(np.int16))
    np.testing.assert_allclose(quantised, as_signal(signal), rtol=0, atol=HALF_STEP_16_BIT)
