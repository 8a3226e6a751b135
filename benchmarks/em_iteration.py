"""Time one EM iteration against scikit-learn and against its largest matrix product alone.

Every contestant starts from the same mixture and does one E-step and one M-step on the same float32 MFCCs (scikit-learn
also as float64) with the same number of threads. The matrix product is that of the likelihoods: the physical limit of
everything that evaluates each component of each frame.
"""

import importlib.util
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
from data import alive_components, dense_frames, dense_model, speech_frames, speech_model
from paired import time_in_turns
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_info, threadpool_limits

from gmmaudio.gmm import GmmParams, accumulate_stats, estimate_ml
from gmmaudio.gmm._blas import in_parallel, one_blas_thread

OURS, GEMM, FLOAT64, FLOAT32 = "gmmaudio", "likelihood GEMM alone", "scikit-learn float64", "scikit-learn float32"
PEERS = ("pomegranate", "bob.learn.em")
GEMM_ROWS = 512
SPAN = 16.0


@dataclass(frozen=True)
class Row:
    """One line of the table; ratios are median, first and third quartile over paired rounds."""

    data: str
    n_components: int
    n_features: int
    n_frames: int
    alive_per_frame: float
    seconds: dict[str, float]
    gemm_gflops: float
    ours_by_gemm: tuple[float, float, float]
    ours_by_gemm_processor: tuple[float, float, float]
    float64_by_ours: tuple[float, float, float]
    float32_by_ours: tuple[float, float, float]


def our_iteration(params: GmmParams, frames: np.ndarray, n_threads: int) -> Callable[[], object]:
    return lambda: estimate_ml(accumulate_stats(params, frames, n_threads=n_threads), variance_floor=1e-3)


def sklearn_iteration(params: GmmParams, frames: np.ndarray, n_threads: int) -> Callable[[], object]:
    """Return scikit-learn's E-step and M-step: what its `fit` repeats, without its initialisation and last E-step."""
    mixture = GaussianMixture(params.n_components, covariance_type="diag")

    def iteration() -> None:
        mixture.weights_, mixture.means_ = params.weights.astype(frames.dtype), params.means.astype(frames.dtype)
        mixture.covariances_ = params.variances.astype(frames.dtype)
        mixture.precisions_cholesky_ = 1.0 / np.sqrt(mixture.covariances_)
        with threadpool_limits(n_threads):
            _, log_responsibilities = mixture._e_step(frames)
            mixture._m_step(frames, log_responsibilities)

    return iteration


def gemm_alone(params: GmmParams, frames: np.ndarray, n_threads: int) -> Callable[[], object]:
    """Return the product of the finished design and coefficients, in blocks whose result stays in the cache."""
    z = ((frames - params.center) / params.scale).astype(np.float32)
    design = np.hstack([z, z * z, np.ones((len(z), 1), np.float32)])
    matrix = np.ascontiguousarray(params.density_matrix_single.T)
    parts = np.array_split(np.arange(0, len(design), GEMM_ROWS), n_threads)

    def multiply(starts: np.ndarray) -> None:
        result = np.empty((GEMM_ROWS, params.n_components), np.float32)
        for start in starts:
            rows = design[start : start + GEMM_ROWS]
            np.matmul(rows, matrix, out=result[: len(rows)])

    return one_blas_thread(lambda: in_parallel(multiply, parts, n_threads=n_threads))


def measure(data: str, params: GmmParams, frames: np.ndarray, *, n_threads: int, n_rounds: int) -> Row:
    timings = time_in_turns(
        {
            GEMM: gemm_alone(params, frames, n_threads),
            OURS: our_iteration(params, frames, n_threads),
            FLOAT32: sklearn_iteration(params, frames, n_threads),
            FLOAT64: sklearn_iteration(params, frames.astype(np.float64), n_threads),
        },
        n_rounds=n_rounds,
    )
    n_operations = 2.0 * len(frames) * params.n_components * (2 * params.n_features + 1)
    return Row(
        data=data,
        n_components=params.n_components,
        n_features=params.n_features,
        n_frames=len(frames),
        alive_per_frame=alive_components(params, frames, span=SPAN),
        seconds={name: timings.median(name) for name in timings.wall},
        gemm_gflops=n_operations / timings.median(GEMM) / 1e9,
        ours_by_gemm=timings.ratio(OURS, GEMM),
        ours_by_gemm_processor=timings.ratio(OURS, GEMM, of="processor"),
        float64_by_ours=timings.ratio(FLOAT64, OURS),
        float32_by_ours=timings.ratio(FLOAT32, OURS),
    )


