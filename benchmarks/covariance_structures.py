"""One EM iteration under each structure of covariances, and with missing values, beside scikit-learn's.

    python benchmarks/covariance_structures.py [--frames N] [--components K] [--features D] [--rounds R]

Frames of overlapping correlated clusters. scikit-learn is measured without its initialisation: its E-step and M-step
from the same parameters. "GEMM" is the matrix product of the log-densities alone, on finished monomials.
"""

from collections.abc import Callable

import click
import numpy as np
from paired import time_in_turns
from rich.console import Console
from rich.table import Table
from sklearn.mixture import GaussianMixture

from gmmaudio.gmm import GmmParams, accumulate_stats, estimate_ml
from gmmaudio.gmm.covariances import STRUCTURES

FLOOR = 1e-6
SHARE_MISSING = 0.1


def clusters(n_frames: int, n_components: int, n_features: int) -> tuple[np.ndarray, GmmParams]:
    """Return frames, and a mixture with diagonal covariances that is a fair start for them."""
    rng = np.random.default_rng(0)
    means = 1.5 * rng.standard_normal((n_components, n_features))
    factors = np.eye(n_features) + rng.standard_normal((n_components, n_features, n_features)) / (
        2.0 * np.sqrt(n_features)
    )
    numbers = rng.integers(n_components, size=n_frames)
    noise = np.einsum("tij,tj->ti", factors[numbers], rng.standard_normal((n_frames, n_features)))
    start = GmmParams(np.full(n_components, 1.0 / n_components), means, np.ones_like(means))
    return means[numbers] + noise, start


def settled(frames: np.ndarray, start: GmmParams, name: str) -> GmmParams:
    """Return the mixture of this structure after two iterations."""
    params = GmmParams(start.weights, start.means, STRUCTURES[name].from_variances(start.variances))
    for _ in range(2):
        params = estimate_ml(accumulate_stats(params, frames, precision="double"), variance_floor=FLOOR)
    return params


def peer_iteration(frames: np.ndarray, params: GmmParams) -> Callable[[], None]:
    """Return scikit-learn's EM iteration from these parameters, without anything before it."""
    array, aligned = params.covariances.array, params.covariances.axis_aligned
    precisions = 1.0 / array if aligned else np.linalg.inv(array)
    peer = GaussianMixture(params.n_components, covariance_type=params.covariances.name)
    factors = np.sqrt(precisions) if aligned else np.linalg.cholesky(precisions)
    peer._set_parameters((params.weights, params.means, array, factors))

    def iterate() -> None:
        _, log_responsibilities = peer._e_step(frames)
        peer._m_step(frames, log_responsibilities)

    return iterate


def product_alone(frames: np.ndarray, params: GmmParams) -> Callable[[], None]:
    """Return the matrix product of the log-densities in float32, on monomials that are there already."""
    n_columns = 512
    design = np.zeros((params.density_matrix.shape[1], n_columns), np.float32)
    params.design.fill(frames[:n_columns], design)
    out = np.empty((params.n_components, n_columns), np.float32)

    def multiply() -> None:
        for _ in range(len(frames) // n_columns):
            np.matmul(params.density_matrix_single, design, out=out)

    return multiply


@click.command()
@click.option("--frames", "n_frames", default=50_000, show_default=True)
@click.option("--components", default=32, show_default=True)
@click.option("--features", default=20, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(n_frames: int, components: int, features: int, rounds: int) -> None:
    """Print times and ratios: median (quartiles) of those of the same round."""
    frames, start = clusters(n_frames, components, features)
    holes = np.where(np.random.default_rng(1).random(frames.shape) < SHARE_MISSING, np.nan, frames)
    narrow = frames.astype(np.float32)
    columns = ("structure", "ours, ms", "ours / GEMM", "double / ours", "scikit-learn / ours", "scikit-learn / double")
    title = f"{n_frames} frames, K = {components}, D = {features}"
    table = Table(*columns, "a tenth missing / double", title=title)
    for name in STRUCTURES:
        params = settled(frames, start, name)

        def iterate(data: np.ndarray, precision: str, params: GmmParams = params) -> None:
            estimate_ml(accumulate_stats(params, data, precision=precision), variance_floor=FLOOR)

        timings = time_in_turns(
            {
                "ours": lambda iterate=iterate: iterate(narrow, "single"),
                "double": lambda iterate=iterate: iterate(frames, "double"),
                "missing": lambda iterate=iterate: iterate(holes, "double"),
                "scikit-learn": peer_iteration(frames, params),
                "GEMM": product_alone(frames, params),
            },
            n_rounds=rounds,
        )
        pairs = [("ours", "GEMM"), ("double", "ours"), ("scikit-learn", "ours"), ("scikit-learn", "double")]
        ratios = [timings.ratio(*pair) for pair in (*pairs, ("missing", "double"))]
        shown = [f"{middle:.1f} ({low:.1f}–{high:.1f})" for middle, low, high in ratios]
        table.add_row(name, f"{1e3 * timings.median('ours'):.0f}", *shown)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
