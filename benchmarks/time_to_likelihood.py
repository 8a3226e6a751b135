"""Time from scratch to the held-out log-likelihood that scikit-learn converges to.

Both train with their defaults, initialisation included, on MFCCs of nine recordings in ten. After each update the
parameters are kept with the time; the frames of every tenth recording are scored afterwards, all in float64 by the same
function. A third training makes plain EM steps only, from the same start as ours. Time is that on the clock and that of
the processors, which other work on the machine disturbs less. Each seed is another start; the contestants take turns.
"""

import json
import time
from collections.abc import Callable, Iterator
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

    data: str
    n_components: int
    seed: int
    name: str
    wall: list[float]
    processor: list[float]
    log_likelihood: list[float]

    def sooner(self, peer: "Curve", seconds: str) -> float:
        """Return how many times sooner this training was where the other one ended; 0 if it never came there."""
        reached = np.flatnonzero(np.array(self.log_likelihood) >= peer.log_likelihood[-1])
        ours, theirs = getattr(self, seconds), getattr(peer, seconds)
        return float(theirs[-1] / ours[reached[0]]) if len(reached) else 0.0


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


def our_training(frames: np.ndarray, n_components: int, seed: int, **options: float) -> Stopwatch:
    stopwatch = Stopwatch()
    gmm = GMM(n_components, random_state=seed, **options)
    gmm.fit(frames, callback=lambda _, params, __: stopwatch.keep(params))
    stopwatch.keep(gmm.params_)
    return stopwatch


def plain_training(frames: np.ndarray, n_components: int, seed: int) -> Stopwatch:
    return our_training(frames, n_components, seed, tol=0.0)


def sklearn_training(frames: np.ndarray, n_components: int, seed: int) -> Stopwatch:
    stopwatch = Stopwatch()
    mixture = WatchedMixture(n_components, covariance_type="diag", random_state=seed)
    mixture.stopwatch = stopwatch
    mixture.fit(frames.astype(np.float64))
    return stopwatch


PEER = "scikit-learn"
CONTESTANTS: dict[str, Callable[[np.ndarray, int, int], Stopwatch]] = {
    "gmmaudio": our_training,
    "plain EM, 100 steps": plain_training,
    PEER: sklearn_training,
}


def split_by_recording(recordings: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames to train on and those of every tenth recording, which are held out."""
    training = [frames for number, frames in enumerate(recordings) if number % HELD_OUT_EVERY]
    return np.concatenate(training), np.concatenate(recordings[::HELD_OUT_EVERY])


def measure(folder: Path, n_components: int, n_seeds: int) -> Iterator[Curve]:
    """Yield the curves of all contestants, seed by seed."""
    data = f"{folder.parent.name}/{folder.name}"
    training, held_out = split_by_recording(recording_frames(folder, n_features=60))
    print(f"{data}: {len(training)} frames to train on, {len(held_out)} held out")
    GMM(n_components, max_iter=1, tol=0.0, random_state=0).fit(training[: 2 * n_components])  # compiles
    for seed in range(n_seeds):
        for name, train in CONTESTANTS.items():
            wall, processor, params = zip(*train(training, n_components, seed).entries, strict=True)
            scores = [float(frame_log_likelihoods(entry, held_out, precision="double").mean()) for entry in params]
            yield Curve(data, n_components, seed, name, list(wall), list(processor), scores)


def spread(values: list[float], digits: int) -> str:
    """Return the median with the smallest and the largest value."""
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def print_table(curves: list[Curve]) -> None:
    """Print a row for each contestant: medians over the seeds, with the range."""
    table = Table(title=f"{curves[0].data}, K = {curves[0].n_components}")
    headers = ("", "start s", "end s", "end, processor s", "updates", "held-out nats at the end", "sooner", "processor")
    for header in headers:
        table.add_column(header, justify="right")
    peers = [curve for curve in curves if curve.name == PEER]
    for name in CONTESTANTS:
        own = [curve for curve in curves if curve.name == name]
        table.add_row(
            name,
            spread([curve.wall[0] for curve in own], 1),
            spread([curve.wall[-1] for curve in own], 1),
            spread([curve.processor[-1] for curve in own], 1),
            spread([len(curve.wall) - 1 for curve in own], 0),
            spread([curve.log_likelihood[-1] for curve in own], 3),
            *(
                spread([curve.sooner(peer, seconds) for curve, peer in zip(own, peers, strict=True)], 1)
                for seconds in ("wall", "processor")
            ),
        )
    Console(width=180).print(table)


def draw(curves: list[Curve], path: Path) -> None:
    """Draw held-out log-likelihood against seconds: the seeds of a contestant in one colour."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, name in enumerate(CONTESTANTS):
        for curve in curves:
            if curve.name == name:
                axes.plot(curve.wall, curve.log_likelihood, color=f"C{number}", label=name if curve.seed == 0 else None)
    axes.set(xscale="log", xlabel="seconds from scratch", ylabel="held-out nats per frame")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def write_report(runs: list[list[Curve]], folder: Path) -> None:
    """Write all curves, and the drawing of the first run."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(), "curves": [asdict(curve) for run in runs for curve in run]}
    (folder / "time_to_likelihood.json").write_text(json.dumps(report))
    draw(runs[0], folder / "time_to_likelihood.png")


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--components", "sizes", type=int, multiple=True, default=[512], show_default=True)
@click.option("--seeds", "n_seeds", type=int, default=3, show_default=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for the .json and .png.")
def main(recordings: tuple[Path, ...], sizes: tuple[int, ...], n_seeds: int, output: Path | None) -> None:
    """Train on the MFCCs of nine in ten of the WAV files in each folder of RECORDINGS; the others judge."""
    runs: list[list[Curve]] = []
    for n_components in sizes:
        for folder in recordings:
            runs.append([])
            for curve in measure(folder.resolve(), n_components, n_seeds):
                runs[-1].append(curve)
                if output is not None:  # after each, because all of them take long
                    write_report(runs, output)
            print_table(runs[-1])


if __name__ == "__main__":
    main()
