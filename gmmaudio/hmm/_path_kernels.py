"""Compiled search for most probable paths: maxima of sums of logarithms in float64; it trusts its input.

Conventions. Scores are relative to the best state of their frame, and what was taken off is summed apart: differences
between paths keep their digits however long a stream is. Pointers are int32, the source of the best path into each
state, −1 where there is none. The batch and the stream run the same steps.
"""

from typing import TYPE_CHECKING

import numpy as np

from gmmaudio._typing import Float64Array, IntArray
from gmmaudio.hmm._kernels import _kernel, assign

if TYPE_CHECKING:
    from gmmaudio.hmm.chain import PathArcs


@_kernel
def advance_scores(
    arcs: "PathArcs", log_likelihoods: Float64Array, previous: Float64Array, scores: Float64Array, pointers: IntArray
) -> float:
    """Write the scores of the best paths one frame after the previous ones, relative to the best; return its score.

    Writes the state that each best path comes from, the lowest of equals, −1 where there is no path.
    """
    n_states = len(scores)
    if arcs.log_matrix.shape[0] > 0:
        scores[:] = -np.inf
        pointers[:] = -1
        for i in range(n_states):
            score = previous[i]
            source = np.int32(i)
            for j in range(n_states):
                candidate = score + arcs.log_matrix[i, j]
                is_better = candidate > scores[j]
                scores[j] = candidate if is_better else scores[j]
                pointers[j] = source if is_better else pointers[j]
    else:
        for j in range(n_states):
            best, pointer = -np.inf, np.int32(-1)
            for a in range(arcs.firsts[j], arcs.firsts[j + 1]):
                source = arcs.others[a]
                candidate = previous[source] + arcs.log_probs[a]
                if candidate > best:
                    best, pointer = candidate, source
            scores[j], pointers[j] = best, pointer
    return relate_scores(log_likelihoods, scores)


@_kernel
def relate_scores(log_likelihoods: Float64Array, scores: Float64Array) -> float:
    """Add the log-likelihoods of a frame to the scores, make them relative to the best, and return that."""
    best = -np.inf
    for j in range(len(scores)):
        scores[j] += log_likelihoods[j]
        best = max(best, scores[j])
    if best > -np.inf:
        for j in range(len(scores)):
            scores[j] -= best
    return best


@_kernel
def best_paths(
    arcs: "PathArcs",
    log_start: Float64Array,
    log_end: Float64Array,
    log_likelihoods: Float64Array,
    offsets: IntArray,
    paths: IntArray,
    totals: Float64Array,
) -> None:
    """Write the most probable path of each sequence and its log-probability; −1 and −inf where there is none."""
    n_states = len(log_start)
    longest = 0
    for q in range(len(offsets) - 1):
        longest = max(longest, offsets[q + 1] - offsets[q])
    pointers = np.empty((longest, n_states), np.int32)
    previous, scores = np.empty(n_states), np.empty(n_states)
    for q in range(len(offsets) - 1):
        own = log_likelihoods[offsets[q] : offsets[q + 1]]
        path = paths[offsets[q] : offsets[q + 1]]
        assign(scores, log_start)
        total = relate_scores(own[0], scores)
        for t in range(1, len(own)):
            previous, scores = scores, previous
            total += advance_scores(arcs, own[t], previous, scores, pointers[t])
        last = best_state(scores, log_end)
        if last < 0:
            path[:] = -1
            totals[q] = -np.inf
            continue
        totals[q] = total + (scores[last] + log_end[last])
        trace(pointers, last, path)


@_kernel
def best_state(scores: Float64Array, log_end: Float64Array) -> int:
    """Return the first of the states with the best score and end, −1 if none is possible."""
    best, state = -np.inf, -1
    for i in range(len(scores)):
        if scores[i] + log_end[i] > best:
            best, state = scores[i] + log_end[i], i
    return state


