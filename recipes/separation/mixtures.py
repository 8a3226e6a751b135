"""What the recipe trains on and mixes: real digits, two talkers, speech in noise, the bundled voices (see README.md).

Each reader has a second set of mixtures, for development: of recordings that the reported mixtures are not made of.
"""

import csv
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gmmaudio import audio

Mixture = dict[str, np.ndarray]
RATE = 16000
LONGEST = 5 * RATE  # samples of a development mixture


@dataclass
class Task:
    """Recordings of sources alone, and mixtures as the sources that are added up."""

    title: str
    sample_rate: int
    training: dict[str, list[np.ndarray]]
    mixtures: dict[str, list[Mixture]]


def level(signal: np.ndarray) -> np.ndarray:
    """Return a signal with a mean square of −20 dB."""
    return (0.1 * signal / np.sqrt(np.mean(np.square(signal, dtype=np.float64)))).astype(np.float32)


def mixed(first: np.ndarray, second: np.ndarray, ratio_db: float) -> list[np.ndarray]:
    """Return two sources cut to the shorter, the second so many dB louder than the first."""
    length = min(len(first), len(second))
    return [level(first[:length]), level(second[:length]) * np.float32(10 ** (ratio_db / 20))]


def pair_up(sources: dict[str, np.ndarray], pairs: Iterable[tuple[str, str]]) -> list[Mixture]:
    """Return the mixture of each pair, both as loud."""
    both = [(pair, mixed(sources[pair[0]], sources[pair[1]], 0.0)) for pair in pairs]
    return [dict(zip(pair, signals, strict=True)) for pair, signals in both]


def read_fsdd(folder: Path, *, develop: bool) -> Task:
    """Read FSDD: takes 5 to 49 train, strings of seven digits of takes 0 to 4 are mixed, 30 at each ratio.

    For development takes 5 to 39 train, and 15 strings of takes 40 to 49 are mixed.
    """
    takes: dict[tuple[str, str, int], np.ndarray] = {}
    for path in sorted((folder / "recordings").glob("*.wav")):
        digit, name, take = path.stem.split("_")
        takes[digit, name, int(take)] = audio.read(path)[0]
    names = sorted({name for _, name, _ in takes})
    heard, unheard = (range(5, 40), range(40, 50)) if develop else (range(5, 50), range(5))
    training = {name: [x for (_, own, take), x in takes.items() if own == name and take in heard] for name in names}

    def string(name: str, rng: np.random.Generator) -> np.ndarray:
        return np.concatenate(
            [takes[str(rng.integers(10)), name, unheard[int(rng.integers(len(unheard)))]] for _ in range(7)]
        )

    mixtures = {}
    for ratio_db in (0,) if develop else (0, 9, -9):
        rng, pairs = np.random.default_rng(int(develop)), list(itertools.combinations(names, 2)) * (1 if develop else 2)
        sources = [mixed(string(one, rng), string(other, rng), ratio_db) for one, other in pairs]
        title = f"second speaker {ratio_db:+d} dB"
        mixtures[title] = [dict(zip(pair, two, strict=True)) for pair, two in zip(pairs, sources, strict=True)]
    return Task("FSDD", 8000, training, mixtures)


def read_utterances(folder: Path, name: str, numbers: range) -> list[np.ndarray]:
    """Read utterances of a talker of LibriSpeech."""
    files = [file for file in sorted((folder / "eval10" / name).glob("*.wav")) if int(file.stem[-4:]) in numbers]
    return [audio.read(file, sample_rate=RATE)[0] for file in files]


def read_noises(folder: Path, name: str) -> list[np.ndarray]:
    """Read the training clips of a kind of noise."""
    files = sorted((folder / "speech_noise" / "train_noise" / name).iterdir())
    return [audio.read(file, sample_rate=RATE)[0] for file in files]


def read_mixtures(folder: Path, librispeech: Path) -> Iterator[Task]:
    """Read two talkers, then speech in noise, with models of utterances 0000 to 0006 and of other noise clips."""
    rows = list(csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()))
    for kind in ("speech_speech", "speech_noise"):
        training: dict[str, list[np.ndarray]] = {}
        mixtures = []
        for row in (row for row in rows if row["kind"] == kind):
            second = row["source2"].split("-")[0] if kind == "speech_speech" else row["name"]
            mixture = {}
            for number, name in enumerate((row["source1"].split("-")[0], second), start=1):
                clips = read_utterances(librispeech, name, range(7)) or read_noises(folder, name)
                training.setdefault(name, clips)
                mixture[name] = audio.read(folder / kind / f"{row['name']}_s{number}.wav")[0]
            mixtures.append(mixture)
        yield Task(kind, RATE, training, {"0 dB": mixtures})


def develop_mixtures(folder: Path, librispeech: Path) -> Iterator[Task]:
    """Mix utterances 0006, two talkers or one with a training clip of a noise; what is mixed does not train."""
    names = sorted(path.name for path in (librispeech / "eval10").iterdir())
    spoken = {name: read_utterances(librispeech, name, range(6)) for name in names}
    unheard = {name: read_utterances(librispeech, name, range(6, 7))[0][:LONGEST] for name in names}
    pairs = list(itertools.combinations(names, 2))[::3]
    yield Task("speech_speech", RATE, spoken, {"0 dB": pair_up(unheard, pairs)})

    training, pairs = dict(spoken), []
    for kind, noise in enumerate(sorted(path.name for path in (folder / "speech_noise" / "train_noise").iterdir())):
        clips = read_noises(folder, noise)
        for left_out, clip in enumerate(clips):
            name = f"{noise} without clip {left_out}"
            training[name], unheard[name] = [other for other in clips if other is not clip], clip
            pairs += [(names[(3 * kind + 4 * left_out + 4 * talker) % len(names)], name) for talker in range(3)]
    yield Task("speech_noise", RATE, training, {"0 dB": pair_up(unheard, pairs)})


def read_bundled(folder: Path, *, develop: bool) -> Task:
    """Mix the bundled voices: the clips of session 1 train, a test clip of the same session is mixed with another's.

    For development one of the clips of session 1 is mixed and the other ones train, for two of them.
    """
    clips: dict[str, list[np.ndarray]] = {}
    tests: dict[str, np.ndarray] = {}
    for row in csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()):
        if row["split"] == "enroll":
            clips.setdefault(row["voice"], []).append(audio.read(folder / row["path"])[0])
        elif row["split"] == "test" and row["session"] == "1":
            tests[row["voice"]] = audio.read(folder / row["path"])[0]
    pairs = list(itertools.combinations(tests, 2))[::2]
    if not develop:
        return Task("bundled voices", RATE, clips, {"0 dB": pair_up(tests, pairs)})
    training, unheard = {}, {}
    for voice, own in clips.items():
        for left_out in (0, 2):
            name = f"{voice} without clip {left_out}"
            training[name], unheard[name] = own[:left_out] + own[left_out + 1 :], own[left_out]
    folds = [tuple(f"{voice} without clip {left_out}" for voice in pair) for left_out in (0, 2) for pair in pairs]
    return Task("bundled voices", RATE, training, {"0 dB": pair_up(unheard, folds)})
