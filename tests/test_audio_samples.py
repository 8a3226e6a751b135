"""The bundled clips are what their manifest, checksums and README say."""

import csv
import hashlib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile

FOLDER = Path(__file__).resolve().parents[1] / "audio_samples"
SAMPLE_RATE = 16000
MAX_BYTES = 6_000_000
MIN_ENROLL_SECONDS = 10.0
SECONDS_ATOL = 0.0051  # the manifest gives hundredths


def read_manifest() -> list[dict[str, str]]:
    with (FOLDER / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_checksums() -> dict[str, str]:
    lines = (FOLDER / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ") for line in lines)}


MANIFEST = read_manifest()
PATHS = [row["path"] for row in MANIFEST]


def of_split(split: str) -> list[dict[str, str]]:
    return [row for row in MANIFEST if row["split"] == split]


def test_manifest_checksums_and_folder_name_the_same_clips():
    on_disk = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.flac"))
    assert on_disk == sorted(PATHS) == sorted(read_checksums())


def test_every_clip_has_its_recorded_sha256():
    assert {path: hashlib.sha256((FOLDER / path).read_bytes()).hexdigest() for path in PATHS} == read_checksums()


def test_folder_is_under_six_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < MAX_BYTES


def test_every_clip_is_16_khz_mono_16_bit():
    formats = {
        (info.samplerate, info.channels, info.subtype) for info in map(soundfile.info, map(FOLDER.joinpath, PATHS))
    }
    assert formats == {(SAMPLE_RATE, 1, "PCM_16")}


def test_every_clip_decodes_to_its_recorded_length():
    seconds = [len(soundfile.read(FOLDER / path)[0]) / SAMPLE_RATE for path in PATHS]
    np.testing.assert_allclose(seconds, [float(row["seconds"]) for row in MANIFEST], rtol=0, atol=SECONDS_ATOL)


@pytest.mark.parametrize(
    ("split", "number_of_voices"),
    [("enroll", 8), ("test", 8), ("unknown", 2), ("background", 22), ("word_train", 6), ("word_test", 2)],
)
def test_split_has_its_number_of_voices(split, number_of_voices):
    assert len({row["voice"] for row in of_split(split)}) == number_of_voices


def test_enrolled_unknown_and_background_voices_are_different_voices():
    groups = [{row["voice"] for row in of_split(split)} for split in ("enroll", "unknown", "background")]
    assert all(first.isdisjoint(second) for first, second in combinations(groups, 2))


def test_no_voice_of_the_words_is_in_training_and_test():
    groups = [{row["voice"] for row in of_split(split)} for split in ("word_train", "word_test")]
    assert groups[0].isdisjoint(groups[1])


def test_no_sentence_is_shared_between_background_enrolment_and_test():
    tests = of_split("test") + of_split("unknown")
    pools = [{row["text"] for row in rows} for rows in (of_split("background"), of_split("enroll"), tests)]
    assert all(first.isdisjoint(second) for first, second in combinations(pools, 2))


def test_every_enrolled_voice_has_ten_seconds_of_enrolment():
    seconds = {row["voice"]: 0.0 for row in of_split("enroll")}
    for row in of_split("enroll"):
        seconds[row["voice"]] += float(row["seconds"])
    assert min(seconds.values()) >= MIN_ENROLL_SECONDS


def long_term_spectrum(voice: str, takes: tuple[str, ...]) -> np.ndarray:
    """Return the level of the voice in dB over frequency, relative to its mean level."""
    clips = [soundfile.read(FOLDER / voice / f"enroll_{take}.flac")[0] for take in takes]
    level_db = 10 * np.log10(scipy.signal.welch(np.concatenate(clips), SAMPLE_RATE, nperseg=512)[1])
    return level_db - level_db.mean()


def test_every_voice_is_nearer_to_itself_in_other_sentences_than_to_any_other_voice():
    voices = sorted({row["voice"] for row in of_split("enroll")})
    first = np.array([long_term_spectrum(voice, ("01", "02")) for voice in voices])
    second = np.array([long_term_spectrum(voice, ("03", "04")) for voice in voices])
    distances = np.linalg.norm(first[:, np.newaxis] - second, axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), np.arange(len(voices)))