def print_table(rows: list[Row], *, n_threads: int, n_rounds: int) -> None:
    table = Table(
        title=f"One EM iteration, {n_threads} threads, medians (quartiles) of {n_rounds} paired rounds",
        caption="not measured: " + ", ".join(absent_peers()),
    )
    headers = ("data", "K", "D", "frames", "alive", "GEMM s", "ours s", "ours / GEMM", "same, processor time")
    for header in (*headers, "float64 / ours", "float32 / ours"):
        table.add_column(header, justify="right")
    for row in rows:
        counts = (row.n_components, row.n_features, row.n_frames)
        ratios = (row.ours_by_gemm, row.ours_by_gemm_processor, row.float64_by_ours, row.float32_by_ours)
        table.add_row(
            row.data,
            *map(str, counts),
            f"{row.alive_per_frame:.1f}",
            *(f"{row.seconds[name]:.3f}" for name in (GEMM, OURS)),
            *(f"{middle:.2f} ({low:.2f}–{high:.2f})" for middle, low, high in ratios),
        )
    Console(width=160).print(table)


def absent_peers() -> list[str]:
    """Return the peers that this table has no column for, with the reason."""
    reasons = ("is installed, but has no column yet", "not installed")
    return [f"{peer} ({reasons[importlib.util.find_spec(peer.split('.')[0]) is None]})" for peer in PEERS]


def draw(rows: list[Row], path: Path) -> None:
    """Draw the seconds of each contestant, in groups."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(2 + 2 * len(rows), 4), layout="constrained")
    for i, name in enumerate((GEMM, OURS, FLOAT32, FLOAT64)):
        axes.bar(np.arange(len(rows)) + 0.2 * i, [row.seconds[name] for row in rows], width=0.2, label=name)
    axes.set_xticks(
        np.arange(len(rows)) + 0.3, [f"{row.data}\nK={row.n_components} D={row.n_features}" for row in rows]
    )
    axes.set(yscale="log", ylabel="seconds per EM iteration")
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    blas = sorted({library["architecture"] for library in threadpool_info() if library["user_api"] == "blas"})
    return {"machine": platform.machine(), "n_processors": os.cpu_count(), "blas_kernels": blas}


@click.command()
@click.argument("recordings", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--components", "all_components", type=int, multiple=True, default=(512,), show_default=True)
@click.option("--features", "all_features", type=click.Choice(["13", "39", "60"]), multiple=True, default=("60",))
@click.option("--frames", "n_frames", type=int, help="Number of frames; all of the recordings if not given.")
@click.option("--threads", "n_threads", type=int, default=os.cpu_count(), show_default=True)
@click.option("--rounds", "n_rounds", type=int, default=7, show_default=True)
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for em_iteration.json and .png."
)
def main(
    recordings: Path,
    all_components: tuple[int, ...],
    all_features: tuple[str, ...],
    n_frames: int | None,
    n_threads: int,
    n_rounds: int,
    output: Path | None,
) -> None:
    """Time EM iterations on the MFCCs of the WAV files in RECORDINGS, and on dense data of the same size."""
    rows = []
    for n_features in map(int, all_features):
        speech = speech_frames(recordings, n_features=n_features, n_frames=n_frames)
        dense = dense_frames(n_features=n_features, n_frames=len(speech))
        for n_components in all_components:
            options = {"n_threads": n_threads, "n_rounds": n_rounds}
            rows.append(measure("speech", speech_model(speech, n_components), speech, **options))
            rows.append(measure("dense", dense_model(dense, n_components), dense, **options))
    print_table(rows, n_threads=n_threads, n_rounds=n_rounds)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        report = {"machine": machine(), "n_threads": n_threads, "rows": [asdict(row) for row in rows]}
        (output / "em_iteration.json").write_text(json.dumps(report, indent=2))
        draw(rows, output / "em_iteration.png")


if __name__ == "__main__":
    main()
