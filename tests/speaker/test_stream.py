import itertools

import numpy as np
import pytest
import soundfile
from features.streaming import cuttings
from hypothesis import given, settings
from hypothesis import strategies as st
from speaker.voices import NAMES, RATE, bundled, clips

from gmmaudio import audio
from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.features import FeaturePipeline, UtteranceCmvnConfig
from gmmaudio.gmm import GMM
from gmmaudio.speaker import UNKNOWN, SpeakerIdentifier

IDENTIFIER = bundled()
INT16 = soundfile.read(clips("test", "anna")[0], dtype="int16")[0][: 2 * RATE]
FLOAT32 = (INT16 / 32768).astype(np.float32)
CD_RATE = 44_100
AT_CD_RATE = audio.Resampler(RATE, CD_RATE).transform(FLOAT32)
SIGNALS = {"int16": (INT16, RATE), "float32": (FLOAT32, RATE), "resampled": (AT_CD_RATE, CD_RATE)}


def heard(stream, signal: np.ndarray, cuts, resume_after: int | None = None):
    """Return the result of a stream that is cut; after block `resume_after` a new one takes over the state."""
    for index, (start, stop) in enumerate(itertools.pairwise([0, *cuts, len(signal)])):
        stream.push(signal[start:stop])
        if index == resume_after:
            state, stream = stream.state_dict(), stream.fresh()
            stream.load_state(state)
    stream.flush()
    return stream.result


@pytest.mark.parametrize("identifier", [IDENTIFIER, bundled(32)], ids=["in full", "by top components"])
@pytest.mark.parametrize("kind", SIGNALS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_the_result_of_a_stream_has_the_bits_of_the_batch(kind, identifier, data):
    signal, rate = SIGNALS[kind]
    cuts, resume_after = data.draw(cuttings(len(signal))), data.draw(st.none() | st.integers(0, 12))
    result = heard(identifier.stream(sample_rate=rate), signal, cuts, resume_after)
    assert result == identifier.identify(signal, sample_rate=rate)


def test_a_stream_of_single_samples_has_the_bits_of_the_batch():
    signal = FLOAT32[:3200]
    assert heard(IDENTIFIER.stream(), signal, range(len(signal))) == IDENTIFIER.identify(signal, sample_rate=RATE)


def test_the_means_of_a_stream_end_at_the_ranking():
    stream = IDENTIFIER.stream()
    means = np.concatenate([stream.push(FLOAT32), stream.flush()])
    own = dict(stream.result.ranking)
    np.testing.assert_array_equal(means[-1, : len(NAMES)], [own[name] for name in NAMES])


def test_the_decision_so_far_is_there_before_the_end():
    stream = IDENTIFIER.stream()
    assert stream.result.decision == UNKNOWN
    stream.push(FLOAT32)
    assert stream.result.decision == "anna"


def test_the_result_stays_after_the_end_until_the_next_recording_begins():
    stream = IDENTIFIER.stream()
    first = heard(stream, FLOAT32, [])
    assert stream.result == first
    assert heard(stream, FLOAT32, []) == first


def test_a_recording_without_samples_after_another_has_no_speech():
    stream = IDENTIFIER.stream()
    heard(stream, FLOAT32, [])
    stream.flush()
    assert stream.result.ranking == ()


def test_a_fresh_stream_shares_the_models():
    stream = bundled(32).stream()
    other = stream.fresh()
    assert other._judge is stream._judge
    assert other._scorer._models is stream._scorer._models
    assert heard(other, FLOAT32, []) == heard(stream, FLOAT32, [])


def test_reset_forgets_what_was_heard():
    stream = IDENTIFIER.stream()
    stream.push(FLOAT32)
    stream.reset()
    assert stream.result.ranking == ()


def test_two_streams_do_not_hear_each_other():
    first, second = IDENTIFIER.stream(), IDENTIFIER.stream()
    first.push(FLOAT32)
    assert second.result.ranking == ()


def test_a_stream_has_its_own_false_accept_rate():
    low, high = (heard(IDENTIFIER.stream(false_accept_rate=rate), FLOAT32, []).threshold for rate in (0.2, 0.001))
    assert low < high


def test_the_effect_of_a_sound_comes_no_later_than_the_lookahead():
    stream = IDENTIFIER.stream()
    n_heard = len(stream.push(FLOAT32))
    with_more = np.concatenate([FLOAT32, np.zeros(stream.lookahead, np.float32)])
    again = IDENTIFIER.stream()
    assert len(again.push(with_more)) >= len(stream.flush()) + n_heard - 1  # the last frame may be cut short


def test_a_narrow_stream_is_warned_about():
    with pytest.warns(GmmAudioWarning, match="the stream has 8000 Hz but the model works at 16000 Hz"):
        IDENTIFIER.stream(sample_rate=8000)


@pytest.mark.parametrize("rate", [0, -1, 3.5])
def test_a_sample_rate_that_is_none_is_refused(rate):
    with pytest.raises(ParameterError, match="source_rate is"), pytest.warns(GmmAudioWarning, match="but the model"):
        IDENTIFIER.stream(sample_rate=rate)


def test_a_sample_that_is_not_a_number_is_refused():
    with pytest.raises(GmmAudioError, match="nan at sample 0"):
        IDENTIFIER.stream().push([np.nan])


def test_a_state_of_another_kind_is_refused():
    with pytest.raises(ParameterError, match="load it into the kind of stage"):
        IDENTIFIER.stream().load_state({"ended": False})


def test_a_pipeline_that_needs_the_whole_recording_identifies_it_but_refuses_to_stream():
    pipeline = FeaturePipeline(normalization=UtteranceCmvnConfig())
    frames = np.concatenate([pipeline.transform(soundfile.read(clip)[0]) for clip in clips("background")[:4]])
    identifier = SpeakerIdentifier.from_ubm(GMM(8, max_iter=2, tol=0.0, random_state=0).fit(frames).params_, pipeline)
    for name in NAMES[:2]:
        identifier.enroll(name, clips("enroll", name))
    assert identifier.identify(clips("test", "anna")[0]).ranking[0][0] == "anna"
    with pytest.raises(ParameterError, match="needs the whole recording"):
        identifier.stream().push(FLOAT32)
