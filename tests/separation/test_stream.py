"""A stream of a mixture: the bits of the batch, the stated latency, a state that can be saved."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from separation.sounds import mixture, trained

from gmmaudio.metrics import si_sdr

PAIR = ["low", "hiss"]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 6000), max_size=6))
@pytest.mark.parametrize("known_levels", [True, False])
def test_any_cutting_gives_the_bits_of_the_batch(separator, known_levels, cuts):
    mixed = mixture()[2]
    levels = separator.estimate_levels(mixed, PAIR) if known_levels else None
    edges = [*np.minimum(np.cumsum([0, *cuts]), len(mixed)).tolist(), len(mixed)]
    stream = separator.stream(PAIR, levels=levels)
    whole = stream.transform(mixed)
    pieces = [stream.push(mixed[a:b]) for a, b in itertools.pairwise(edges)] + [stream.flush()]
    assert_array_equal(np.concatenate(pieces), whole)


def test_a_stream_with_the_levels_of_the_batch_gives_its_bits(separator):
    mixed = mixture()[2]
    batch = separator.separate(mixed, PAIR)
    stream = separator.stream(PAIR, levels=separator.estimate_levels(mixed, PAIR))
    single = np.concatenate([*(stream.push(mixed[i : i + 37]) for i in range(0, len(mixed), 37)), stream.flush()])
    assert_array_equal(single, np.stack([batch[name] for name in PAIR], axis=1))


@pytest.mark.parametrize("options", [{"dynamics": "hmm"}, {"mask": "binary"}])
def test_other_kinds_of_inference_stream_to_the_same_bits(options):
    mixed = mixture()[2]
    stream = trained(4, **options).stream(PAIR)
    whole = stream.transform(mixed)
    pieces = [*(stream.push(mixed[i : i + 1000]) for i in range(0, len(mixed), 1000)), stream.flush()]
    assert_array_equal(np.concatenate(pieces), whole)


@pytest.mark.parametrize("dynamics", ["independent", "hmm"])
def test_the_latency_is_what_is_stated(separator, dynamics):
    stream = (separator if dynamics == "independent" else trained(4, dynamics=dynamics)).stream(PAIR)
    mixed = mixture()[2]
    given_so_far = 0
    for index in range(0, len(mixed), 50):
        given_so_far += len(stream.push(mixed[index : index + 50]))
        assert given_so_far >= index + 50 - stream.lookahead
    if dynamics == "independent":
        assert stream.lookahead < separator.stft.frame_samples


def test_tracked_gains_separate_after_the_first_second(separator):
    low, _, mixed = mixture(6.0, ratio_db=-9.0)
    tracked = separator.stream(PAIR).transform(mixed)[:, 0]
    assert si_sdr(low[8000:], tracked[8000:]) - si_sdr(low[8000:], mixed[8000:]) > 5


def test_tracked_gains_follow_a_change_to_what_the_new_part_alone_has(separator):
    stream = separator.stream(PAIR)
    for ratio_db in (12.0, -12.0):
        part = mixture(6.0, ratio_db=ratio_db)[2]
        stream.push(part)
        levels = separator.estimate_levels(part[-24000:], PAIR)
        tracked = 10 * np.log10(stream.gains[1] / stream.gains[0])
        assert_allclose(tracked, levels["hiss"] - levels["low"], atol=2.0)  # other frames of the same three seconds


def test_a_stream_that_begins_with_silence_finds_its_gains(separator):
    stream = separator.stream(PAIR)
    stream.push(np.zeros(16000, np.float32))
    assert not stream.gains.any()
    stream.push(mixture(2.0)[2])
    assert stream.gains.all()


def test_a_stream_goes_on_from_a_saved_state(separator):
    mixed = mixture()[2]
    stream = separator.stream(PAIR)
    whole = stream.transform(mixed)
    first = stream.push(mixed[:7777])
    other = separator.stream(PAIR)
    other.load_state(stream.state_dict())
    assert_array_equal(np.concatenate([first, other.push(mixed[7777:]), other.flush()]), whole)


def test_stereo_streams_to_the_same_bits(separator):
    stereo = np.stack([mixture()[2], mixture()[0]], axis=1)
    stream = separator.stream(PAIR, n_channels=2)
    whole = stream.transform(stereo)
    assert whole.shape == (len(stereo), 2, 2)
    pieces = [*(stream.push(stereo[i : i + 999]) for i in range(0, len(stereo), 999)), stream.flush()]
    assert_array_equal(np.concatenate(pieces), whole)


def test_the_hidden_markov_model_of_a_stream_is_close_to_that_of_the_whole_recording():
    separator = trained(4, dynamics="hmm")
    mixed = mixture()[2]
    stream = separator.stream(PAIR, levels=separator.estimate_levels(mixed, PAIR))
    streamed = stream.transform(mixed)[:, 0]
    maker, spectra = stream._maker, stream._analysis.transform(mixed[:, np.newaxis])
    power = np.abs(spectra[:, 0]) ** 2
    gains, colours = stream._fixed_levels
    masks, _ = maker.masks(
        (power / gains.sum()).astype(np.float32), gains / gains.sum(), colours, maker.start, n_final=len(power)
    )
    whole = stream._synthesis.fresh()
    whole = type(whole)(separator.stft).transform(masks[:, :1] * spectra)
    first = separator.stft.frame_samples - separator.stft.shift_samples
    # The look-ahead of half a second is all that differs.
    assert_allclose(streamed, whole[first : first + len(mixed), 0], rtol=0, atol=0.02)


def test_a_mixture_that_is_far_louder_than_the_levels_say_has_finite_estimates(separator):
    mixed = mixture()[2]
    estimates = separator.separate(mixed, PAIR, levels={"low": -300.0, "hiss": -300.0})
    assert_allclose(estimates["low"] + estimates["hiss"], mixed, rtol=0, atol=1e-6)
