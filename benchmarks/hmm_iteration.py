"""Time one Baum-Welch iteration of a GMM-HMM against hmmlearn, dynamax, and the matrix products and exponentials alone.

Every contestant starts from the same model and does one E-step and one M-step on the same frames with the same number
of threads. The floor is two float32 matrix products and one exponential for each Gaussian and frame, on finished
arrays, in blocks that stay in the cache. Peers that are not installed are named; what a peer compiles is timed apart.
"""

import importlib.util
import json
import os
import platform
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from paired import time_in_turns
from rich.console import Console
from rich.table import Table
from scipy.signal import lfilter
from threadpoolctl import threadpool_info, threadpool_limits

from gmmaudio.gmm._blas import in_parallel, one_blas_thread
from gmmaudio.hmm import GMMHMM
from gmmaudio.hmm.alignment import baum_welch
from gmmaudio.hmm.emissions import MixtureEmissions
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.hmm.sequences import SequenceSource
from gmmaudio.hmm.training import EmSteps, LocalData

OURS, RAGGED, FLOOR = "gmmaudio", "gmmaudio ragged", "GEMM and exp alone"
HMMLEARN, DYNAMAX, POMEGRANATE = "hmmlearn", "dynamax", "pomegranate"
BLOCK_ROWS = 512
WARM_UP_ITERATIONS = 3
VARIANCE_FLOOR = 1e-3

Step = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table; ratios are median, first and third quartile over paired rounds."""

    n_features: int
    n_states: int
    n_components: int
    seconds: dict[str, float]
    ratios: dict[str, tuple[float, float, float]]
    compile_seconds: dict[str, float]
    peak_megabytes: dict[str, float]


def smooth_frames(n_frames: int, n_features: int) -> np.ndarray:
    """Return frames that wander like cepstra: levels that overlap, and noise that is correlated in time."""
    rng = np.random.default_rng(0)
    levels = rng.normal(0, 0.7, (40, n_features))
    frames = levels[np.repeat(rng.integers(0, 40, n_frames // 20 + 1), 20)[:n_frames]]
    return frames + lfilter([1.0], [1.0, -0.7], rng.normal(0, 0.7, (n_frames, n_features)), axis=0)


def ragged_lengths(n_sequences: int, n_frames: int) -> np.ndarray:
    """Return lengths from a tenth to twice the mean, with the given sum."""
    shares = np.random.default_rng(1).uniform(0.1, 1.9, n_sequences)
    lengths = np.maximum(1, np.floor(shares / shares.sum() * n_frames)).astype(int)
    lengths[-1] += n_frames - lengths.sum()
    return lengths


def start_model(frames: np.ndarray, n_states: int, n_components: int, lengths: np.ndarray) -> HmmParams:
    """Return a model after a few iterations: what most iterations of a training work with."""
    hmm = GMMHMM(n_states, n_components, max_iter=WARM_UP_ITERATIONS, tol=0.0, random_state=0)
    return hmm.fit(frames, lengths).params_


def our_iteration(params: HmmParams, frames: np.ndarray, lengths: np.ndarray) -> Step:
    steps = EmSteps(LocalData(SequenceSource(frames, lengths)), baum_welch, np.full(frames.shape[1], VARIANCE_FLOOR))
    return lambda: steps.estimate(steps.accumulate(params))


def floor_alone(params: HmmParams, frames: np.ndarray, n_threads: int) -> Step:
    """Return both matrix products and the exponentials, in blocks."""
    pool = params.emissions.pool
    z = ((frames - pool.center) / pool.scale).astype(np.float32)
    design = np.hstack([z, z * z, np.ones((len(z), 1), np.float32)])
    matrix = pool.density_matrix_single
    shifts = (matrix @ design.T).max(axis=0)
    parts = np.array_split(np.arange(0, len(design), BLOCK_ROWS), n_threads)

    def work(starts: np.ndarray) -> None:
        moments = np.zeros(matrix.shape)
        for start in starts:
            rows = slice(start, start + BLOCK_ROWS)
            table = matrix @ design[rows].T
            np.subtract(table, shifts[rows], out=table)
            np.maximum(table, -50.0, out=table)  # denormal numbers would be slow
            np.exp(table, out=table)
            moments += table @ design[rows]

    return one_blas_thread(lambda: in_parallel(work, parts, n_threads=n_threads))


def hmmlearn_model(params: HmmParams) -> Any:
    """Return hmmlearn's model with these parameters."""
    from hmmlearn.hmm import GMMHMM as PeerHMM  # noqa: N811

    peer = PeerHMM(params.n_states, stacked(params)[0].shape[1], covariance_type="diag", init_params="")
    peer.startprob_, peer.transmat_ = params.start_probs, params.transition_matrix
    peer.weights_, peer.means_, peer.covars_ = (array.copy() for array in stacked(params))
    peer.n_features = params.n_features
    peer._init_covar_priors()
    peer._fix_priors_shape()
    return peer


