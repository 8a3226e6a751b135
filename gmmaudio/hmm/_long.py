"""Baum-Welch over one long sequence in blocks: memory for a block, and one row of forward values per block.

A forward pass keeps the forward values at the end of each block. Then the blocks are done again from the last to the
first, each as a short sequence of its own: it starts with the forward values of the frame before it, as a frame that
says nothing, and ends with the backward values of the frame after it. Densities are evaluated twice. (Checkpoints as in
the linear-memory recursions of Tarnas & Hughey 1998; one level of them.)
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.hmm._kernels import _kernel
from gmmaudio.hmm._wide_kernels import _times_likelihoods, _wide_advance
from gmmaudio.hmm.chain import Chain, _raised
from gmmaudio.hmm.inference import WideRow, batch_posteriors, run_filter

BlockLikelihoods = Callable[[int], Float64Array]
"""From the number of a block, the log-likelihoods of its frames in the states."""


class BlockPosteriors(NamedTuple):
    """Posteriors of the frames of one block, and the arcs into and within it."""

    number: int
    state_posteriors: Float64Array
    arc_counts: Float64Array


def long_log_likelihood(
    chain: Chain, block_likelihoods: BlockLikelihoods, n_blocks: int
) -> tuple[float, list[WideRow | None]]:
    """Return the log-likelihood of the sequence, and the forward values before each block."""
    total = 0.0
    rows: list[WideRow | None] = [None]
    for number in range(n_blocks):
        forward = run_filter(chain, block_likelihoods(number), rows[-1])
        total += float(forward.log_densities.sum())
        rows.append(forward.last(rows[-1]))
    last = rows.pop()
    assert last is not None
    with np.errstate(divide="ignore"):
        terms = np.log(last[0]) + np.log(2.0) * last[1] + np.log(chain.end)
    return total + float(np.logaddexp.reduce(terms)), rows


def long_posteriors(
    chain: Chain, block_likelihoods: BlockLikelihoods, rows: list[WideRow | None]
) -> Iterator[BlockPosteriors]:
    """Yield the posteriors of the blocks, from the last to the first, given the forward values before each."""
    after = chain.end_mantissas.copy(), chain.end_exponents.copy()
    for number in range(len(rows) - 1, -1, -1):
        log_likelihoods, before = block_likelihoods(number), rows[number]
        part = _ending(chain, after)
        if before is not None:
            part = _starting(part, before)
            log_likelihoods = np.vstack([np.zeros(chain.n_states), log_likelihoods])
        found = batch_posteriors(part, log_likelihoods, np.array([0, len(log_likelihoods)]))
        posteriors = found.state_posteriors if before is None else found.state_posteriors[1:]
        yield BlockPosteriors(number, posteriors, found.arc_counts)
        _step_back(chain, log_likelihoods if before is None else log_likelihoods[1:], *after)


def _starting(chain: Chain, row: WideRow) -> Chain:
    """Return the chain with forward values in place of its start probabilities."""
    probs = _relative(row)
    return chain._replace(
        start=probs, raised_start=_raised(probs), start_mantissas=row[0], start_exponents=row[1], is_raised=True
    )


def _ending(chain: Chain, row: WideRow) -> Chain:
    """Return the chain with backward values in place of its end probabilities."""
    probs = _relative(row)
    mantissas, exponents = row[0].copy(), row[1].copy()
    return chain._replace(end=probs, raised_end=_raised(probs), end_mantissas=mantissas, end_exponents=exponents)


def _relative(row: WideRow) -> Float64Array:
    """Return wide numbers over the largest of them, as ordinary numbers."""
    mantissas, exponents = row
    below = np.maximum(exponents - exponents.max(), -2000.0)
    return np.asarray(np.ldexp(mantissas, below.astype(np.int32)))


@_kernel
def _step_back(chain: Chain, log_likelihoods: Float64Array, mantissas: Float64Array, exponents: Float64Array) -> None:
    """Replace backward values after a block by those before it."""
    weighted, weighted_exponents = np.empty(len(mantissas)), np.empty(len(mantissas))
    for t in range(len(log_likelihoods) - 1, -1, -1):
        weighted[:] = mantissas
        weighted_exponents[:] = exponents
        _times_likelihoods(log_likelihoods[t], weighted, weighted_exponents)
        _wide_advance(chain.outgoing, weighted, weighted_exponents, mantissas, exponents)
        largest = exponents.max()
        for i in range(len(exponents)):
            exponents[i] -= largest
