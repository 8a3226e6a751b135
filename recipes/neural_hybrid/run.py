"""A small neural network on MFCCs, GMM-HMMs, and both together, on digits of people who were not heard in training.

    python recipes/neural_hybrid/run.py [--fsdd FOLDER] [--seed N] [--epochs N] [--out FOLDER]

Without a folder of data it runs on the bundled synthetic voices. What to expect stands in README.md.
"""

import argparse
import csv
import dataclasses
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hybrid import Hybrid, Settings, Voting, WordModels, best, chain, front_end
from rich.console import Console
from rich.table import Table
from sklearn.exceptions import ConvergenceWarning

from gmmaudio import GMM, audio
from gmmaudio.hmm import forward_backward, viterbi
from gmmaudio.metrics import mean_interval, proportion_interval
from gmmaudio.plotting import plot_responsibilities

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CONSOLE = Console(width=150)
BASELINE = "MLP, votes"


@dataclasses.dataclass(frozen=True)
class Clip:
    """A recording of one digit."""

    signal: np.ndarray
    speaker: str
    word: str


def read_bundled(folder: Path) -> tuple[int, list[Clip]]:
    """Return sample rate and digits of the eight synthetic voices, each digit once."""
    rows = csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines())
    own = [row for row in rows if row["split"] in ("word_train", "word_test")]
    return 16000, [Clip(audio.read(folder / row["path"])[0], row["voice"], row["text"]) for row in own]


def read_fsdd(folder: Path) -> tuple[int, list[Clip]]:
    """Return sample rate and recordings of the Free Spoken Digit Dataset."""
    clips = []
    for path in sorted((folder / "recordings").glob("*.wav")):
        digit, speaker, _ = path.stem.split("_")
        clips.append(Clip(audio.read(path)[0], speaker, DIGITS[int(digit)]))
    return 8000, clips


class Systems:
    """All systems, trained on the same frames."""

    def __init__(self, clips: Sequence[Clip], sample_rate: int, settings: Settings, seed: int) -> None:
        self.transform = front_end([clip.signal for clip in clips], sample_rate, settings).transform
        frames, words = [self.transform(clip.signal) for clip in clips], [clip.word for clip in clips]
        self.share = settings.mixture_share
        self.models = WordModels(frames, words, settings)
        mixture = GMM(settings.posterior_components, max_iter=10, tol=0.0, random_state=0).fit(frames)
        self.votes = Voting(frames, words, settings, seed)
        self.tandem_votes = Voting(frames, words, settings, seed, mixture)
        self.hybrid = Hybrid(frames, words, self.models, settings, seed)

    def answers(self, frames: np.ndarray) -> dict[str, str]:
        """Return the word that each system hears."""
        by_mixtures, by_network = self.models.log_likelihoods(frames), self.hybrid.log_likelihoods(frames)
        by_both = {word: by_network[word] + self.share * by_mixtures[word] for word in by_network}
        return {
            BASELINE: self.votes(frames),
            "MLP with GMM posteriors, votes": self.tandem_votes(frames),
            "MLP on states, votes": best(self.hybrid.votes(frames)),
            "GMM-HMM": best(by_mixtures),
            "hybrid": best(by_network),
            "hybrid and GMM-HMM": best(by_both),
        }


