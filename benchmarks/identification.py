"""From three seconds of samples to a name, with 10, 100 and 1,000 enrolled speakers.

The background is trained at default settings on the utterances of the `manifest.csv` whose split is `ubm_dev`; the
enrolled are pieces of five seconds of the other speakers, many times the same person under different names: this
measures time, and recognises nobody. It is processor time, summed over threads, which other work on the machine hardly
changes.
"""

import csv
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from gmmaudio import SpeakerIdentifier, audio, load, save
from gmmaudio.errors import GmmAudioWarning
from gmmaudio.features import Features

ENROL_FRAMES = 500
TEST_SECONDS = 3.0
COLUMNS = ("enrolled", "file, MB", "load, s", "first decision, s", "decision, ms", "its features, ms", "enrolment, ms")


def seconds_of(call: Callable[[], object], *, n_rounds: int = 1) -> float:
    """Return the median processor time of a call."""
    times = []
    for _ in range(n_rounds):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return float(np.median(times))


def trained(folder: Path, n_components: int | None) -> tuple[SpeakerIdentifier, list[Path]]:
    """Return an identifier without enrolled speakers, and the recordings of others."""
    with open(folder / "manifest.csv", newline="") as manifest:
        rows = list(csv.DictReader(manifest))
    background = [row for row in rows if row["split"] == "ubm_dev"]
    identifier = SpeakerIdentifier(n_components=n_components)
    identifier.train([folder / row["path"] for row in background], speakers=[row["speaker"] for row in background])
    return identifier, [folder / row["path"] for row in rows if row["split"] != "ubm_dev"]


def enroll(identifier: SpeakerIdentifier, frames: np.ndarray, n_enrolled: int) -> float:
    """Enroll until there are so many; return the median time of one enrolment."""
    rng = np.random.default_rng(n_enrolled)
    times = []
    for number in range(len(identifier.speakers), n_enrolled):
        start = rng.integers(len(frames) - ENROL_FRAMES)
        piece = Features(frames[start : start + ENROL_FRAMES], identifier.pipeline.config)
        times.append(seconds_of(lambda name=f"s{number}", piece=piece: identifier.enroll(name, [piece])))
    return float(np.median(times))


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--components", type=int, help="Size of the background model; default: as training chooses.")
@click.option("--enrolled", type=int, multiple=True, default=(10, 100, 1000), show_default=True)
@click.option("--rounds", type=int, default=15, show_default=True)
def main(folder: Path, components: int | None, enrolled: tuple[int, ...], rounds: int) -> None:
    """Print how long a decision takes; FOLDER has recordings and a manifest.csv (path, speaker, split)."""
    warnings.simplefilter("ignore", GmmAudioWarning)  # five seconds of speech are few
    identifier, others = trained(folder, components)
    frames = np.concatenate([identifier.pipeline.transform(audio.read(path, sample_rate=16000)[0]) for path in others])
    test = audio.read(others[0], sample_rate=16000)[0][: int(TEST_SECONDS * 16000)]
    table = Table(*COLUMNS, title=f"K = {identifier.ubm.n_components}, cohort of {len(identifier.cohort.speakers)}")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.gmm"
        for n_enrolled in enrolled:
            enrolment = enroll(identifier, frames, n_enrolled)
            save(identifier, path)
            loading = seconds_of(lambda: load(path))
            loaded = load(path)
            first = seconds_of(lambda loaded=loaded: loaded.identify(test, sample_rate=16000))
            usual = seconds_of(lambda loaded=loaded: loaded.identify(test, sample_rate=16000), n_rounds=rounds)
            features = seconds_of(lambda: identifier.pipeline.transform(test), n_rounds=rounds)
            table.add_row(
                str(n_enrolled), f"{path.stat().st_size / 1e6:.0f}", f"{loading:.2f}", f"{first:.2f}",
                *(f"{1e3 * value:.0f}" for value in (usual, features, enrolment)),
            )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
