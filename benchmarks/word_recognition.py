"""Time the recognition of words on one core, in seconds of speech for each second of work.

By processor time, which hardly depends on other programs, and on the clock. Random left-right models of eight states
in a loop of any words, with pauses between them and garbage beside them, on random frames, 100 a second: the work does
not depend on what is said. Features are not included.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click
import numpy as np
from paired import time_in_turns
from rich.console import Console
from rich.table import Table

from gmmaudio.gmm import GmmParams
from gmmaudio.hmm import HmmParams, MixtureEmissions
from gmmaudio.words import (
    GARBAGE,
    SILENCE,
    WordNetwork,
    WordStream,
    build_network,
    decode,
    decode_n_best,
    label_posteriors,
    word_loop,
)

FRAMES_PER_SECOND = 100
SECONDS = 10
N_FEATURES = 39
N_STATES = 8
LIVE_BLOCK = 10


def left_right(rng: np.random.Generator, n_states: int, n_components: int) -> HmmParams:
    """Return a model whose states last 1/0.3 frames on average."""
    steps = 0.7 * np.eye(n_states) + 0.3 * np.eye(n_states, k=1)
    weights, variances = np.full(n_components, 1.0 / n_components), np.ones((n_components, N_FEATURES))
    states = [GmmParams(weights, rng.normal(size=variances.shape), variances) for _ in range(n_states)]
    return HmmParams(np.eye(n_states)[0], steps, MixtureEmissions(states), end_probs=0.3 * np.eye(n_states)[-1])


def loop_network(n_words: int, n_components: int) -> WordNetwork:
    """Return the network of a loop of words."""
    rng = np.random.default_rng(0)
    words = [f"word{n}" for n in range(n_words)]
    models = {word: left_right(rng, N_STATES, n_components) for word in words}
    models |= {SILENCE: left_right(rng, 3, n_components), GARBAGE: left_right(rng, 1, 32)}
    return build_network(word_loop(words).with_garbage(), models)


def live(network: WordNetwork, frames: np.ndarray) -> None:
    """Recognise blocks of a tenth of a second, with a partial result after each."""
    stream = WordStream(network)
    for start in range(0, len(frames), LIVE_BLOCK):
        stream.push(frames[start : start + LIVE_BLOCK])
        _ = stream.result
    stream.flush()


@click.command()
@click.option("--words", "sizes", multiple=True, type=int, default=(10, 100), show_default=True)
@click.option("--components", default=3, show_default=True, help="Gaussians in each state.")
@click.option("--rounds", default=5, show_default=True)
def main(sizes: tuple[int, ...], components: int, rounds: int) -> None:
    """Print one line for each step and number of words."""
    table = Table("words", "states", "arcs", "step", "× real time", "on the clock")
    frames = np.random.default_rng(1).normal(size=(SECONDS * FRAMES_PER_SECOND, N_FEATURES)).astype(np.float32)
    for n_words in sizes:
        network = loop_network(n_words, components)
        log_likelihoods = network.emission_log_likelihoods(frames)
        steps = {
            "emissions": lambda net=network: net.emission_log_likelihoods(frames),
            "best path": lambda net=network, given=log_likelihoods: decode(net, given),
            "confidences": lambda net=network, given=log_likelihoods: label_posteriors(net, given),
            "5 best": lambda net=network, given=log_likelihoods: decode_n_best(net, given, 5),
            "live, with emissions": lambda net=network: live(net, frames),
        }
        timings = time_in_turns(steps, n_rounds=rounds)
        for step in steps:
            speeds = (SECONDS / np.median(times[step]) for times in (timings.processor, timings.wall))
            sizes_of = str(n_words), str(network.n_states), str(network.transition_matrix.nnz)
            table.add_row(*sizes_of, step, *(f"{speed:,.0f}" for speed in speeds))
    Console().print(table)


if __name__ == "__main__":
    main()
