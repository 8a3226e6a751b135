"""Forward-backward over a batch for training: many sequences at a time where that is faster.

Both ways calculate the same; their bits differ. Which one is taken depends on the lengths and on the number of arcs.
"""

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.hmm import _lane_kernels
from gmmaudio.hmm.chain import Chain
from gmmaudio.hmm.inference import BatchPosteriors, batch_posteriors, wide_posteriors

LANES = _lane_kernels.LANES

MOST_ARCS = 400
"""With more arcs, loops over the rows of a matrix are faster (measured)."""

LEAST_FILLED = 0.2
"""Share of the lanes that must be in use, of a whole batch, for them to be faster (measured)."""


def lane_posteriors(chain: Chain, log_likelihoods: Float64Array, offsets: IntArray) -> BatchPosteriors:
    """Run forward-backward over sequences that lie one after the other, as `inference.batch_posteriors` does."""
    lengths = np.diff(offsets)
    longest = np.maximum.reduceat(lengths, np.arange(0, len(lengths), LANES))
    is_filled = lengths.sum() >= LEAST_FILLED * LANES * longest.sum()
    if not is_filled or len(chain.outgoing.probs) > MOST_ARCS:
        return batch_posteriors(chain, log_likelihoods, offsets)
    n_states = chain.n_states
    posteriors, totals = np.empty((len(log_likelihoods), n_states)), np.empty(len(lengths))
    start, end, counts = np.zeros(n_states), np.zeros(n_states), np.zeros(len(chain.outgoing.probs))
    _lane_kernels.lane_posteriors(
        chain, log_likelihoods, offsets.astype(np.int64), posteriors, totals, counts, start, end
    )
    for q in np.flatnonzero(np.isnan(totals)):
        rows = slice(offsets[q], offsets[q + 1])
        totals[q] = wide_posteriors(chain, log_likelihoods[rows], posteriors[rows], counts)
        start += posteriors[rows][0]
        end += posteriors[rows][-1]
    return BatchPosteriors(totals, posteriors, start, counts, end)
