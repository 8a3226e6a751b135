"""Two known sources out of one channel, beside NMF, the mixture itself and the masks of an oracle.

    python recipes/separation/run.py [--fsdd FOLDER] [--mixtures FOLDER --librispeech FOLDER] [--out FOLDER]

Without a folder of data it mixes the bundled synthetic voices. What to expect stands in README.md.
"""

import argparse
import csv
import itertools
import resource
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.decomposition import NMF, non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from gmmaudio import Separator, audio
from gmmaudio.plotting import plot_separation
from gmmaudio.separation import SeparationConfig, SeparationEvaluation, StftConfig

N_ATOMS = 32  # on takes 40 to 49 of FSDD 8 to 32 are alike, 64 lose 0.8 dB
CONSOLE = Console(width=130)
KINDS = {
    "gmmaudio": SeparationConfig(),
    "gmmaudio, factorial HMM": SeparationConfig(dynamics="hmm"),
    "gmmaudio, MIXMAX": SeparationConfig(likelihood="mixmax"),
    "gmmaudio, binary masks": SeparationConfig(mask="binary"),
}
Mixture = dict[str, np.ndarray]


@dataclass
class Task:
    """Recordings of sources alone, and mixtures as the sources that are added up."""

    title: str
    sample_rate: int
    training: dict[str, list[np.ndarray]]
    mixtures: dict[str, list[Mixture]]


class NmfBaseline:
    """A dictionary of magnitude spectra for each source (Kullback-Leibler NMF), and ratio masks; the same window."""

    def __init__(self, training: dict[str, list[np.ndarray]], stft: StftConfig) -> None:
        self.window = {"n_fft": stft.frame_samples, "hop_length": stft.shift_samples}
        self.options = {"solver": "mu", "beta_loss": "kullback-leibler", "max_iter": 100, "random_state": 0}
        self.atoms = {name: self._learn(signals) for name, signals in training.items()}

    def _learn(self, signals: list[np.ndarray]) -> np.ndarray:
        spectra = [np.abs(librosa.stft(level(signal), **self.window)).T for signal in signals]
        return NMF(N_ATOMS, init="random", **self.options).fit(np.concatenate(spectra) + 1e-8).components_

    def separate(self, mixture: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """Return an estimate of each source."""
        spectrum = librosa.stft(mixture, **self.window)
        atoms = np.concatenate([self.atoms[name] for name in names]).astype(np.float32)
        used, _, _ = non_negative_factorization(
            np.abs(spectrum).T + np.float32(1e-8), H=atoms, n_components=len(atoms), update_H=False, **self.options
        )
        shares = np.split(used, np.cumsum([len(self.atoms[name]) for name in names])[:-1], axis=1)
        powers = [np.square(share @ self.atoms[name]).T for share, name in zip(shares, names, strict=True)]
        total = np.sum(powers, axis=0) + 1e-20
        return [librosa.istft(p / total * spectrum, length=len(mixture), **self.window) for p in powers]


def level(signal: np.ndarray) -> np.ndarray:
    """Return a signal with a mean square of −20 dB."""
    return (0.1 * signal / np.sqrt(np.mean(np.square(signal, dtype=np.float64)))).astype(np.float32)


def mixed(first: np.ndarray, second: np.ndarray, ratio_db: float) -> list[np.ndarray]:
    """Return two sources cut to the shorter, the second so many dB louder than the first."""
    length = min(len(first), len(second))
    return [level(first[:length]), level(second[:length]) * np.float32(10 ** (ratio_db / 20))]


def read_fsdd(folder: Path) -> Task:
    """Read FSDD: takes 5 to 49 train, strings of seven digits of takes 0 to 4 are mixed, 30 at each ratio."""
    takes: dict[tuple[str, str, int], np.ndarray] = {}
    for path in sorted((folder / "recordings").glob("*.wav")):
        digit, name, take = path.stem.split("_")
        takes[digit, name, int(take)] = audio.read(path)[0]
    names = sorted({name for _, name, _ in takes})
    training = {name: [x for (_, own, take), x in takes.items() if own == name and take >= 5] for name in names}

    def string(name: str, rng: np.random.Generator) -> np.ndarray:
        return np.concatenate([takes[str(rng.integers(10)), name, int(rng.integers(5))] for _ in range(7)])

    mixtures = {}
    for ratio_db in (0, 9, -9):
        rng, pairs = np.random.default_rng(0), 2 * list(itertools.combinations(names, 2))
        sources = [mixed(string(one, rng), string(other, rng), ratio_db) for one, other in pairs]
        title = f"second speaker {ratio_db:+d} dB"
        mixtures[title] = [dict(zip(pair, two, strict=True)) for pair, two in zip(pairs, sources, strict=True)]
    return Task("FSDD", 8000, training, mixtures)


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
                spoken = [f for f in sorted((librispeech / "eval10" / name).glob("*.wav")) if int(f.stem[-4:]) <= 6]
                files = spoken or sorted((folder / "speech_noise" / "train_noise" / name).iterdir())
                training.setdefault(name, [audio.read(file, sample_rate=16000)[0] for file in files])
                mixture[name] = audio.read(folder / kind / f"{row['name']}_s{number}.wav")[0]
            mixtures.append(mixture)
        yield Task(kind, 16000, training, {"0 dB": mixtures})


def read_bundled(folder: Path) -> Task:
    """Mix the bundled voices: the clips of session 1 train, a test clip of the same session is mixed with another's."""
    training: dict[str, list[np.ndarray]] = {}
    tests: dict[str, np.ndarray] = {}
    for row in csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines()):
        if row["split"] == "enroll":
            training.setdefault(row["voice"], []).append(audio.read(folder / row["path"])[0])
        elif row["split"] == "test" and row["session"] == "1":
            tests[row["voice"]] = audio.read(folder / row["path"])[0]
    pairs = list(itertools.combinations(tests, 2))[::2]
    mixtures = [dict(zip(pair, mixed(*(tests[name] for name in pair), 0.0), strict=True)) for pair in pairs]
    return Task("bundled voices", 16000, training, {"0 dB": mixtures})


