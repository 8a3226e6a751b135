"""Time one EM iteration against scikit-learn and against its largest matrix product alone.

Every contestant starts from the same mixture and does one E-step and one M-step on the same float32 MFCCs (scikit-learn
also as float64) with the same number of threads. The matrix product is that of the likelihoods: the physical limit of
everything that evaluates each component of each frame. A pass over shortlists does not, and goes below it; every full
pass is followed by a few of those.
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
from gmmaudio.gmm.shortlists import ShortlistAccumulator, Shortlists

OURS, SHORT, GEMM = "gmmaudio", "gmmaudio, shortlists", "likelihood GEMM alone"
FLOAT64, FLOAT32 = "scikit-learn float64", "scikit-learn float32"
POMEGRANATE, BOB = "pomegranate", "bob.learn.em"
GRID_COMPONENTS, GRID_FEATURES = (64, 256, 512, 1024), ("20", "39", "60")
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
    short_by_gemm_processor: tuple[float, float, float]
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


def shortlist_iteration(params: GmmParams, frames: np.ndarray, n_threads: int) -> Callable[[], object]:
    """Return an iteration over lists that a full pass has made before the clock runs."""
    shortlists = Shortlists()

    def iteration() -> GmmParams:
        accumulator = ShortlistAccumulator(params, shortlists, n_threads=n_threads)
        accumulator.push(frames)
        return estimate_ml(accumulator.result(), variance_floor=1e-3)

    iteration()
    return iteration


def pomegranate_iteration(params: GmmParams, frames: np.ndarray, n_threads: int) -> Callable[[], object]:
    """Return the statistics and the update of pomegranate 1.x, which works in float32 on PyTorch."""
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    torch.set_num_threads(n_threads)
    tensor = torch.tensor(frames, dtype=torch.float32)
    means, variances = (torch.tensor(array, dtype=torch.float32) for array in (params.means, params.variances))
    components = [
        Normal(mean, variance, covariance_type="diag") for mean, variance in zip(means, variances, strict=True)
    ]
    mixture = GeneralMixtureModel(components, priors=torch.tensor(params.weights, dtype=torch.float32))

    def iteration() -> None:
        mixture.summarize(tensor)
        mixture.from_summaries()

    return iteration


def bob_iteration(params: GmmParams, frames: np.ndarray, n_threads: int) -> Callable[[], object]:
    """Return the statistics and the update of bob.learn.em 3.x, which works in float64 on NumPy."""
    from bob.learn.em import GMMMachine
    from bob.learn.em.gmm import e_step, m_step

    machine = GMMMachine(params.n_components, update_variances=True, update_weights=True)
    double = frames.astype(np.float64)

    def iteration() -> None:
        machine.weights, machine.means, machine.variances = params.weights, params.means, params.variances
        with threadpool_limits(n_threads):
            m_step([e_step(double, machine)], machine)

    return iteration


PEERS = {POMEGRANATE: pomegranate_iteration, BOB: bob_iteration}


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
    peers = {name: make(params, frames, n_threads) for name, make in PEERS.items() if is_installed(name)}
    timings = time_in_turns(
        {
            GEMM: gemm_alone(params, frames, n_threads),
            OURS: our_iteration(params, frames, n_threads),
            SHORT: shortlist_iteration(params, frames, n_threads),
            FLOAT32: sklearn_iteration(params, frames, n_threads),
            FLOAT64: sklearn_iteration(params, frames.astype(np.float64), n_threads),
            **peers,
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
        short_by_gemm_processor=timings.ratio(SHORT, GEMM, of="processor"),
        float64_by_ours=timings.ratio(FLOAT64, OURS),
        float32_by_ours=timings.ratio(FLOAT32, OURS),
    )


def print_table(rows: list[Row], *, n_threads: int, n_rounds: int) -> None:
    absent = [f"{name} (not installed)" for name in PEERS if not is_installed(name)]
    installed = [name for name in PEERS if is_installed(name)]
    table = Table(
        title=f"One EM iteration, {n_threads} threads, medians (quartiles) of {n_rounds} paired rounds",
        caption="not measured: " + ", ".join(absent) if absent else None,
    )
    headers = ("data", "K", "D", "frames", "alive", "GEMM s", "ours s", "shortlists s", "ours / GEMM")
    processor = ("same, processor time", "shortlists / GEMM, processor time")
    for header in (*headers, *processor, "float64 / ours", "float32 / ours", *(f"{name} s" for name in installed)):
        table.add_column(header, justify="right")
    for row in rows:
        counts = (row.n_components, row.n_features, row.n_frames)
        by_gemm = (row.ours_by_gemm, row.ours_by_gemm_processor, row.short_by_gemm_processor)
        ratios = (*by_gemm, row.float64_by_ours, row.float32_by_ours)
        table.add_row(
            row.data,
            *map(str, counts),
            f"{row.alive_per_frame:.1f}",
            *(f"{row.seconds[name]:.3f}" for name in (GEMM, OURS, SHORT)),
            *(f"{middle:.2f} ({low:.2f}–{high:.2f})" for middle, low, high in ratios),
            *(f"{row.seconds[name]:.3f}" for name in installed),
        )
    Console(width=180).print(table)


def is_installed(peer: str) -> bool:
    """Say whether a peer can be imported, without importing it."""
    package = peer.split(".")[0]
    return importlib.util.find_spec(package) is not None and importlib.util.find_spec(peer) is not None


def draw(rows: list[Row], path: Path) -> None:
    """Draw the seconds of each contestant, in groups."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(2 + 2 * len(rows), 4), layout="constrained")
    names = list(rows[0].seconds)
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        axes.bar(np.arange(len(rows)) + width * i, [row.seconds[name] for row in rows], width=width, label=name)
    axes.set_xticks(
        np.arange(len(rows)) + 0.4 - width / 2, [f"{row.data}\nK={row.n_components} D={row.n_features}" for row in rows]
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
@click.option("--features", "all_features", type=click.Choice(["13", "20", "39", "60"]), multiple=True, default=("60",))
@click.option("--grid", is_flag=True, help="All of 64, 256, 512, 1024 components times 20, 39, 60 features.")
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
    grid: bool,
    n_frames: int | None,
    n_threads: int,
    n_rounds: int,
    output: Path | None,
) -> None:
    """Time EM iterations on the MFCCs of the WAV files in RECORDINGS, and on dense data of the same size."""
    if grid:
        all_components, all_features = GRID_COMPONENTS, GRID_FEATURES
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
