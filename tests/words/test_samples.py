"""The bundled digits: people (of a kind) who were not heard in training."""

import csv
import warnings
from pathlib import Path

from gmmaudio.metrics import WordErrors, word_errors
from gmmaudio.words import WordRecognizer, word_loop

SAMPLES = Path(__file__).resolve().parents[2] / "audio_samples"
LEAST_RIGHT = 17  # of 20; 19 are, and another seed of the noise moves it by one
MOST_STRING_ERRORS = 6  # of 28 words; 1 is wrong


def rows(split: str) -> list[dict[str, str]]:
    with (SAMPLES / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def test_digits_of_other_voices_are_recognised_alone_and_in_strings():
    train = rows("word_train")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # six examples of each word
        recognizer = WordRecognizer().train([SAMPLES / row["path"] for row in train], [row["text"] for row in train])
    right = sum(recognizer.recognize(SAMPLES / row["path"]).text == row["text"] for row in rows("word_test"))
    assert right >= LEAST_RIGHT
    grammar, errors = word_loop(recognizer.words), WordErrors()
    for row in rows("string_test"):
        errors += word_errors(row["text"].split(), recognizer.recognize(SAMPLES / row["path"], grammar).words)
    assert errors.n_errors <= MOST_STRING_ERRORS