def run(task: Task, out: Path, n_components: int) -> None:
    """Train on the sources, separate the mixtures and print a table for each set of them."""
    separator = Separator(n_components, task.sample_rate)
    for name, recordings in task.training.items():
        separator.train_source(name, recordings)
    baseline = NmfBaseline(task.training, separator.stft)
    for title, mixtures in task.mixtures.items():
        evaluation, n_found, seconds, spent = SeparationEvaluation(separator.stft), 0, 0.0, 0.0
        for mixture in mixtures:
            names, references = list(mixture), list(mixture.values())
            total = np.sum(references, axis=0)
            started = time.process_time()
            ours = separator.separate(total, names)
            spent, seconds = spent + time.process_time() - started, seconds + len(total) / task.sample_rate
            estimates = {"NMF": baseline.separate(total, names)}
            for kind, config in KINDS.items():
                other = ours if kind == "gmmaudio" else separator.with_config(config).separate(total, names)
                estimates[kind] = list(other.values())
            evaluation.add(references, estimates)
            n_found += set(separator.rank_sources(total)[0].sources) == set(names)
        print_scores(f"{task.title}, {title}: {len(mixtures)} mixtures, {n_components} components", evaluation)
        CONSOLE.print(f"right pair of {len(task.training)} sources: {n_found}/{len(mixtures)}; ", end="")
        CONSOLE.print(f"{seconds / spent:.0f} times as fast as real time (processor time, levels included)\n")
    plot_separation(total, ours, task.sample_rate).savefig(out / f"{task.title.replace(' ', '_')}.png", dpi=100)


def print_scores(title: str, evaluation: SeparationEvaluation) -> None:
    """Print the measures of each system, means over mixtures."""
    table = Table("system", "SI-SDR improvement [95 %]", "SDR", "SIR", "SAR", "% of oracle", title=title)
    for scores in evaluation.result():
        low, high = scores.interval
        means = [f"{scores.values[name].mean():.1f}" for name in ("sdr", "sir", "sar")]
        improvement = f"{scores.improvement.mean():.2f} [{low:.2f}, {high:.2f}]"
        table.add_row(scores.system, improvement, *means, f"{100 * scores.share_of_oracle:.0f}")
    CONSOLE.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fsdd", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--mixtures", type=Path, help="folder with speech_speech, speech_noise and a manifest.csv")
    parser.add_argument("--librispeech", type=Path, help="folder of LibriSpeech speakers that the mixtures are of")
    parser.add_argument("--components", type=int, default=64, help="spectra of a source")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder for the pictures")
    arguments = parser.parse_args()
    if (arguments.mixtures is None) != (arguments.librispeech is None):
        parser.error("--mixtures and --librispeech go together")
    warnings.simplefilter("ignore", ConvergenceWarning)  # 100 updates of NMF are enough for its masks
    tasks: list[Task] = [read_fsdd(arguments.fsdd)] if arguments.fsdd else []
    if arguments.mixtures:
        tasks += read_mixtures(arguments.mixtures, arguments.librispeech)
    arguments.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for task in tasks or [read_bundled(Path(__file__).parents[2] / "audio_samples")]:
        run(task, arguments.out, arguments.components)
    taken, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    CONSOLE.print(f"{taken:.0f} s, peak memory {peak} MB; pictures in {arguments.out}")


if __name__ == "__main__":
    main()
