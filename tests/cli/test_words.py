"""`gmmaudio words`, as a user runs it."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from words.tones import PITCHES, RATE, recognizer, string, tone

from gmmaudio import save


@pytest.fixture(scope="session")
def trained_words(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("words") / "words.gmm"
    save(recognizer(), path)
    return path


@pytest.fixture
def clip(tmp_path) -> Path:
    """A word in a file."""
    path = tmp_path / "up.wav"
    soundfile.write(path, tone("up", 700), RATE)
    return path


@pytest.fixture
def sentence(tmp_path) -> Path:
    """Three words in a file."""
    path = tmp_path / "three.wav"
    soundfile.write(path, string(("low", "up", "high"), 800), RATE)
    return path


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_train_takes_a_folder_of_folders(run, tmp_path, clip):
    for word in PITCHES:
        (tmp_path / "data" / word).mkdir(parents=True)
        for n in range(5):
            soundfile.write(tmp_path / "data" / word / f"{n}.wav", tone(word, n), RATE)
    ran = run("words", "train", tmp_path / "data", "-o", tmp_path / "m.gmm")
    assert (ran.code, ran.err.strip()) == (0, f"{tmp_path / 'm.gmm'}: 3 words from 15 recordings")
    assert json.loads(run("words", "recognize", tmp_path / "m.gmm", clip, "--json").out)["text"] == "up"


def test_train_takes_a_list_and_warns_once_of_few_examples(run, tmp_path, clip):
    other = tmp_path / "low.wav"
    soundfile.write(other, tone("low", 1), RATE)
    (tmp_path / "list.txt").write_text(f"{clip}\tup\n{other}\tlow\n")
    ran = run("words", "train", "--list", tmp_path / "list.txt", "-o", tmp_path / "m.gmm")
    assert ran.code == 0
    assert [line for line in ran.err.splitlines() if "warning" in line] == [
        line for line in ran.err.splitlines() if "fewer than 5 recordings of 'low' (1), 'up' (1)" in line
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/nothing"], "is not a folder"),
        (["{tmp}"], "has no folders with recordings"),
        ([], "no recordings were given"),
        (["--list", "{tmp}/list.txt"], "does not say which word"),
    ],
)
def test_train_says_what_is_missing(run, tmp_path, arguments, message):
    (tmp_path / "list.txt").write_text("a.wav\n")
    ran = run("words", "train", *(a.format(tmp=tmp_path) for a in arguments), "-o", tmp_path / "m.gmm")
    assert ran.code == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1


def test_train_reports_an_unreadable_file_and_writes_no_model(run, tmp_path):
    (tmp_path / "data" / "up").mkdir(parents=True)
    (tmp_path / "data" / "up" / "a.wav").write_bytes(b"")
    ran = run("words", "train", tmp_path / "data", "-o", tmp_path / "m.gmm")
    assert ran.code == 2
    assert "is empty" in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not (tmp_path / "m.gmm").exists()


def test_recognize_goes_on_after_a_file_that_cannot_be_read(run, trained_words, clip):
    ran = run("words", "recognize", trained_words, "none.wav", clip, "--json")
    assert ran.code == 2
    assert "no file none.wav" in ran.err
    assert [line["text"] for line in lines(ran.out)] == ["up"]


def test_recognize_prints_a_table(run, trained_words, clip):
    ran = run("words", "recognize", trained_words, clip, "--n-best", "2")
    assert ran.code == 0
    assert "other answers" in ran.out
    assert " up " in ran.out


def test_recognize_connected_words_and_write_their_times(run, trained_words, sentence, tmp_path):
    ran = run("words", "recognize", trained_words, sentence, "--connected", "--json", "-o", tmp_path / "out.ctm")
    assert lines(ran.out)[0]["text"] == "low up high"
    assert [line.split()[4] for line in (tmp_path / "out.ctm").read_text().splitlines()] == ["low", "up", "high"]


def test_recognize_under_a_grammar(run, trained_words, sentence, tmp_path):
    (tmp_path / "g.jsgf").write_text("public <s> = low up (low | high);")
    ran = run("words", "recognize", trained_words, sentence, "--grammar", tmp_path / "g.jsgf", "--json")
    assert lines(ran.out)[0]["text"] == "low up high"


def test_a_grammar_with_an_unknown_word_is_one_error_that_names_file_and_place(run, trained_words, clip, tmp_path):
    (tmp_path / "g.jsgf").write_text("low | eleven")
    ran = run("words", "recognize", trained_words, clip, "--grammar", tmp_path / "g.jsgf")
    assert ran.code == 2
    assert "g.jsgf" in ran.err
    assert "'eleven'" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_live_prints_words_as_they_are_said_and_ends_with_what_the_file_gives(
    run, trained_words, sentence, monkeypatch, tmp_path
):
    raw = (soundfile.read(sentence, dtype="int16")[0]).tobytes()
    (tmp_path / "raw").write_bytes(raw)
    with (tmp_path / "raw").open("rb") as file:
        monkeypatch.setattr("sys.stdin", type("Input", (), {"buffer": file}))
        ran = run("words", "recognize", trained_words, "-", "--live", "--pcm-rate", RATE)
    heard = lines(ran.out)
    assert heard[-1]["is_final"]
    assert heard[-1]["text"] == "low up high"
    assert [line["is_final"] for line in heard[:-1]] == [False] * (len(heard) - 1)
    assert len(heard) > 3
    whole = lines(run("words", "recognize", trained_words, sentence, "--connected", "--json").out)[0]
    np.testing.assert_allclose(heard[-1]["log_likelihood"], whole["log_likelihood"], rtol=1e-12)


def test_live_is_for_standard_input_only(run, trained_words, clip):
    ran = run("words", "recognize", trained_words, clip, "--live")
    assert (ran.code, "standard input" in ran.err) == (2, True)


def test_align_writes_a_textgrid_with_states(run, trained_words, sentence, tmp_path):
    ran = run(
        "words", "align", trained_words, sentence, "--words", "low up high", "--states", "-o", tmp_path / "a.TextGrid"
    )
    assert ran.code == 0
    text = (tmp_path / "a.TextGrid").read_text()
    assert 'name = "states"' in text
    assert text.index('"low"') < text.index('"up"') < text.index('"high"')


def test_align_of_an_unknown_word_is_one_error(run, trained_words, sentence):
    ran = run("words", "align", trained_words, sentence, "--words", "low eleven")
    assert ran.code == 2
    assert "'eleven'" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_align_without_words_says_so(run, trained_words, clip):
    assert "it is not known what is said" in run("words", "align", trained_words, clip).err


def test_an_output_of_unknown_format_is_refused_before_any_work(run, trained_words, clip, tmp_path):
    ran = run("words", "recognize", trained_words, clip, "-o", tmp_path / "a.txt")
    assert ran.code == 2
    assert ".TextGrid, .ctm, .json" in ran.err


def test_adapt_writes_a_model_that_recognises(run, trained_words, clip, tmp_path):
    assert run("words", "adapt", trained_words, clip, "-o", tmp_path / "own.gmm").code == 0
    assert lines(run("words", "recognize", tmp_path / "own.gmm", clip, "--json").out)[0]["text"] == "up"


def test_a_model_of_another_kind_is_refused(run, model, clip):
    ran = run("words", "recognize", model, clip)
    assert ran.code == 2
    assert "'word_recognizer' is needed" in ran.err
