"""Isolated words, people who were not heard in training, connected words and a live stream, beside the usual baseline.

    python recipes/words/run.py [--fsdd FOLDER] [--out FOLDER]

Without a folder of data it runs on the bundled synthetic voices. What to expect stands in README.md.
"""

import argparse
import csv
import logging
import resource
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hmmlearn.hmm
import librosa
import numpy as np
from rich.console import Console
from rich.table import Table

from gmmaudio import audio
from gmmaudio.metrics import WordErrors, proportion_interval, word_error_rate_interval, word_errors
from gmmaudio.plotting import plot_confusion
from gmmaudio.words import Alignment, Interval, WordRecognizer, word_loop

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LIVE_BLOCK = 0.05  # seconds
CONSOLE = Console(width=130)


@dataclass(frozen=True)
class Clip:
    """A recording, who speaks, and what; for strings also when each word ends, in seconds."""

    signal: np.ndarray
    speaker: str
    words: tuple[str, ...]
    word_ends: tuple[float, ...] = ()


@dataclass
class Data:
    """The recordings of a data set, all at one sample rate."""

    sample_rate: int
    train: list[Clip] = field(default_factory=list)
    test: list[Clip] = field(default_factory=list)
    strings: list[Clip] = field(default_factory=list)


def read_bundled(folder: Path) -> Data:
    """Read the synthetic digits: six voices to train with, two others to test."""
    data = Data(16000)
    parts = {"word_train": data.train, "word_test": data.test, "string_test": data.strings}
    for row in csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()):
        if row["split"] in parts:
            signal, _ = audio.read(folder / row["path"], sample_rate=data.sample_rate)
            parts[row["split"]].append(Clip(signal, row["voice"], tuple(row["text"].split())))
    return data


def read_fsdd(folder: Path) -> Data:
    """Read FSDD in its official split, takes 0 to 4 for the test, and the strings that are to be joined from those."""
    data, by_name = Data(8000), {}
    for path in sorted((folder / "recordings").glob("*.wav")):
        digit, speaker, take = path.stem.split("_")
        clip = by_name[path.name] = Clip(audio.read(path)[0], speaker, (DIGITS[int(digit)],))
        (data.test if int(take) < 5 else data.train).append(clip)
    table = folder / "digit_strings_test.csv"
    rows = csv.DictReader(table.read_text(encoding="utf-8").splitlines()) if table.exists() else ()
    for row in rows:
        clips = [by_name[name] for name in row["files_in_order"].split()]
        gaps = [int(n) for n in row["gap_samples_before_each_and_after_last"].split()]
        data.strings.append(_joined(clips, gaps, data.sample_rate))
    return data


def _joined(clips: list[Clip], gaps: list[int], sample_rate: int) -> Clip:
    """Return clips as one, with digital silence before each and after the last."""
    parts = [np.zeros(gaps[0], np.float32)]
    for clip, gap in zip(clips, gaps[1:], strict=True):
        parts += [clip.signal, np.zeros(gap, np.float32)]
    ends = np.cumsum([len(part) for part in parts])[1::2] / sample_rate
    words = tuple(word for clip in clips for word in clip.words)
    return Clip(np.concatenate(parts), clips[0].speaker, words, tuple(ends))


def train(clips: Sequence[Clip], sample_rate: int) -> WordRecognizer:
    """Train a recogniser at its default settings."""
    return WordRecognizer().train([c.signal for c in clips], [c.words[0] for c in clips], sample_rate=sample_rate)


