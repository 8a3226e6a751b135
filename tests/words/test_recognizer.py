"""Training, recognition, alignment, adaptation, streams and files of the word recogniser."""

import warnings

import numpy as np
import pytest
from words.tones import PITCHES, RATE, recognizer, string, tone

from gmmaudio import GmmAudioError, ParameterError, load, save
from gmmaudio.errors import GmmAudioWarning
from gmmaudio.words import SILENCE, WordRecognizer, word_loop

SAID = ("low", "up", "high", "high")
TIME_ATOL = 0.08  # seconds: half of the shortest word; a steady tone does not say where its first state begins


@pytest.mark.parametrize("word", PITCHES)
def test_an_isolated_word_is_recognised(word):
    assert recognizer().recognize(tone(word, 100), sample_rate=RATE).words == (word,)


def test_silence_around_a_word_changes_nothing():
    assert recognizer().recognize(tone("up", 101, silence=0.4), sample_rate=RATE).words == ("up",)


def test_connected_words_of_unknown_number_are_recognised():
    assert recognizer().recognize(string(SAID, 200), word_loop(tuple(PITCHES)), sample_rate=RATE).words == SAID


def test_a_grammar_restricts_what_is_recognised():
    assert recognizer().recognize(tone("up", 102), "low | high", sample_rate=RATE).words != ("up",)


def test_alternatives_differ_and_come_best_first():
    result = recognizer().recognize(tone("up", 103), n_best=3, sample_rate=RATE)
    assert len({sentence.words for sentence in result.sentences}) == 3
    scores = [sentence.log_likelihood for sentence in result.sentences]
    assert result.sentences[0].words == result.words
    assert scores == sorted(scores, reverse=True)


def test_what_is_no_word_is_rejected_on_request():
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2)
    assert recognizer().recognize(noise, reject=True, sample_rate=RATE).words == ()


def test_a_word_is_not_rejected():
    assert recognizer().recognize(tone("low", 104), reject=True, sample_rate=RATE).words == ("low",)


@pytest.mark.parametrize("n_samples", [0, 1, 300])
def test_a_recording_too_short_for_any_word_has_no_words(n_samples):
    result = recognizer().recognize(np.zeros(n_samples), sample_rate=RATE)
    assert result.words == ()
    assert result.to_dict()["log_likelihood"] is None


def test_another_sample_rate_is_converted():
    doubled = np.repeat(tone("low", 105), 2)
    assert recognizer().recognize(doubled, sample_rate=2 * RATE).words == ("low",)


def test_an_alignment_says_when_each_word_is_said():
    found = recognizer().align(string(("low", "up"), 300), ("low", "up"), sample_rate=RATE)
    lengths = [len(tone("low", 300)) / RATE, len(tone("up", 301)) / RATE]
    expected = [(0.1, 0.1 + lengths[0]), (0.2 + lengths[0], 0.2 + sum(lengths))]
    times = [(part.start, part.end) for part in found.words if part.label != SILENCE]
    np.testing.assert_allclose(times, expected, rtol=0, atol=TIME_ATOL)


def test_aligning_more_words_than_fit_is_an_error():
    with pytest.raises(GmmAudioError, match=r"need at least \d+ frames"):
        recognizer().align(tone("low", 106), ("low",) * 9, sample_rate=RATE)


@pytest.mark.parametrize("n_samples", [37, 800, 100_000])
def test_a_stream_recognises_what_the_whole_recording_gives(n_samples):
    grammar, signal = word_loop(tuple(PITCHES)), string(SAID, 400)
    stream = recognizer().stream(RATE, grammar)
    for start in range(0, len(signal), n_samples):
        stream.push(signal[start : start + n_samples])
    stream.flush()
    whole = recognizer().recognize(signal, grammar, sample_rate=RATE)
    assert stream.result.words == whole.words
    assert stream.result.log_likelihood == whole.log_likelihood
    assert [(p.label, p.start, p.end) for p in stream.result.alignment.words] == [
        (p.label, p.start, p.end) for p in whole.alignment.words
    ]


def test_a_word_is_in_the_live_result_within_300_ms_of_its_end():
    stream = recognizer().stream(RATE, word_loop(tuple(PITCHES)))
    stream.push(np.concatenate([tone("up", 107), np.zeros(round(0.3 * RATE))]))
    assert stream.result.words == ("up",)