@_kernel
def push_scores(
    arcs: "PathArcs",
    log_start: Float64Array,
    log_likelihoods: Float64Array,
    is_first: bool,
    max_lag: int,
    scores: Float64Array,
    origins: IntArray,
    pointers: IntArray,
    n_pending: int,
    total: float,
    states: IntArray,
) -> tuple[int, int, float, bool]:
    """Advance an online search over some frames and write the states that all best paths share.

    Row k of `pointers` leads from pending frame k to the one before; ``origins[j]`` is the state of pending frame 0 on
    the best path to state j; `total` is what was taken off the scores so far. At most `max_lag` frames stay pending if
    it is not negative. Returns the numbers of states written and of frames pending, the new total, and whether no path
    was given up.
    """
    n_written, is_exact = 0, True
    previous, previous_origins = np.empty_like(scores), np.empty_like(origins)
    for t in range(len(log_likelihoods)):
        row = pointers[n_pending]
        if is_first and t == 0:
            assign(scores, log_start)
            total += relate_scores(log_likelihoods[t], scores)
        else:
            assign(previous, scores)
            total += advance_scores(arcs, log_likelihoods[t], previous, scores, row)
        assign(previous_origins, origins)
        for j in range(len(scores)):
            if n_pending == 0:
                origins[j] = j
            elif row[j] >= 0:
                origins[j] = previous_origins[row[j]]
        n_pending += 1
        if total == -np.inf:
            states[n_written : n_written + n_pending] = -1
            n_written += n_pending
            n_pending = 0
            continue
        if 0 <= max_lag < n_pending:
            is_exact = _give_up_others(scores, origins) and is_exact
        if _have_one_origin(scores, origins):
            n_shared = _write_shared(scores, origins, pointers, n_pending, states[n_written:])
            n_written += n_shared
            n_pending -= n_shared
    return n_written, n_pending, total, is_exact


@_kernel
def trace(pointers: IntArray, last: int, states: IntArray) -> None:
    """Write the path that ends in a state; row k of the pointers leads from frame k to the one before."""
    state = last
    for k in range(len(states) - 1, -1, -1):
        states[k] = state
        if k > 0:
            state = pointers[k, state]


@_kernel
def _have_one_origin(scores: Float64Array, origins: IntArray) -> bool:
    """Say if the best paths to all states go through one state of the first pending frame."""
    origin = -1
    for j in range(len(scores)):
        if scores[j] > -np.inf:
            if origin < 0:
                origin = origins[j]
            elif origins[j] != origin:
                return False
    return True


@_kernel
def _give_up_others(scores: Float64Array, origins: IntArray) -> bool:
    """Give up the paths that do not go through the origin of the best; say if there were none."""
    origin = origins[scores.argmax()]
    were_none = True
    for j in range(len(scores)):
        if scores[j] > -np.inf and origins[j] != origin:
            scores[j] = -np.inf
            were_none = False
    return were_none


@_kernel
def _write_shared(scores: Float64Array, origins: IntArray, pointers: IntArray, n_pending: int, states: IntArray) -> int:
    """Write the states that all best paths share, move the rest of the pointers up, and return how many there are."""
    n_states = len(scores)
    at = np.empty(n_states, np.int32)
    for j in range(n_states):
        at[j] = j if scores[j] > -np.inf else -1
    frame = n_pending - 1
    while True:
        shared = -1
        is_shared = True
        for j in range(n_states):
            if at[j] >= 0:
                shared = at[j] if shared < 0 else shared
                is_shared = is_shared and at[j] == shared
        if is_shared:
            break
        for j in range(n_states):
            if at[j] >= 0:
                origins[j] = at[j]
                at[j] = pointers[frame, at[j]]
        frame -= 1
    trace(pointers, shared, states[: frame + 1])
    for k in range(frame + 1, n_pending):
        assign(pointers[k - frame - 1], pointers[k])
    return frame + 1
