import io
import os
import shutil
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from gmmaudio.audio import read, stream_blocks
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError

RATE = 16_000
STEP_16_BIT = 1 / 32768
SEAM = 2e-6  # soxr's float32 rounding, see test_resampling.py


def chirp(duration=2.5, rate=RATE):
    """Return a tone that rises from 200 Hz, so that any shift or gap is seen."""
    time = np.arange(round(duration * rate)) / rate
    noise = np.random.default_rng(3).normal(scale=0.01, size=time.size)
    return (0.4 * np.sin(2 * np.pi * (200 + 100 * time) * time) + noise).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    def write_file(name, signal, rate=RATE, **options):
        path = tmp_path / name
        soundfile.write(path, signal, rate, **options)
        return path

    return write_file


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "NIST", "W64", "RF64", "AU", "CAF"])
def test_lossless_formats_give_back_the_signal(write, container):
    signal, rate = read(write("speech.bin", chirp(), format=container, subtype="PCM_16"))
    assert rate == RATE
    np.testing.assert_allclose(signal, chirp(), rtol=0, atol=STEP_16_BIT)


@pytest.mark.parametrize(("name", "options"), [("a.ogg", {}), ("a.mp3", {}), ("a.opus", {"format": "OGG"})])
def test_lossy_formats_give_back_length_and_shape(write, name, options):
    signal, _ = read(write(name, chirp(), **options))
    assert signal.size == chirp().size
    assert np.corrcoef(signal, chirp())[0, 1] > 0.99


def test_float_wav_keeps_values_beyond_full_scale(write):
    signal, _ = read(write("loud.wav", np.float32([0, 2.5, -3, 0]), subtype="FLOAT"))
    assert signal.tolist() == [0, 2.5, -3, 0]


@pytest.mark.parametrize("block_duration", [0.01, 0.3, 100.0])
@pytest.mark.parametrize("sample_rate", [None, 8_000, 44_100])
def test_blocks_of_any_length_join_to_the_whole_file(write, block_duration, sample_rate):
    path = write("speech.wav", chirp(9.0))
    whole, rate = read(path, sample_rate=sample_rate)
    stream = stream_blocks(path, sample_rate=sample_rate, block_duration=block_duration)
    assert stream.sample_rate == rate
    assert np.array_equal(np.concatenate(list(stream)), whole)


@pytest.mark.parametrize("rate", [4_000, 8_000, 44_100, 192_000])
def test_any_sample_rate_is_converted_as_soxr_does(write, rate):
    path = write("speech.wav", chirp(rate=rate), rate, subtype="FLOAT")
    signal, sample_rate = read(path, sample_rate=16_000)
    assert sample_rate == 16_000
    np.testing.assert_allclose(signal, soxr.resample(chirp(rate=rate), rate, 16_000), rtol=0, atol=SEAM)


def test_a_file_object_reads_like_its_path(write):
    path = write("speech.flac", chirp())
    assert np.array_equal(read(io.BytesIO(path.read_bytes()))[0], read(path)[0])


def test_real_recordings_read_as_soundfile_reads_them(shared_data):
    for path in sorted(shared_data.glob("fsdd/recordings/*_0.wav"))[:12]:
        expected, rate = soundfile.read(path, dtype="float32")
        signal, sample_rate = read(path)
        assert sample_rate == rate
        assert np.array_equal(signal, expected)


def test_memory_does_not_grow_with_the_file(write):
    path = write("long.wav", np.zeros(60 * RATE))
    tracemalloc.start()
    with stream_blocks(path, sample_rate=8_000) as stream:
        n_samples = sum(block.size for block in stream)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n_samples == 60 * 8_000
    assert peak < 60 * RATE * 4 / 3  # a third of the decoded file