def test_a_stream_goes_on_from_its_saved_state():
    signal, grammar = string(SAID, 500), word_loop(tuple(PITCHES))
    first, second = recognizer().stream(RATE, grammar), recognizer().stream(RATE, grammar)
    first.push(signal[:5000])
    second.load_state(first.state_dict())
    for stream in (first, second):
        stream.push(signal[5000:])
        stream.flush()
    assert first.result == second.result


def shifted(signal: np.ndarray, amount: float) -> np.ndarray:
    """Recorded through another microphone: a strong tilt of the spectrum."""
    return np.append(signal[:1], signal[1:] - amount * signal[:-1]).astype(np.float32)


def test_adaptation_makes_recordings_of_the_speaker_more_probable():
    own = [shifted(tone(word, 600 + n), 0.9) for n, word in enumerate(PITCHES)]
    adapted = recognizer().adapt(own, sample_rate=RATE)
    before, after = (sum(r.recognize(x, sample_rate=RATE).log_likelihood for x in own) for r in (recognizer(), adapted))
    assert after > before


def test_adaptation_leaves_the_recogniser_as_it_was():
    recognizer().adapt([tone("low", 601)], sample_rate=RATE)
    assert recognizer().transform is None


def test_adaptation_to_silence_changes_nothing_that_is_recognised():
    adapted = recognizer().adapt([np.zeros(10)], sample_rate=RATE)
    np.testing.assert_allclose(adapted.transform.matrix, np.eye(39), atol=1e-8)  # the prior alone


def test_a_file_holds_all_of_an_adapted_recogniser(tmp_path):
    adapted = recognizer().adapt([tone("low", 602), tone("up", 603)], sample_rate=RATE)
    save(adapted, tmp_path / "m.gmm")
    loaded = load(tmp_path / "m.gmm", kind="word_recognizer")
    signal = tone("high", 108)
    assert loaded.words == adapted.words
    assert loaded.recognize(signal, sample_rate=RATE) == adapted.recognize(signal, sample_rate=RATE)


def test_training_again_gives_the_same_model():
    words = ["low"] * 5 + ["up"] * 5
    recordings = [tone(word, n) for n, word in enumerate(words)]
    first, second = (WordRecognizer().train(recordings, words, sample_rate=RATE) for _ in range(2))
    assert np.array_equal(first.models["up"].emissions.pool.means, second.models["up"].emissions.pool.means)


def test_few_examples_are_one_warning_that_names_the_words():
    words = ["low"] * 5 + ["up"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trained = WordRecognizer().train([tone(w, n) for n, w in enumerate(words)], words, sample_rate=RATE)
    assert [(w.category, "'up' (1)" in str(w.message)) for w in caught] == [(GmmAudioWarning, True)]
    assert trained.recognize(tone("up", 5), sample_rate=RATE).words == ("up",)


def test_too_short_a_training_recording_is_an_error_that_names_it():
    with pytest.raises(GmmAudioError, match=r"recording 1 of the word .up. has 0\.001 s"):
        WordRecognizer().train([tone("low", 0), np.zeros(10)], ["low", "up"], sample_rate=RATE)


@pytest.mark.parametrize(
    ("words", "message"),
    [(["low"], "give one word for each"), (["low", " "], "a word is empty"), (["low", SILENCE], "reserved")],
)
def test_words_that_cannot_be_used_are_refused(words, message):
    with pytest.raises(ParameterError, match=message):
        WordRecognizer().train([tone("low", 0), tone("up", 1)], words, sample_rate=RATE)


def test_an_untrained_recogniser_says_what_to_do():
    with pytest.raises(ParameterError, match="call train"):
        WordRecognizer().recognize(tone("low", 0), sample_rate=RATE)


def test_an_unknown_word_in_a_grammar_is_refused():
    with pytest.raises(ParameterError, match="eleven"):
        recognizer().recognize(tone("low", 0), "low | eleven", sample_rate=RATE)


def test_an_array_without_its_sample_rate_is_refused():
    with pytest.raises(ParameterError, match="without its sample rate"):
        recognizer().recognize(tone("low", 0))
