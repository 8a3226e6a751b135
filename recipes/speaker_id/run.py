"""Speaker identification and verification, closed set and open set, beside the obvious baseline.

    python recipes/speaker_id/run.py [--fsdd FOLDER] [--librispeech FOLDER] [--out FOLDER]

Without a folder of data it runs on the bundled synthetic voices. What to expect stands in README.md.
"""

import argparse
import csv
import itertools
import resource
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import librosa
import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture

from gmmaudio import SpeakerIdentifier, audio
from gmmaudio.metrics import eer
from gmmaudio.plotting import plot_confusion, plot_det
from gmmaudio.speaker import UNKNOWN, closed_set, open_set

Signals = dict[str, list[np.ndarray]]
CONSOLE = Console(width=130)


@dataclass
class Voices:
    """The recordings of a data set by speaker, all at one sample rate."""

    sample_rate: int
    background: Signals = field(default_factory=dict)
    enroll: Signals = field(default_factory=dict)
    test: Signals = field(default_factory=dict)
    strangers: Signals = field(default_factory=dict)

    def splits(self) -> list[tuple[list[str], Signals]]:
        """Return who is enrolled and who is a stranger: the given strangers, or parts of the speakers in turn."""
        names = list(self.enroll)
        parts = [names[0::2], names[1::2]] if len(names) > 9 else [[name] for name in names]
        turns = [([n for n in names if n not in part], {n: self.test[n] for n in part}) for part in parts]
        return [(names, self.strangers)] if self.strangers else turns

    def tests(self, spoken: Signals, seconds: float | None) -> list[tuple[str, np.ndarray]]:
        """Return speaker and signal of each recording, or of all its consecutive pieces of a length."""
        whole = [(name, signal) for name, signals in spoken.items() for signal in signals]
        if seconds is None:
            return whole
        n = int(seconds * self.sample_rate)
        return [(name, x[start : start + n]) for name, x in whole for start in range(0, len(x) - n + 1, n)]

    def identifier(self, names: list[str]) -> SpeakerIdentifier:
        """Train on a background without the speakers that are not to be known, and enroll the others."""
        heard = {name: own for name, own in self.background.items() if name in names or name not in self.enroll}
        labels, signals = zip(*self.tests(heard, None), strict=True)
        identifier = SpeakerIdentifier().train(signals, speakers=labels, sample_rate=self.sample_rate)
        for name in names:
            identifier.enroll(name, self.enroll[name], sample_rate=self.sample_rate)
        return identifier


def read_manifest(folder: Path) -> Voices:
    """Read a folder with a manifest.csv: the bundled samples, or LibriSpeech speakers."""
    voices = Voices(16000)
    parts = {"ubm_dev": "background", "enrol": "enroll"}  # what LibriSpeech's manifest calls them
    rows = csv.DictReader((folder / "manifest.csv").read_text(encoding="utf-8").splitlines())
    for row in (row for row in rows if not row["split"].startswith(("word", "string"))):  # digits are another recipe's
        signal, _ = audio.read(folder / row["path"], sample_rate=voices.sample_rate)
        part = getattr(voices, parts.get(row["split"], row["split"]), voices.strangers)
        part.setdefault(row.get("voice") or row.get("speaker") or row["path"], []).append(signal)
    return voices


def read_fsdd(folder: Path) -> Voices:
    """Read FSDD in its official split, takes 0 to 4 for the test; its speakers are all the background there is."""
    voices = Voices(8000)
    for path in sorted((folder / "recordings").glob("*.wav")):
        _, name, take = path.stem.split("_")
        (voices.test if int(take) < 5 else voices.enroll).setdefault(name, []).append(audio.read(path)[0])
    voices.background = voices.enroll
    return voices