class Baseline:
    """What everybody tries first: hmmlearn's GMMHMM, 8 states left to right, on normalised MFCCs of librosa."""

    def __init__(self, clips: Sequence[Clip], sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.models = {}
        for word in dict.fromkeys(clip.words[0] for clip in clips):
            frames = [self.frames(clip) for clip in clips if clip.words[0] == word]
            frames = [own for own in frames if len(own) >= 8]
            model = hmmlearn.hmm.GMMHMM(8, 3, n_iter=10, init_params="mcw", params="tmcw", random_state=0)
            model.startprob_ = np.eye(8)[0]
            model.transmat_ = 0.5 * (np.eye(8) + np.eye(8, k=1))
            model.transmat_[-1, -1] = 1.0
            self.models[word] = model.fit(np.concatenate(frames), [len(own) for own in frames])

    def frames(self, clip: Clip) -> np.ndarray:
        """Return 13 MFCCs and their deltas, with mean 0 and variance 1 in each recording."""
        hop, window = self.sample_rate // 100, self.sample_rate // 40
        mfcc = librosa.feature.mfcc(y=clip.signal, sr=self.sample_rate, n_mfcc=13, n_fft=window, hop_length=hop)
        both = np.vstack([mfcc, librosa.feature.delta(mfcc, mode="nearest")]).T
        return (both - both.mean(axis=0)) / (both.std(axis=0) + 1e-8)

    def __call__(self, clip: Clip) -> str:
        """Return the word whose model gives the clip the highest likelihood."""
        frames = self.frames(clip)
        return max(self.models, key=lambda word: self._score(word, frames))

    def _score(self, word: str, frames: np.ndarray) -> float:
        """Return a log-likelihood, the lowest where the fit has ended in NaN, as it does on few examples."""
        try:
            score = self.models[word].score(frames)
        except ValueError:
            return -np.inf
        return -np.inf if np.isnan(score) else score


def words_of(recognizer: WordRecognizer, sample_rate: int) -> Callable[[Clip], str]:
    """Return what the recogniser says of one clip."""
    return lambda clip: recognizer.recognize(clip.signal, sample_rate=sample_rate).text


def right(recognize: Callable[[Clip], str], clips: Sequence[Clip]) -> np.ndarray:
    """Return which clips are recognised."""
    return np.array([recognize(clip) == clip.words[0] for clip in clips])


def shown(is_right: np.ndarray) -> str:
    """Return a share of right answers with its interval."""
    count, total = int(is_right.sum()), len(is_right)
    low, high = proportion_interval(count, total)
    return f"{count / total:.1%} ({count}/{total}) [{low:.1%}, {high:.1%}]"


def print_isolated(title: str, data: Data, recognizer: WordRecognizer, out: Path) -> None:
    """Print the accuracy on isolated words beside the baseline's, and the speed; draw the confusions."""
    recognize, baseline = words_of(recognizer, data.sample_rate), Baseline(data.train, data.sample_rate)
    recognize(data.test[0])
    started = time.process_time()
    answers = [recognize(clip) for clip in data.test]
    speed = sum(len(clip.signal) for clip in data.test) / data.sample_rate / (time.process_time() - started)
    table = Table("system", "right", title=f"{title}: isolated words")
    table.add_row("gmmaudio", shown(np.array([clip.words[0] for clip in data.test]) == answers))
    table.add_row("baseline", shown(right(baseline, data.test)))
    CONSOLE.print(table, f"recognition: {speed:.0f} times real time on one core\n")
    counts = [
        [sum(c.words[0] == w and a == v for c, a in zip(data.test, answers, strict=True)) for v in DIGITS]
        for w in DIGITS
    ]
    axes = plot_confusion(counts, DIGITS)
    axes.set(ylabel="word", xlabel="recognised")
    axes.figure.savefig(out / "confusion.png", dpi=120)


def print_unseen_speakers(title: str, data: Data) -> None:
    """Print the accuracy on each speaker after training on the others, and after adaptation to his recordings, too."""
    clips = data.train + data.test
    table = Table("speaker", "gmmaudio", "adapted", "baseline", title=f"{title}: speakers not heard in training")
    sums: list[list[np.ndarray]] = [[], [], []]
    for speaker in sorted({clip.speaker for clip in clips}):
        others, own = [c for c in clips if c.speaker != speaker], [c for c in clips if c.speaker == speaker]
        recognizer = train(others, data.sample_rate)
        adapted = recognizer.adapt([clip.signal for clip in own], sample_rate=data.sample_rate)
        systems = (
            words_of(recognizer, data.sample_rate),
            words_of(adapted, data.sample_rate),
            Baseline(others, data.sample_rate),
        )
        results = [right(system, own) for system in systems]
        for total, result in zip(sums, results, strict=True):
            total.append(result)
        table.add_row(speaker, *(f"{result.mean():.1%}" for result in results))
    table.add_row("mean of speakers", *(f"{np.mean([result.mean() for result in total]):.1%}" for total in sums))
    table.add_row("all", *(shown(np.concatenate(total)) for total in sums))
    CONSOLE.print(table)


def print_strings(title: str, data: Data, recognizer: WordRecognizer) -> None:
    """Print the word error rate on strings of an unknown number of words, and how soon a stream knows its words."""
    grammar = word_loop(recognizer.words)
    errors = [
        word_errors(clip.words, recognizer.recognize(clip.signal, grammar, sample_rate=data.sample_rate).words)
        for clip in data.strings
    ]
    total = sum(errors, WordErrors())
    low, high = word_error_rate_interval(errors, random_state=0)
    CONSOLE.print(
        f"{title}: {total.n_words} connected words: word error rate {total.rate:.2%} [{low:.2%}, {high:.2%}] "
        f"({total.substitutions} substituted, {total.deletions} deleted, {total.insertions} inserted)"
    )
    delays, costs = zip(*(_live(clip, recognizer, data.sample_rate) for clip in data.strings), strict=True)
    late = 1000 * np.concatenate(delays)
    if len(late):
        CONSOLE.print(
            f"live: a word is first named {np.median(late):.0f} ms after its end (median; 95 % within "
            f"{np.quantile(late, 0.95):.0f} ms; a negative time is before it has ended); "
            f"a block of {1000 * LIVE_BLOCK:.0f} ms takes {1000 * np.mean(costs):.1f} ms\n"
        )


def _live(clip: Clip, recognizer: WordRecognizer, sample_rate: int) -> tuple[list[float], float]:
    """Return for each word how long after its end the stream has first named it in its place, and seconds a block."""
    stream, n = recognizer.stream(sample_rate, word_loop(recognizer.words)), round(LIVE_BLOCK * sample_rate)
    known: dict[int, float] = {}
    started = time.process_time()
    for start in range(0, len(clip.signal), n):
        stream.push(clip.signal[start : start + n])
        for place, (said, heard) in enumerate(zip(clip.words, stream.result.words, strict=False)):
            if said == heard:
                known.setdefault(place, (start + n) / sample_rate)
    cost = (time.process_time() - started) / -(-len(clip.signal) // n)
    return [known[place] - end for place, end in enumerate(clip.word_ends) if place in known], cost


def draw_alignment(data: Data, recognizer: WordRecognizer, path: Path) -> None:
    """Draw the words and states of a string over its spectrogram."""
    import matplotlib.pyplot as plt

    clip = data.strings[0]
    aligned: Alignment = recognizer.align(clip.signal, clip.words, states=True, sample_rate=data.sample_rate)
    figure, axes = plt.subplots(figsize=(10, 3.5), layout="constrained")
    noisy = clip.signal + 1e-5 * np.random.default_rng(0).standard_normal(len(clip.signal))  # no logarithm of zero
    axes.specgram(noisy, NFFT=256, Fs=data.sample_rate, noverlap=192, cmap="Greys")
    for part in aligned.states:
        axes.axvline(part.start, color="tab:blue", linewidth=0.4)
    _name_words(axes, [part for part in aligned.words if not part.label.startswith("<")], data.sample_rate / 2)
    axes.set(xlabel="seconds", ylabel="Hz", ylim=(0, data.sample_rate / 2))
    figure.savefig(path, dpi=120)


def draw_state_occupancy(recognizer: WordRecognizer, path: Path) -> None:
    """Draw how many milliseconds each word is expected to stay in each of its states: 1 / (1 - a_ii) frames."""
    import matplotlib.pyplot as plt

    stays = [1 / (1 - recognizer.models[word].transition_matrix.diagonal()) for word in recognizer.words]
    figure, axes = plt.subplots(figsize=(7, 0.35 * len(stays) + 1.2), layout="constrained")
    for row, own in enumerate(stays):
        axes.barh(row, 10 * own, left=10 * (np.cumsum(own) - own), edgecolor="white", color="tab:blue")
    axes.set(yticks=range(len(stays)), yticklabels=recognizer.words, xlabel="ms, one bar for each state")
    figure.savefig(path, dpi=120)


def _name_words(axes, words: Sequence[Interval], height: float) -> None:
    """Write each word over its time, between lines."""
    for part in words:
        for time_of in (part.start, part.end):
            axes.axvline(time_of, color="tab:orange")
        axes.text((part.start + part.end) / 2, 0.93 * height, part.label, ha="center", color="tab:orange")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fsdd", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder for the pictures")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="librosa|hmmlearn|sklearn")
    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)
    title, read, folder = "bundled voices", read_bundled, Path(__file__).parents[2] / "audio_samples"
    if arguments.fsdd:
        title, read, folder = "FSDD", read_fsdd, arguments.fsdd
    started, data, out = time.perf_counter(), read(folder), arguments.out / title.lower().replace(" ", "_")
    out.mkdir(parents=True, exist_ok=True)
    recognizer = train(data.train, data.sample_rate)
    print_isolated(title, data, recognizer, out)
    if data.strings:
        print_strings(title, data, recognizer)
        draw_alignment(data, recognizer, out / "alignment.png")
    draw_state_occupancy(recognizer, out / "occupancy.png")
    if arguments.fsdd:
        print_unseen_speakers(title, data)
    taken, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    CONSOLE.print(f"{taken:.0f} s, peak memory {peak} MB; pictures in {out}\n")


if __name__ == "__main__":
    main()
