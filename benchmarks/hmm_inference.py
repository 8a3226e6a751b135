"""Time the recursions alone, Viterbi alone, scoring and decoding against hmmlearn and dynamax.

"recursions" and "Viterbi" start from finished log-likelihoods of the frames; "score" and "decode" from the frames. All
contestants get the same model and the same sequences. dynamax is compiled before it is timed, in float32.
"""

import importlib.util
import os
from collections.abc import Callable

import click
import numpy as np
from hmm_iteration import DYNAMAX, HMMLEARN, OURS, hmmlearn_model, smooth_frames, stacked, start_model
from paired import time_in_turns
from rich.console import Console
from rich.table import Table

from gmmaudio.hmm import GMMHMM, HmmParams
from gmmaudio.hmm._lanes import lane_posteriors
from gmmaudio.hmm.inference import batch_viterbi

Step = Callable[[], object]
TASKS = ("recursions", "Viterbi", "score", "decode")


def our_tasks(params: HmmParams, frames: np.ndarray, lengths: np.ndarray, likelihoods: np.ndarray) -> dict[str, Step]:
    hmm = GMMHMM.from_params(params)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return {
        "recursions": lambda: lane_posteriors(params.chain, likelihoods, offsets),
        "Viterbi": lambda: batch_viterbi(params.chain, likelihoods, offsets),
        "score": lambda: hmm.score(frames, lengths),
        "decode": lambda: hmm.decode(frames, lengths),
    }


def hmmlearn_tasks(
    params: HmmParams, frames: np.ndarray, lengths: np.ndarray, likelihoods: np.ndarray
) -> dict[str, Step]:
    from hmmlearn import _hmmc

    peer = hmmlearn_model(params)
    chain = params.start_probs, params.transition_matrix
    parts = np.split(likelihoods, np.cumsum(lengths)[:-1])

    def recursions() -> None:
        for part in parts:
            _, forward = _hmmc.forward_log(*chain, part)
            backward = _hmmc.backward_log(*chain, part)
            _hmmc.compute_log_xi_sum(forward, params.transition_matrix, backward, part)

    return {
        "recursions": recursions,
        "Viterbi": lambda: [_hmmc.viterbi(*chain, part) for part in parts],
        "score": lambda: peer.score(frames, lengths),
        "decode": lambda: peer.decode(frames, lengths),
    }


def dynamax_tasks(params: HmmParams, frames: np.ndarray, n_sequences: int, likelihoods: np.ndarray) -> dict[str, Step]:
    import jax
    from dynamax.hidden_markov_model import DiagonalGaussianMixtureHMM, hmm_posterior_mode, hmm_two_filter_smoother

    weights, means, variances = (array.astype(np.float32) for array in stacked(params))
    model = DiagonalGaussianMixtureHMM(*means.shape)
    chain = params.start_probs.astype(np.float32), params.transition_matrix.astype(np.float32)
    start, _ = model.initialize(
        initial_probs=chain[0],
        transition_matrix=chain[1],
        emission_weights=weights,
        emission_means=means,
        emission_scale_diags=np.sqrt(variances),
    )
    start = jax.tree.map(jax.numpy.asarray, start)
    batch = jax.numpy.asarray(frames.reshape(n_sequences, -1, means.shape[2]), dtype=np.float32)
    table = jax.numpy.asarray(likelihoods.reshape(n_sequences, -1, len(weights)), dtype=np.float32)
    functions = {
        "recursions": jax.jit(jax.vmap(lambda rows: hmm_two_filter_smoother(*chain, rows))),
        "Viterbi": jax.jit(jax.vmap(lambda rows: hmm_posterior_mode(*chain, rows))),
        "score": jax.jit(jax.vmap(lambda sequence: model.marginal_log_prob(start, sequence))),
        "decode": jax.jit(jax.vmap(lambda sequence: model.most_likely_states(start, sequence))),
    }
    inputs = {"recursions": table, "Viterbi": table, "score": batch, "decode": batch}
    return {name: lambda name=name: jax.block_until_ready(functions[name](inputs[name])) for name in TASKS}


@click.command()
@click.option("--features", "n_features", type=int, default=39, show_default=True)
@click.option("--states", "all_states", type=int, multiple=True, default=(5, 10, 50), show_default=True)
@click.option("--components", "n_components", type=int, default=8, show_default=True)
@click.option("--sequences", "n_sequences", type=int, default=100, show_default=True)
@click.option("--length", type=int, default=200, show_default=True)
@click.option("--rounds", "n_rounds", type=int, default=5, show_default=True)
def main(
    n_features: int, all_states: tuple[int, ...], n_components: int, n_sequences: int, length: int, n_rounds: int
) -> None:
    """Time inference for each number of states."""
    table = Table(
        title=f"{n_sequences} sequences of {length} frames, D = {n_features}, M = {n_components}, {os.cpu_count()} "
        f"processors, medians (quartiles) of {n_rounds} paired rounds"
    )
    for header in ("S", "task", "ours ms", "hmmlearn / ours", "dynamax / ours"):
        table.add_column(header, justify="right")
    frames, lengths = smooth_frames(n_sequences * length, n_features), np.full(n_sequences, length)
    for n_states in all_states:
        params = start_model(frames, n_states, n_components, lengths)
        likelihoods = params.frame_log_likelihoods(frames)
        tasks = {OURS: our_tasks(params, frames, lengths, likelihoods)}
        if importlib.util.find_spec("hmmlearn"):
            tasks[HMMLEARN] = hmmlearn_tasks(params, frames, lengths, likelihoods)
        if importlib.util.find_spec("dynamax"):
            tasks[DYNAMAX] = dynamax_tasks(params, frames, n_sequences, likelihoods)
        for task in TASKS:
            timings = time_in_turns({name: steps[task] for name, steps in tasks.items()}, n_rounds=n_rounds)
            ratios = [timings.ratio(name, OURS) if name in tasks else None for name in (HMMLEARN, DYNAMAX)]
            cells = ["not installed" if r is None else f"{r[0]:.1f} ({r[1]:.1f}–{r[2]:.1f})" for r in ratios]
            table.add_row(str(n_states), task, f"{1e3 * timings.median(OURS):.1f}", *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