def hmmlearn_iteration(params: HmmParams, frames: np.ndarray, lengths: np.ndarray, n_threads: int) -> Step:
    """Return E-step and M-step alone: its `fit` also runs k-means, whatever the start."""
    peer = hmmlearn_model(params)
    arrays = stacked(params)

    def iteration() -> None:
        peer.startprob_, peer.transmat_ = params.start_probs, params.transition_matrix
        peer.weights_, peer.means_, peer.covars_ = (array.copy() for array in arrays)
        with threadpool_limits(n_threads):
            statistics, _ = peer._do_estep(frames, lengths)
            peer._do_mstep(statistics)

    return iteration


def dynamax_iteration(params: HmmParams, frames: np.ndarray, n_sequences: int) -> tuple[Step, float]:
    """Return the compiled iteration of its `fit_em` in float32, and how long it took to compile."""
    import jax
    from dynamax.hidden_markov_model import DiagonalGaussianMixtureHMM

    weights, means, variances = (array.astype(np.float32) for array in stacked(params))
    n_states, n_components, n_features = means.shape
    model = DiagonalGaussianMixtureHMM(n_states, n_components, n_features)
    start, properties = model.initialize(
        initial_probs=params.start_probs.astype(np.float32),
        transition_matrix=params.transition_matrix.astype(np.float32),
        emission_weights=weights,
        emission_means=means,
        emission_scale_diags=np.sqrt(variances),
    )
    batch = jax.numpy.asarray(frames.reshape(n_sequences, -1, n_features), dtype=np.float32)
    state = model.initialize_m_step_state(start, properties)

    @jax.jit
    def iteration(current: object) -> object:
        statistics, log_likelihoods = jax.vmap(lambda sequence: model.e_step(current, sequence))(batch)
        return model.m_step(current, properties, statistics, state), log_likelihoods.sum()

    started = time.perf_counter()
    jax.block_until_ready(iteration(start))
    return lambda: jax.block_until_ready(iteration(start)), time.perf_counter() - started


def measure(
    n_features: int, n_states: int, n_components: int, *, n_sequences: int, length: int, n_threads: int, n_rounds: int
) -> Row:
    n_frames = n_sequences * length
    frames = smooth_frames(n_frames, n_features)
    equal, ragged = np.full(n_sequences, length), ragged_lengths(n_sequences, n_frames)
    params = start_model(frames, n_states, n_components, equal)
    started = time.perf_counter()
    ours = our_iteration(params, frames, equal)
    ours()
    compile_seconds = {OURS: time.perf_counter() - started}
    contestants = {
        FLOOR: floor_alone(params, frames, n_threads),
        OURS: ours,
        RAGGED: our_iteration(params, frames, ragged),
    }
    if importlib.util.find_spec("hmmlearn"):
        contestants[HMMLEARN] = hmmlearn_iteration(params, frames, equal, n_threads)
    if importlib.util.find_spec("dynamax"):
        contestants[DYNAMAX], compile_seconds[DYNAMAX] = dynamax_iteration(params, frames, n_sequences)
    timings = time_in_turns(contestants, n_rounds=n_rounds)
    ratios = {name: timings.ratio(name, OURS) for name in contestants if name not in (OURS, FLOOR)}
    ratios[FLOOR] = timings.ratio(OURS, FLOOR)
    ratios[f"{FLOOR}, processor"] = timings.ratio(OURS, FLOOR, of="processor")
    seconds = {name: timings.median(name) for name in contestants}
    peaks = {name: peak_megabytes(contestants[name]) for name in (OURS, HMMLEARN) if name in contestants}
    return Row(n_features, n_states, n_components, seconds, ratios, compile_seconds, peaks)


