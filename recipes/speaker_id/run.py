"""Speaker identification and verification, closed set and open set, beside the obvious baseline.

    python recipes/speaker_id/run.py [--fsdd FOLDER] [--librispeech FOLDER] [--out FOLDER]

Without a folder of data it runs on the bundled synthetic voices. What to expect stands in README.md.
"""

import argparse
import csv
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path

import librosa
import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture

from gmmaudio import SpeakerIdentifier, audio
from gmmaudio.features import Features
from gmmaudio.plotting import plot_confusion, plot_det
from gmmaudio.speaker import UNKNOWN, closed_set, open_set, speaker_pipeline

Signals = dict[str, list[np.ndarray]]
NOMINAL = (0.01, 0.05)  # false-accept rates that thresholds are asked for
CONSOLE = Console(width=130)


@dataclass
class Voices:
    """The recordings of a data set, by speaker, all at one sample rate."""

    sample_rate: int
    background: Signals = field(default_factory=dict)
    enroll: Signals = field(default_factory=dict)
    test: Signals = field(default_factory=dict)
    strangers: Signals = field(default_factory=dict)

    def splits(self) -> list[tuple[list[str], Signals]]:
        """Return who is enrolled and who is a stranger: the given strangers, or parts of the speakers in turn."""
        names = list(self.enroll)
        if self.strangers:
            return [(names, self.strangers)]
        n_parts = len(names) if len(names) < 10 else 2
        parts = [names[part::n_parts] for part in range(n_parts)]
        return [([n for n in names if n not in part], {n: self.test[n] for n in part}) for part in parts]

    def cut(self, signals: list[np.ndarray], seconds: float | None) -> list[np.ndarray]:
        """Return the signals, or all their consecutive pieces of a length."""
        if seconds is None:
            return signals
        n = int(seconds * self.sample_rate)
        return [signal[start : start + n] for signal in signals for start in range(0, len(signal) - n + 1, n)]


def read_manifest(folder: Path) -> Voices:
    """Read a folder with a manifest.csv: the bundled samples, or LibriSpeech speakers."""
    voices = Voices(16000)
    places = {"background": voices.background, "ubm_dev": voices.background, "test": voices.test}
    places |= {"enroll": voices.enroll, "enrol": voices.enroll}
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            signal, _ = audio.read(folder / row["path"], sample_rate=voices.sample_rate)
            name = row.get("voice") or row.get("speaker") or row["path"]
            places.get(row["split"], voices.strangers).setdefault(name, []).append(signal)
    return voices


def read_fsdd(folder: Path) -> Voices:
    """Read FSDD in its official split, takes 0 to 4 for the test; its speakers are all the background there is."""
    voices = Voices(8000)
    for path in sorted((folder / "recordings").glob("*.wav")):
        _, name, take = path.stem.split("_")
        (voices.test if int(take) < 5 else voices.enroll).setdefault(name, []).append(audio.read(path)[0])
    voices.background = voices.enroll
    return voices


def train(voices: Voices, names: list[str]) -> SpeakerIdentifier:
    """Train on a background without the speakers that are not to be known, and enroll the others."""
    pipeline = speaker_pipeline(voices.sample_rate)
    unheard = set(voices.enroll) - set(names)
    labelled = [(n, signal) for n, signals in voices.background.items() if n not in unheard for signal in signals]
    features = [Features(pipeline.transform(signal), pipeline.config) for _, signal in labelled]
    identifier = SpeakerIdentifier(pipeline).train(features, speakers=[name for name, _ in labelled])
    for name in names:
        identifier.enroll(name, voices.enroll[name], sample_rate=voices.sample_rate)
    return identifier


