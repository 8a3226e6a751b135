"""Two known sources out of one channel, beside NMF, the mixture itself and the masks of an oracle.

    python recipes/separation/run.py [--fsdd FOLDER] [--mixtures FOLDER --librispeech FOLDER] [--develop] [--out FOLDER]

Without a folder of data it mixes the bundled synthetic voices. --develop separates other mixtures, on which choices are
made. What to expect stands in README.md.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import librosa
import numpy as np
from mixtures import Task, develop_mixtures, level, read_bundled, read_fsdd, read_mixtures
from rich.console import Console
from rich.table import Table
from sklearn.decomposition import NMF, non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from gmmaudio import Separator
from gmmaudio.metrics import mean_interval
from gmmaudio.plotting import plot_separation
from gmmaudio.separation import SeparationConfig, SeparationEvaluation, StftConfig

N_ATOMS = 32  # on takes 40 to 49 of FSDD 8 to 32 are alike, 64 lose 0.8 dB
CONSOLE = Console(width=130)
OURS = "gmmaudio"
PLAIN = "one, colours of the training"
# Each kind of inference, and whether the colours of the sources are adapted to the mixture.
KINDS = {
    OURS: (SeparationConfig(), True),
    PLAIN: (SeparationConfig(spectra="one"), False),
    "factorial HMM": (SeparationConfig(dynamics="hmm"), True),
    "MIXMAX": (SeparationConfig(likelihood="mixmax"), True),
    "binary masks": (SeparationConfig(mask="binary"), True),
}
CHOICES = {
    OURS: KINDS[OURS],
    "one spectrum at a time": (SeparationConfig(spectra="one"), True),
    "sums of spectra": (SeparationConfig(spectra="sum"), True),
    "colours of the training": (SeparationConfig(), False),
    PLAIN: KINDS[PLAIN],
}


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


def separate(separator: Separator, mixture: np.ndarray, names: list[str], kinds: dict) -> Iterator[list[np.ndarray]]:
    """Yield the estimates of each kind of inference."""
    levels = separator.estimate_levels(mixture, names)
    for config, coloured in kinds.values():
        # Plain numbers keep the colours of the training.
        known = levels if coloured else dict(levels)
        yield list(separator.with_config(config).separate(mixture, names, levels=known).values())


def run(task: Task, out: Path, n_components: int, *, develop: bool) -> None:
    """Train on the sources, separate the mixtures and print a table for each set of them."""
    separator = Separator(n_components, task.sample_rate)
    for name, recordings in task.training.items():
        separator.train_source(name, recordings)
    baseline = NmfBaseline(task.training, separator.stft)
    kinds = CHOICES if develop else KINDS
    for title, mixtures in task.mixtures.items():
        evaluation, n_found, seconds, spent = SeparationEvaluation(separator.stft), 0, 0.0, 0.0
        for mixture in mixtures:
            names, references = list(mixture), list(mixture.values())
            total = np.sum(references, axis=0)
            started = time.process_time()
            ours = separator.separate(total, names)
            spent, seconds = spent + time.process_time() - started, seconds + len(total) / task.sample_rate
            estimates = dict(zip(kinds, separate(separator, total, names, kinds), strict=True))
            evaluation.add(references, {"NMF": baseline.separate(total, names), **estimates})
            n_found += not develop and set(separator.rank_sources(total)[0].sources) == set(names)
        print_scores(f"{task.title}, {title}: {len(mixtures)} mixtures, {n_components} components", evaluation)
        if not develop:
            CONSOLE.print(f"right pair of {len(task.training)} sources: {n_found}/{len(mixtures)}; ", end="")
        CONSOLE.print(f"{seconds / spent:.0f} times as fast as real time (processor time, levels included)\n")
    if not develop:
        picture = out / f"{task.title.replace(' ', '_')}.png"
        plot_separation(total, ours, task.sample_rate).savefig(picture, dpi=100)


def print_scores(title: str, evaluation: SeparationEvaluation) -> None:
    """Print the measures of each system, means over mixtures, and by how much ours is better on the same mixtures."""
    columns = ("system", "SI-SDR improvement [95 %]", f"{OURS} less it [95 %]", "SDR", "SIR", "SAR", "% of oracle")
    table = Table(*columns, title=title)
    result = evaluation.result()
    ours = next(scores.improvement for scores in result if scores.system == OURS)
    for scores in result:
        means = [f"{scores.values[name].mean():.1f}" for name in ("sdr", "sir", "sar")]
        share = f"{100 * scores.share_of_oracle:.0f}"
        table.add_row(
            scores.system, with_interval(scores.improvement), with_interval(ours - scores.improvement), *means, share
        )
    CONSOLE.print(table)


def with_interval(values: np.ndarray) -> str:
    """Return a mean over mixtures and its bootstrap interval."""
    low, high = mean_interval(values, random_state=0)
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def read(arguments: argparse.Namespace) -> Iterator[Task]:
    """Read what is asked for; the bundled voices if no folder is given, and for development in any case."""
    develop = arguments.develop
    if arguments.fsdd:
        yield read_fsdd(arguments.fsdd, develop=develop)
    if arguments.mixtures:
        yield from (develop_mixtures if develop else read_mixtures)(arguments.mixtures, arguments.librispeech)
    if develop or not (arguments.fsdd or arguments.mixtures):
        yield read_bundled(Path(__file__).parents[2] / "audio_samples", develop=develop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fsdd", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--mixtures", type=Path, help="folder with speech_speech, speech_noise and a manifest.csv")
    parser.add_argument("--librispeech", type=Path, help="folder of LibriSpeech speakers that the mixtures are of")
    parser.add_argument(
        "--develop", action="store_true", help="mixtures that choices are made on, not the reported ones"
    )
    parser.add_argument("--components", type=int, default=64, help="spectra of a source")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder for the pictures")
    arguments = parser.parse_args()
    if (arguments.mixtures is None) != (arguments.librispeech is None):
        parser.error("--mixtures and --librispeech go together")
    warnings.simplefilter("ignore", ConvergenceWarning)  # 100 updates of NMF are enough for its masks
    arguments.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    for task in read(arguments):
        run(task, arguments.out, arguments.components, develop=arguments.develop)
    taken, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    CONSOLE.print(f"{taken:.0f} s, peak memory {peak} MB; pictures in {arguments.out}")


if __name__ == "__main__":
    main()
