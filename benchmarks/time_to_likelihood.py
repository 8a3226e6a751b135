"""Time from scratch to the held-out log-likelihood that scikit-learn converges to.

Both train with their defaults, initialisation included, on MFCCs of nine recordings in ten. After each update the
parameters are kept with the time; the frames of every tenth recording are scored afterwards, all in float64 by the same
function. Time is that on the clock and that of the processors, which other work on the machine disturbs less.
"""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from data import recording_frames
from em_iteration import machine
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture

from gmmaudio.gmm import GMM, GmmParams, frame_log_likelihoods

OURS, PEER = "gmmaudio", "scikit-learn"
HELD_OUT_EVERY = 10


class Stopwatch:
    """Parameters with the seconds at which a training had them."""

    def __init__(self) -> None:
        self.entries: list[tuple[float, float, GmmParams]] = []
        self._start = time.perf_counter(), time.process_time()

    def keep(self, params: GmmParams) -> None:
        """Keep the parameters of this moment."""
        wall, processor = time.perf_counter() - self._start[0], time.process_time() - self._start[1]
        self.entries.append((wall, processor, params))


@dataclass(frozen=True)
class Curve:
    """A training: seconds on the clock and of processors, and held-out nats per frame, after the start and each update.

    The last entry is that of the finished model.
    """

    name: str
    wall: list[float]
    processor: list[float]
    log_likelihood: list[float]

    def reaches(self, log_likelihood: float) -> int | None:
        """Return the first entry that is at least as likely."""
        reached = np.flatnonzero(np.array(self.log_likelihood) >= log_likelihood)
        return int(reached[0]) if len(reached) else None


class WatchedMixture(GaussianMixture):
    """scikit-learn's mixture, which shows its parameters after the initialisation and each M-step."""

    stopwatch: Stopwatch

    def _initialize_parameters(self, X: np.ndarray, *args: Any, **options: Any) -> None:
        super()._initialize_parameters(X, *args, **options)
        self._show()

    def _m_step(self, *args: Any, **options: Any) -> None:
        super()._m_step(*args, **options)
        self._show()

    def _show(self) -> None:
        weights = self.weights_.astype(np.float64)
        self.stopwatch.keep(GmmParams(weights / weights.sum(), self.means_, self.covariances_))


def split_by_recording(recordings: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames to train on and those of every tenth recording, which are held out."""
    training = [frames for number, frames in enumerate(recordings) if number % HELD_OUT_EVERY]
    return np.concatenate(training), np.concatenate(recordings[::HELD_OUT_EVERY])


def our_training(frames: np.ndarray, n_components: int) -> Stopwatch:
    stopwatch = Stopwatch()
    gmm = GMM(n_components, random_state=0)
    gmm.fit(frames, callback=lambda _, params, __: stopwatch.keep(params))
    stopwatch.keep(gmm.params_)
    return stopwatch


def sklearn_training(frames: np.ndarray, n_components: int) -> Stopwatch:
    stopwatch = Stopwatch()
    mixture = WatchedMixture(n_components, covariance_type="diag", random_state=0)
    mixture.stopwatch = stopwatch
    mixture.fit(frames.astype(np.float64))
    return stopwatch


def curve(name: str, train: Callable[[], Stopwatch], held_out: np.ndarray) -> Curve:
    """Train, then score what the training went through."""
    wall, processor, params = zip(*train().entries, strict=True)
    scores = [float(frame_log_likelihoods(entry, held_out, precision="double").mean()) for entry in params]
    return Curve(name, list(wall), list(processor), scores)


def compare(ours: Curve, peer: Curve) -> dict[str, float | None]:
    """Return the end points and how many times sooner we are where the other one ends."""
    target = peer.log_likelihood[-1]
    entry = ours.reaches(target)
    return {
        "held_out_of_peer": target,
        "held_out_of_ours": ours.log_likelihood[-1],
        "seconds_of_peer": peer.wall[-1],
        "seconds_of_ours_to_there": None if entry is None else ours.wall[entry],
        "ratio": None if entry is None else peer.wall[-1] / ours.wall[entry],
        "ratio_of_processor_time": None if entry is None else peer.processor[-1] / ours.processor[entry],
        "ratio_to_our_end": peer.wall[-1] / ours.wall[-1],
        "ratio_to_our_end_of_processor_time": peer.processor[-1] / ours.processor[-1],
    }


def print_table(curves: list[Curve], comparison: dict[str, float | None], title: str) -> None:
    table = Table(title=title)
    for header in ("", "start s", "end s", "end, processor s", "updates", "start nats", "end nats"):
        table.add_column(header, justify="right")
    for each in curves:
        seconds = (each.wall[0], each.wall[-1], each.processor[-1])
        ends = (each.log_likelihood[0], each.log_likelihood[-1])
        table.add_row(
            each.name,
            *(f"{value:.2f}" for value in seconds),
            str(len(each.wall) - 1),
            *(f"{value:.4f}" for value in ends),
        )
    Console(width=120).print(table)
    for name, value in comparison.items():
        print(f"{name.replace('_', ' ')}: {'never' if value is None else f'{value:.4f}'}")


def draw(curves: list[Curve], path: Path) -> None:
    """Draw held-out log-likelihood against seconds."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for each in curves:
        axes.plot(each.wall, each.log_likelihood, marker=".", label=each.name)
    axes.axhline(curves[-1].log_likelihood[-1], color="grey", linewidth=0.8)
    axes.set(xscale="log", xlabel="seconds from scratch", ylabel="held-out nats per frame")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


@click.command()
@click.argument("recordings", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--components", "n_components", type=int, default=512, show_default=True)
@click.option("--features", "n_features", type=click.Choice(["13", "39", "60"]), default="60", show_default=True)
@click.option(
    "--peer-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The .json of an earlier run on the same frames, whose scikit-learn is not run again.",
)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for the .json and .png.")
def main(recordings: Path, n_components: int, n_features: str, peer_from: Path | None, output: Path | None) -> None:
    """Train on the MFCCs of nine in ten of the WAV files in RECORDINGS; the others judge."""
    training, held_out = split_by_recording(recording_frames(recordings, n_features=int(n_features)))
    GMM(n_components, max_iter=1, tol=0.0, random_state=0).fit(training[: 2 * n_components])  # compiles
    ours = curve(OURS, lambda: our_training(training, n_components), held_out)
    if peer_from is None:
        peer = curve(PEER, lambda: sklearn_training(training, n_components), held_out)
    else:
        peer = Curve(**json.loads(peer_from.read_text())["curves"][-1])
    curves = [ours, peer]
    comparison = compare(ours, peer)
    frames = f"{len(training)} + {len(held_out)} frames"
    print_table(curves, comparison, f"K = {n_components}, D = {n_features}, {frames}")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        report = {"machine": machine(), "n_components": n_components, "comparison": comparison}
        report["curves"] = [asdict(each) for each in curves]
        (output / "time_to_likelihood.json").write_text(json.dumps(report, indent=2))
        draw(curves, output / "time_to_likelihood.png")


if __name__ == "__main__":
    main()