def evaluate(
    clips: Sequence[Clip], sample_rate: int, settings: Settings, seed: int, *, n_left_out: int, out: Path
) -> None:
    """Leave some speakers out, train on the others, go on with the next; print how often each system is right."""
    right: dict[str, dict[str, np.ndarray]] = {}
    speakers = sorted({clip.speaker for clip in clips})
    for first in range(0, len(speakers), n_left_out):
        started, left_out = time.perf_counter(), speakers[first : first + n_left_out]
        systems = Systems([clip for clip in clips if clip.speaker not in left_out], sample_rate, settings, seed)
        for speaker in left_out:
            own = [(systems.transform(clip.signal), clip.word) for clip in clips if clip.speaker == speaker]
            answers = [systems.answers(x) for x, _ in own]
            for name in answers[0]:
                is_right = [found[name] == word for found, (_, word) in zip(answers, own, strict=True)]
                right.setdefault(name, {})[speaker] = np.array(is_right)
            shares = ", ".join(f"{name} {by_speaker[speaker].mean():.1%}" for name, by_speaker in right.items())
            CONSOLE.print(f"{speaker}: {shares}")
        CONSOLE.print(f"  ({time.perf_counter() - started:.0f} s)")
        if first == 0:
            draw(systems, *next(item for item in own if item[1] == "seven"), out / "alignment.png")
    print_table(right, speakers)


def print_table(right: dict[str, dict[str, np.ndarray]], speakers: Sequence[str]) -> None:
    """Print the accuracies with their intervals, and the gain over the network alone."""
    table = Table("system", *speakers, "all", "95 %", "more than the MLP alone, by speakers", title="right answers")
    for name, by_speaker in right.items():
        every = np.concatenate(list(by_speaker.values()))
        low, high = proportion_interval(int(every.sum()), len(every))
        gains = [by_speaker[who].mean() - right[BASELINE][who].mean() for who in speakers]
        least, most = mean_interval(gains, random_state=0)
        gain = "" if name == BASELINE else f"{np.mean(gains):+.1%} [{least:+.1%}, {most:+.1%}]"
        shares = [f"{by_speaker[who].mean():.1%}" for who in speakers]
        total = f"{every.mean():.1%} ({every.sum()}/{len(every)})"
        table.add_row(name, *shares, total, f"[{low:.1%}, {high:.1%}]", gain)
    CONSOLE.print(table)


def draw(systems: Systems, frames: np.ndarray, word: str, path: Path) -> None:
    """Draw the states of a word over time as the mixtures and as the network hear them, with the best paths."""
    from matplotlib.figure import Figure

    model = systems.models.models[word]
    first = list(systems.models.models).index(word) * systems.models.n_states
    states = slice(first, first + systems.models.n_states)
    tables = {
        "states by the mixtures (GMM-HMM)": model.frame_log_likelihoods(frames),
        "states by the network (hybrid)": systems.hybrid.frame_log_likelihoods(frames)[:, states],
    }
    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, (title, table) in zip(figure.subplots(2, 1, sharex=True), tables.items(), strict=True):
        posteriors = forward_backward(*chain(model), table, end_probs=model.end_probs).state_posteriors
        plot_responsibilities(posteriors, axes=axes)
        line = viterbi(*chain(model), table, end_probs=model.end_probs).path
        axes.step(np.arange(len(line)), line, where="mid", color="tab:orange", label="best path")
        axes.set(title=f"{word}: {title}", ylabel="state")
    axes.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fsdd", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--seed", type=int, default=0, help="of the networks")
    parser.add_argument("--epochs", type=int, help="of the networks; 2 on FSDD, 30 on the few bundled recordings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder for the picture")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is part of the setting
    started, settings = time.perf_counter(), Settings()
    if arguments.fsdd:
        (sample_rate, clips), n_left_out = read_fsdd(arguments.fsdd), 1
    else:
        (sample_rate, clips), n_left_out = read_bundled(Path(__file__).parents[2] / "audio_samples"), 2
        settings = dataclasses.replace(settings, epochs=30)  # of so few frames
    if arguments.epochs:
        settings = dataclasses.replace(settings, epochs=arguments.epochs)
    out = arguments.out / ("fsdd" if arguments.fsdd else "bundled_voices")
    out.mkdir(parents=True, exist_ok=True)
    evaluate(clips, sample_rate, settings, arguments.seed, n_left_out=n_left_out, out=out)
    CONSOLE.print(f"{time.perf_counter() - started:.0f} s; picture in {out}")


if __name__ == "__main__":
    main()