def peak_megabytes(step: Step) -> float:
    """Return the largest amount of memory that NumPy's arrays take during a step, beyond the data."""
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def print_table(rows: list[Row], *, n_sequences: int, length: int, n_threads: int, n_rounds: int) -> None:
    absent = [name for name in (HMMLEARN, DYNAMAX) if not importlib.util.find_spec(name)]
    table = Table(
        title=f"One Baum-Welch iteration, {n_sequences} sequences of {length} frames, {n_threads} threads, medians "
        f"(quartiles) of {n_rounds} paired rounds",
        caption=f"not measured: {', '.join([*(f'{name} (not installed)' for name in absent), POMEGRANATE])}",
    )
    columns = {
        "ours / floor": FLOOR,
        "same, processor time": f"{FLOOR}, processor",
        "hmmlearn / ours": HMMLEARN,
        "dynamax / ours": DYNAMAX,
        "ragged / equal": RAGGED,
    }
    for header in ("D", "S", "M", "floor ms", "ours ms", *columns, "dynamax compiles s", "peak MB", "hmmlearn MB"):
        table.add_column(header, justify="right")
    for row in rows:
        cells = [f"{row.n_features}", f"{row.n_states}", f"{row.n_components}"]
        cells += [f"{1e3 * row.seconds[name]:.1f}" for name in (FLOOR, OURS)]
        for name in columns.values():
            middle, low, high = row.ratios.get(name, (np.nan,) * 3)
            cells.append("" if np.isnan(middle) else f"{middle:.2f} ({low:.2f}–{high:.2f})")
        compiled = row.compile_seconds.get(DYNAMAX)
        peaks = [row.peak_megabytes.get(name) for name in (OURS, HMMLEARN)]
        table.add_row(*cells, *("" if value is None else f"{value:.1f}" for value in (compiled, *peaks)))
    Console(width=200).print(table)


def stacked(params: HmmParams) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, means and variances of all states."""
    assert isinstance(params.emissions, MixtureEmissions)
    mixtures = params.emissions.mixtures
    names = ("weights", "means", "variances")
    weights, means, variances = (np.stack([getattr(mixture, name) for mixture in mixtures]) for name in names)
    return weights, means, variances


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    blas = sorted({library["architecture"] for library in threadpool_info() if library["user_api"] == "blas"})
    return {"machine": platform.machine(), "n_processors": os.cpu_count(), "blas_kernels": blas}


@click.command()
@click.option("--features", "all_features", type=int, multiple=True, default=(39,), show_default=True)
@click.option("--states", "all_states", type=int, multiple=True, default=(5,), show_default=True)
@click.option("--components", "all_components", type=int, multiple=True, default=(8,), show_default=True)
@click.option("--sequences", "n_sequences", type=int, default=100, show_default=True)
@click.option("--length", type=int, default=200, show_default=True)
@click.option("--rounds", "n_rounds", type=int, default=9, show_default=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for hmm_iteration.json.")
def main(
    all_features: tuple[int, ...],
    all_states: tuple[int, ...],
    all_components: tuple[int, ...],
    n_sequences: int,
    length: int,
    n_rounds: int,
    output: Path | None,
) -> None:
    """Time one Baum-Welch iteration for every combination of features, states and components."""
    n_threads = os.cpu_count() or 1
    rows = [
        measure(
            n_features,
            n_states,
            n_components,
            n_sequences=n_sequences,
            length=length,
            n_threads=n_threads,
            n_rounds=n_rounds,
        )
        for n_features in all_features
        for n_states in all_states
        for n_components in all_components
    ]
    print_table(rows, n_sequences=n_sequences, length=length, n_threads=n_threads, n_rounds=n_rounds)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        report = {"machine": machine(), "n_threads": n_threads, "rows": [asdict(row) for row in rows]}
        (output / "hmm_iteration.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