def librosa_mfcc(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    return librosa.feature.mfcc(y=signal, sr=sample_rate, n_fft=min(2048, len(signal))).T


def print_closed_set(title: str, voices: Voices, lengths: tuple[float | None, ...], out: Path) -> None:
    """Print accuracy and error rates of ours and of a mixture per speaker on librosa's MFCCs; draw the DET curves."""
    rate, names = voices.sample_rate, list(voices.enroll)
    identifier = train(voices, names)
    mixtures = {}
    for name in names:
        frames = np.vstack([librosa_mfcc(signal, rate) for signal in voices.enroll[name]])
        mixtures[name] = GaussianMixture(16, covariance_type="diag", random_state=0).fit(frames)
    table, curves = Table("test length", "system", "right", "EER", "minDCF(0.01)", title=f"{title}: closed set"), {}
    for seconds in lengths:
        length = "whole" if seconds is None else f"{seconds:g} s"
        tests = [(name, piece) for name in names for piece in voices.cut(voices.test[name], seconds)]
        scores = {"gmmaudio": [identifier.identify(piece, sample_rate=rate).scores for _, piece in tests]}
        frames = [librosa_mfcc(piece, rate) for _, piece in tests]
        scores["baseline"] = [{name: mixture.score(x) for name, mixture in mixtures.items()} for x in frames]
        for system, own in scores.items():
            result = closed_set(own, [name for name, _ in tests])
            curves[f"{system}, {length}"] = (result.scores, result.is_target)
            table.add_row(length, system, str(result.right), str(result.eer), str(result.min_dcf))
    CONSOLE.print(table)
    plot_det(curves).figure.savefig(out / "det.png", dpi=120)


def print_open_set(title: str, voices: Voices, lengths: tuple[float | None, ...], out: Path) -> None:
    """Print realised against nominal false-accept rates, and the misses that they cost; draw the confusions."""
    names, rate = list(voices.enroll), voices.sample_rate
    heard: dict[tuple[float | None, float], list[tuple[str, str]]] = {}
    for enrolled, strangers in voices.splits():
        identifier = train(voices, enrolled)
        spoken = {name: voices.test[name] for name in enrolled}
        for seconds in lengths:
            tests = [(n, piece) for n in spoken for piece in voices.cut(spoken[n], seconds)]
            tests += [("a stranger", p) for signals in strangers.values() for p in voices.cut(signals, seconds)]
            for nominal in NOMINAL:
                results = [identifier.identify(x, sample_rate=rate, false_accept_rate=nominal) for _, x in tests]
                decisions = [(result.decision, name) for result, (name, _) in zip(results, tests, strict=True)]
                heard.setdefault((seconds, nominal), []).extend(decisions)
    table = Table("test length", "nominal false accepts", "realised", "misses", title=f"{title}: open set")
    for (seconds, nominal), pairs in heard.items():
        result = open_set([decision for decision, _ in pairs], [name for _, name in pairs], names)
        length = "whole" if seconds is None else f"{seconds:g} s"
        table.add_row(length, f"{nominal:.0%}", str(result.false_accepts), str(result.misses))
    CONSOLE.print(table)
    axes = plot_confusion(result.confusion, [*names, "a stranger"], decisions=[*names, UNKNOWN])
    axes.figure.savefig(out / "confusion.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fsdd", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--librispeech", type=Path, help="folder of LibriSpeech speakers with a manifest.csv")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder for the pictures")
    arguments = parser.parse_args()
    jobs = []
    if arguments.fsdd:
        jobs.append(("FSDD", read_fsdd(arguments.fsdd), (None,)))
    if arguments.librispeech:
        jobs.append(("LibriSpeech", read_manifest(arguments.librispeech), (1.0, 2.0, 3.0)))
    if not jobs:
        jobs.append(("bundled voices", read_manifest(Path(__file__).parents[2] / "audio_samples"), (None,)))
    for title, voices, lengths in jobs:
        started, out = time.perf_counter(), arguments.out / title.lower().replace(" ", "_")
        out.mkdir(parents=True, exist_ok=True)
        print_closed_set(title, voices, lengths, out)
        print_open_set(title, voices, lengths, out)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        CONSOLE.print(f"{time.perf_counter() - started:.0f} s, peak memory {peak:.0f} MB; pictures in {out}\n")


if __name__ == "__main__":
    main()