def print_closed_set(title: str, voices: Voices, lengths: dict[str, float | None], out: Path) -> None:
    """Print accuracy and error rates of ours and of a mixture per speaker on librosa's MFCCs; draw the DET curves."""
    rate, names = voices.sample_rate, list(voices.enroll)
    identifier = voices.identifier(names)
    frames = {name: np.hstack([librosa.feature.mfcc(y=x, sr=rate) for x in voices.enroll[name]]).T for name in names}
    mixtures = {name: GaussianMixture(16, covariance_type="diag", random_state=0).fit(x) for name, x in frames.items()}
    table, curves = Table("length", "system", "right", "EER", "minDCF(0.01)", title=f"{title}: closed set"), {}
    for length, seconds in lengths.items():
        tests = voices.tests(voices.test, seconds)
        ours = [(r.closest, r.scores) for r in (identifier.identify(x, sample_rate=rate) for _, x in tests)]
        frames = [librosa.feature.mfcc(y=x, sr=rate).T for _, x in tests]
        scores = [{name: mixture.score(x) for name, mixture in mixtures.items()} for x in frames]
        for system, own in (("gmmaudio", ours), ("baseline", [(max(s, key=s.get), s) for s in scores])):
            result = closed_set(*zip(*own, strict=True), [name for name, _ in tests])
            curves[f"{system}, {length}"] = (result.scores, result.is_target)
            table.add_row(length, system, str(result.right), str(result.eer), str(result.min_dcf))
    CONSOLE.print(table)
    plot_det(curves).figure.savefig(out / "det.png", dpi=120)


def print_open_set(title: str, voices: Voices, lengths: dict[str, float | None], out: Path) -> None:
    """Print realised and nominal false-accept rates, misses and EER (no speech counts as a score of −99)."""
    names, heard = list(voices.enroll), {}
    for enrolled, strangers in voices.splits():
        identifier = voices.identifier(enrolled)
        for (length, seconds), nominal in itertools.product(lengths.items(), (0.01, 0.05)):
            tests = voices.tests({name: voices.test[name] for name in enrolled}, seconds)
            tests += [("a stranger", x) for _, x in voices.tests(strangers, seconds)]
            asked = {"sample_rate": voices.sample_rate, "false_accept_rate": nominal}
            results = [(identifier.identify(x, **asked), who) for who, x in tests]
            heard.setdefault((length, nominal), []).extend((r.decision, who, max(r.score, -99.0)) for r, who in results)
    table = Table("length", "nominal false accepts", "realised", "misses", "EER", title=f"{title}: open set")
    for (length, nominal), decided in heard.items():
        decisions, truth, scores = zip(*decided, strict=True)
        result, error = open_set(decisions, truth, names), eer(scores, [who in names for who in truth])
        table.add_row(length, f"{nominal:.0%}", str(result.false_accepts), str(result.misses), f"{error:.3f}")
    CONSOLE.print(table)
    plot_confusion(result.confusion, [*names, UNKNOWN]).figure.savefig(out / "confusion.png", dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fsdd", type=Path, help="folder of the Free Spoken Digit Dataset")
    parser.add_argument("--librispeech", type=Path, help="folder of LibriSpeech speakers with a manifest.csv")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out", help="folder for the pictures")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="librosa")  # clips shorter than its default window
    jobs = [
        ("FSDD", read_fsdd, arguments.fsdd, {"whole": None}),
        ("LibriSpeech", read_manifest, arguments.librispeech, {"1 s": 1.0, "2 s": 2.0, "3 s": 3.0}),
    ]
    bundled = ("bundled voices", read_manifest, Path(__file__).parents[2] / "audio_samples", {"whole": None})
    for title, read, folder, lengths in [job for job in jobs if job[2]] or [bundled]:
        started, voices, out = time.perf_counter(), read(folder), arguments.out / title.lower().replace(" ", "_")
        out.mkdir(parents=True, exist_ok=True)
        print_closed_set(title, voices, lengths, out)
        print_open_set(title, voices, lengths, out)
        taken, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        CONSOLE.print(f"{taken:.0f} s, peak memory {peak} MB; pictures in {out}\n")


if __name__ == "__main__":
    main()
