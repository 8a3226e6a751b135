import numpy as np
import pytest
import soundfile
from speaker.voices import clips

from gmmaudio import audio
from gmmaudio.errors import GmmAudioWarning, ParameterError
from gmmaudio.features import FeaturePipeline, Features, UtteranceCmvnConfig
from gmmaudio.speaker import speaker_pipeline
from gmmaudio.speaker.recordings import RecordingReader, as_list, common_rate, default_pipeline

CLIP = clips("test", "anna")[0]
SIGNAL = soundfile.read(CLIP, dtype="float32")[0]


def reader(pipeline: FeaturePipeline) -> RecordingReader:
    return RecordingReader(pipeline, sample_rate=16000, channel=None)


def test_frames_of_a_file_are_those_of_the_pipeline():
    pipeline = speaker_pipeline(16000)
    np.testing.assert_array_equal(reader(pipeline).frames(CLIP), pipeline.transform(SIGNAL))


def test_a_pipeline_that_needs_the_whole_recording_gets_it():
    pipeline = FeaturePipeline(normalization=UtteranceCmvnConfig())
    np.testing.assert_array_equal(reader(pipeline).frames(CLIP), pipeline.transform(SIGNAL))


def test_frames_do_not_depend_on_the_recording_level():
    pipeline = speaker_pipeline(16000)
    # Only the floor of the log energies is absolute.
    np.testing.assert_allclose(pipeline.transform(SIGNAL / 2), pipeline.transform(SIGNAL), atol=1e-2, rtol=0)


def test_the_models_own_stream_is_not_touched_by_reading():
    pipeline = speaker_pipeline(16000)
    first = pipeline.push(SIGNAL[:20_000])
    reader(pipeline).frames(CLIP)
    rest = [pipeline.push(SIGNAL[20_000:]), pipeline.flush()]
    np.testing.assert_array_equal(np.concatenate([first, *rest]), pipeline.transform(SIGNAL))


def test_a_narrow_stream_is_warned_about():
    stream = audio.AudioStream(iter([SIGNAL]), 16000, source_rate=8000)
    with pytest.warns(GmmAudioWarning, match="the stream has 8000 Hz but the model works at 16000 Hz"):
        reader(speaker_pipeline(16000)).frames(stream)


def test_a_clipped_array_is_warned_about_as_a_clipped_file_is(tmp_path):
    clipped = np.clip(8 * SIGNAL / np.abs(SIGNAL).max(), -1, 1)
    soundfile.write(tmp_path / "clipped.wav", clipped, 16000)
    for recording, name in [(clipped, "the array of samples"), (tmp_path / "clipped.wav", "clipped.wav")]:
        with pytest.warns(GmmAudioWarning, match=f"{name} is clipped: .* of its samples"):
            reader(speaker_pipeline(16000)).frames(recording)


@pytest.mark.parametrize(("rates", "expected"), [([16000, 44100], 16000), ([48000, 8000], 8000), ([11025], 8000)])
def test_the_common_rate_is_wide_band_if_every_file_bears_it(rates, expected, tmp_path):
    paths = [tmp_path / f"{rate}.wav" for rate in rates]
    for path, rate in zip(paths, rates, strict=True):
        soundfile.write(path, np.zeros(100), rate)
    assert common_rate(paths, sample_rate=None, channel=None) == expected


def test_the_rate_of_arrays_counts():
    assert common_rate([SIGNAL], sample_rate=8000, channel=None) == 8000


def test_features_decide_what_the_pipeline_of_a_new_model_is():
    pipeline = FeaturePipeline(sample_rate=8000)
    features = Features(pipeline.transform(SIGNAL), pipeline.config)
    assert default_pipeline([CLIP, features], sample_rate=None, channel=None).config == pipeline.config
    assert default_pipeline([CLIP], sample_rate=None, channel=None).config == speaker_pipeline(16000).config


@pytest.mark.parametrize("one", ["a.wav", CLIP, SIGNAL])
def test_one_recording_is_a_list_of_one(one):
    assert as_list(one)[0] is one


def test_no_recordings_are_refused():
    with pytest.raises(ParameterError, match="no recordings were given"):
        as_list(iter([]))
