import io
import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.audio import PcmFormat, read, stream_blocks
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError

SAMPLES = np.random.default_rng(2).integers(-30_000, 30_000, size=(3_000, 2)).astype("<i2")
FLOATS = (SAMPLES / 32768).astype(np.float32)


class Trickle(io.RawIOBase):
    """A pipe that gives as many bytes at a time as it is told."""

    def __init__(self, data, sizes):
        self._rest, self._sizes = data, list(sizes)

    def readable(self):
        return True

    def readinto(self, buffer):
        size = min(self._sizes.pop(0) if self._sizes else len(buffer), len(buffer))
        given, self._rest = self._rest[:size], self._rest[size:]
        buffer[: len(given)] = given
        return len(given)


@pytest.mark.parametrize(
    ("encoding", "encode", "step"),
    [
        ("u8", lambda x: np.round(x * 128 + 128).astype(np.uint8).tobytes(), 1 / 128),
        ("s16le", lambda x: (x * 2**15).astype("<i2").tobytes(), 0),
        ("s24le", lambda x: (x * 2.0**31).astype("<i4").view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(), 0),
        ("s32le", lambda x: (x * 2.0**31).astype("<i4").tobytes(), 0),
        ("f32le", lambda x: x.astype("<f4").tobytes(), 0),
        ("f64le", lambda x: x.astype("<f8").tobytes(), 0),
    ],
)
def test_every_encoding_gives_back_the_signal(encoding, encode, step):
    signal, rate = read(io.BytesIO(encode(FLOATS[:, 0].copy())), pcm_format=PcmFormat(8_000, encoding=encoding))
    assert rate == 8_000
    np.testing.assert_allclose(signal, FLOATS[:, 0], rtol=0, atol=step)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 4, 5, 7, 64, 1_001]), max_size=60))
def test_a_pipe_that_gives_parts_of_samples_loses_none(sizes):
    pipe = Trickle(SAMPLES.tobytes(), sizes)
    signal, _ = read(pipe, channel=1, pcm_format=PcmFormat(8_000, channels=2))
    assert np.array_equal(signal, FLOATS[:, 1])


def test_live_samples_are_yielded_before_more_are_written():
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as pipe, os.fdopen(write_end, "wb", buffering=0) as writer:
        watchdog = threading.Timer(5, writer.close)  # ends the stream if the reader waits for a whole second of audio
        watchdog.start()
        blocks = stream_blocks(pipe, pcm_format=PcmFormat(8_000))
        sizes = []
        for _ in range(3):
            writer.write(SAMPLES[:160, 0].tobytes())
            sizes.append(next(blocks).size)
        watchdog.cancel()
    assert sizes == [160, 160, 160]


def test_blocks_of_a_raw_file_are_bounded(tmp_path):
    path = tmp_path / "long.raw"
    path.write_bytes(bytes(2 * 8_000 * 10))
    with stream_blocks(path, pcm_format=PcmFormat(8_000), block_duration=0.25) as stream:
        assert {block.size for block in stream} == {2_000}


def test_an_incomplete_last_sample_is_left_out_with_a_warning():
    with pytest.warns(GmmAudioWarning, match=r"middle of a sample \(1 of 2 bytes\)"):
        signal, _ = read(io.BytesIO(SAMPLES[:, 0].tobytes()[:-1]), pcm_format=PcmFormat(8_000))
    assert np.array_equal(signal, FLOATS[:-1, 0])


@pytest.mark.parametrize("data", [b"", b"\x01"])
@pytest.mark.filterwarnings("ignore:.*middle of a sample")
def test_an_empty_pipe_is_an_error(data):
    with pytest.raises(GmmAudioError, match="holds no samples"):
        read(io.BytesIO(data), pcm_format=PcmFormat(8_000))


def test_a_wav_file_sent_as_raw_samples_is_an_error():
    with pytest.raises(GmmAudioError, match="starts like a WAV file"):
        read(io.BytesIO(b"RIFF" + bytes(100)), pcm_format=PcmFormat(8_000))


def test_raw_stereo_without_a_channel_is_an_error():
    with pytest.raises(GmmAudioError, match=r"2 channels .*channel='mix'"):
        read(io.BytesIO(SAMPLES.tobytes()), pcm_format=PcmFormat(8_000, channels=2))


def test_a_text_stream_is_an_error_that_names_the_binary_one():
    with pytest.raises(ParameterError, match=r"sys\.stdin\.buffer"):
        read(io.StringIO("hello"), pcm_format=PcmFormat(8_000))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_rate": 0}, "sample_rate is 0"),
        ({"sample_rate": 8_000, "channels": 0}, "channels is 0"),
        ({"sample_rate": 8_000, "encoding": "mp3"}, "encoding is 'mp3' but must be one of u8, s16le"),
    ],
)
def test_impossible_pcm_formats_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        PcmFormat(**arguments)