def test_a_wav_header_without_a_length_is_read_to_the_end(write):
    path = write("piped.wav", chirp())
    data = bytearray(path.read_bytes())
    for position in (4, data.index(b"data") + 4):
        data[position : position + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert read(path)[0].size == chirp().size


def test_a_stream_left_early_closes_its_file(write):
    path = write("speech.wav", chirp())
    with stream_blocks(path) as stream:
        next(stream)
    assert stream._owned_file.closed


# Channels


@pytest.fixture
def stereo(write):
    left = chirp()
    return write("stereo.wav", np.stack([left, -0.5 * left], axis=1), subtype="FLOAT")


def test_stereo_without_a_channel_is_an_error_that_says_how_to_choose(stereo):
    with pytest.raises(GmmAudioError, match=r"2 channels .*channel=0 .*channel='mix'"):
        read(stereo)


@pytest.mark.parametrize(("channel", "factor"), [(0, 1.0), (1, -0.5), ("mix", 0.25)])
def test_stereo_gives_the_channel_or_the_mean(stereo, channel, factor):
    np.testing.assert_allclose(read(stereo, channel=channel)[0], factor * chirp(), rtol=1e-6)


@pytest.mark.parametrize("channel", [0, "mix", None])
def test_mono_needs_no_channel_and_accepts_the_first(write, channel):
    path = write("mono.wav", chirp(), subtype="FLOAT")
    assert np.array_equal(read(path, channel=channel)[0], chirp())


@pytest.mark.parametrize("channel", [2, -1, "left", 0.5])
def test_a_channel_that_is_not_there_is_an_error(stereo, channel):
    with pytest.raises(ParameterError, match=r"channel is .* 2 channel\(s\)"):
        read(stereo, channel=channel)


# Bad files


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GmmAudioError, match=r"no file .*nothere\.wav"):
        read(tmp_path / "nothere.wav")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(GmmAudioError, match="is a directory"):
        read(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root and Windows may read any file")
def test_a_file_without_read_permission_is_refused(write):
    path = write("secret.wav", chirp())
    path.chmod(0)
    with pytest.raises(GmmAudioError, match=r"cannot open .*Permission denied"):
        read(path)


def test_an_error_of_the_system_is_passed_on_in_one_sentence(monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(GmmAudioError, match=r"cannot open secret\.wav: Permission denied"):
        read("secret.wav")


def test_an_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    with pytest.raises(GmmAudioError, match=r"empty \(0 bytes\)"):
        read(path)


def test_a_text_file_named_wav_is_refused(tmp_path):
    path = tmp_path / "text.wav"
    path.write_text("these are not samples\n" * 40)
    with pytest.raises(GmmAudioError, match="cannot be read as audio"):
        read(path)


def test_an_unsupported_format_is_refused_with_the_way_to_convert_it(tmp_path):
    path = tmp_path / "speech.m4a"
    path.write_bytes(b"\x00\x00\x00\x20ftypM4A " + bytes(4_000))
    with pytest.raises(GmmAudioError, match=r"m4a.* ffmpeg -i"):
        read(path)


def test_a_raw_file_asks_for_its_format(tmp_path):
    path = tmp_path / "speech.raw"
    path.write_bytes(bytes(4_000))
    with pytest.raises(GmmAudioError, match="pcm_format"):
        read(path)


def test_an_audio_file_in_a_pipe_is_refused_with_the_way_to_send_it():
    read_end, write_end = os.pipe()
    with (
        os.fdopen(read_end, "rb") as pipe,
        os.fdopen(write_end, "wb"),
        pytest.raises(GmmAudioError, match=r"pipe.* -f s16le"),
    ):
        stream_blocks(pipe)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64", "RF64", "AU", "SVX"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_an_error_that_says_how_much_is_there(write, container, kept):
    path = write("cut.bin", chirp(), format=container, subtype="PCM_16")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(GmmAudioError, match=r"cut off: its header promises \d+ bytes and \d+ are there"):
        read(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99, 0.9999])
def test_a_truncated_nist_file_is_an_error_that_says_how_much_is_there(write, kept):
    path = write("cut.sph", chirp(), format="NIST", subtype="PCM_16")
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(GmmAudioError, match=r"cut off: its header promises 40000 samples and \d+ are there"):
        read(path)


@pytest.mark.parametrize(
    "options", [{"subtype": "VORBIS"}, {"subtype": "OPUS"}, {"format": "VOC"}], ids=["vorbis", "opus", "voc"]
)
@pytest.mark.parametrize("kept", [0.5, 0.9, 0.99])
def test_a_truncated_ogg_or_voc_file_is_an_error_that_says_where_it_ends(write, options, kept):
    path = write("cut.ogg", chirp(20.0), **{"format": "OGG"} | options)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(GmmAudioError, match=r"cut off: it ends after \d+\.\d\d s"):
        read(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_files_joined_end_to_end_are_not_shortened_silently(write, subtype):
    paths = [write(name, chirp(20.0), format="OGG", subtype=subtype) for name in ("joined.ogg", "other.ogg")]
    paths[0].write_bytes(b"".join(path.read_bytes() for path in paths))
    with pytest.warns(GmmAudioWarning, match=r"(49|50)% of the file unread"):
        read(paths[0])


@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_truncated_mp3_is_read_with_a_warning(write, kept):
    path = write("cut.mp3", chirp(20.0))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.warns(GmmAudioWarning, match=r"should last 20\.00 s but ends after \d+\.\d\d s"):
        read(path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_flac_is_an_error_that_says_where(write, kept):
    path = write("cut.flac", chirp())
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(GmmAudioError, match=r"damaged or cut off .*: decoding failed after \d\.\d\d s"):
        read(path)


def test_a_flac_damaged_in_the_middle_is_an_error(write):
    path = write("damaged.flac", chirp())
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2_000] = np.random.default_rng(0).bytes(2_000)
    path.write_bytes(data)
    with pytest.raises(GmmAudioError, match="damaged or cut off"):
        read(path)


def test_mp3_files_joined_end_to_end_are_not_shortened_silently(write):
    path = write("joined.mp3", chirp())
    path.write_bytes(path.read_bytes() * 2)
    with pytest.warns(GmmAudioWarning, match=r"5\d% of the file unread"):
        read(path)


def test_an_mp3_whose_length_is_guessed_too_short_is_not_shortened_silently(write):
    path = write("guessed.mp3", chirp())
    data = path.read_bytes()
    # Without its first frame, which holds the length, the decoder guesses it from the bit rate of the next one.
    path.write_bytes(data[data.index(data[:2], 4) :])
    with pytest.warns(GmmAudioWarning, match="of the file unread"):
        assert read(path)[0].size < chirp().size


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64"])
def test_a_valid_file_without_samples_is_an_error(write, container):
    with pytest.raises(GmmAudioError, match="holds no samples"):
        read(write("nothing.bin", np.zeros(0), format=container))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_named_by_their_place_in_the_file(write, value):
    signal = chirp()
    signal[20_000] = value
    with pytest.raises(GmmAudioError, match=f"value {value} at sample 20000"):
        read(write("broken.wav", signal, subtype="FLOAT"))


def test_a_channel_that_is_not_taken_may_hold_nan(write):
    samples = np.stack([chirp(), np.full_like(chirp(), np.nan)], axis=1)
    assert np.array_equal(read(write("half.wav", samples, subtype="FLOAT"), channel=0)[0], chirp())


@pytest.mark.parametrize("block_duration", [0.0, -1.0, float("nan")])
def test_a_block_duration_that_is_not_positive_is_refused(write, block_duration):
    with pytest.raises(ParameterError, match="block_duration"):
        stream_blocks(write("speech.wav", chirp()), block_duration=block_duration)


def test_a_target_rate_that_is_not_of_audio_is_refused(write):
    with pytest.raises(ParameterError, match="sample_rate is 16 but"):
        read(write("speech.wav", chirp()), sample_rate=16)


# Clipping


@pytest.mark.parametrize("duration", [0.5, 25.0])
def test_clipped_audio_is_read_with_one_warning(write, duration):
    path = write("clipped.wav", np.clip(4 * chirp(duration), -1, 1))
    with pytest.warns(GmmAudioWarning, match="clipped") as caught:
        signal, _ = read(path)
    assert len(caught) == 1
    assert signal.size == chirp(duration).size


def test_clipping_of_one_channel_is_seen_in_the_mix(write):
    samples = np.stack([np.clip(4 * chirp(), -1, 1), chirp()], axis=1)
    with pytest.warns(GmmAudioWarning, match="clipped"):
        read(write("clipped.wav", samples), channel="mix")


def test_a_recording_normalised_to_full_scale_is_not_called_clipped(write):
    read(write("normalised.wav", chirp() / np.abs(chirp()).max()))  # a warning would be an error


# As users run it


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_raw_samples_from_ffmpeg_on_standard_input_equal_the_file(write):
    path = write("speech.flac", chirp())
    program = (
        "import sys; from gmmaudio.audio import PcmFormat, read; "
        "sys.stdout.buffer.write(read(sys.stdin.buffer, pcm_format=PcmFormat(16000))[0].tobytes())"
    )
    with subprocess.Popen(
        ["ffmpeg", "-loglevel", "error", "-i", str(path), "-f", "s16le", "-"], stdout=subprocess.PIPE
    ) as ffmpeg:
        received = subprocess.run([sys.executable, "-c", program], stdin=ffmpeg.stdout, capture_output=True, check=True)
    assert np.array_equal(np.frombuffer(received.stdout, dtype=np.float32), read(path)[0])
