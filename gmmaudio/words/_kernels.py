"""Compiled token passing for the best sentences; it trusts its input.

Every state keeps its best tokens with *distinct* word strings so far (Young, Russell & Thornton 1989, "Token passing: a
simple conceptual model for connected speech recognition systems"; Schwartz & Chow 1990, "The N-best algorithm"). That
is exact: were the prefix of one of the N best sentences not among the N best in its state, N better prefixes would
give N better sentences with the same continuation.

A word string is a number in a table of pairs (string before, last word). In the states of a word all tokens have the
same last word, so there a token keeps the string *before* it; in those of a pause, the string so far.
"""

import numpy as np

from gmmaudio._typing import AnyArray, BoolArray, Float64Array, IntArray
from gmmaudio.hmm._kernels import _kernel

NO_RECORD = -1
NO_WORD = -1
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@_kernel
def pass_tokens(
    log_starts: Float64Array,
    firsts: IntArray,
    sources: IntArray,
    log_probs: Float64Array,
    is_entry: BoolArray,
    log_ends: Float64Array,
    words: IntArray,
    columns: IntArray,
    log_likelihoods: Float64Array,
    n_best: int,
) -> tuple[Float64Array, IntArray, IntArray, IntArray, Float64Array]:
    """Return the best sentences and the record of every word entry that they can be traced through.

    `firsts`, `sources`, `log_probs` and `is_entry` list the transitions into each state; `words` is the number of the
    word of each state, `NO_WORD` for a pause.

    Returns log-probabilities (n_found,) and their last records (n_found,), best first; of each record the one before,
    the (frame, state) entered, shape (2, n_records), and the log-probability up to there.
    """
    n_states = len(words)
    scores = np.full((n_states, n_best), -np.inf)
    strings = np.zeros((n_states, n_best), np.int64)
    records = np.full((n_states, n_best), NO_RECORD)
    new_scores, new_strings, new_records = scores.copy(), strings.copy(), records.copy()
    exits = np.zeros((n_states, n_best), np.int64)
    leads_out = np.zeros(n_states, np.bool_)
    for a in range(len(sources)):
        leads_out[sources[a]] |= is_entry[a]
    leads_out |= log_ends > -np.inf
    table = np.full(1024, -1)
    befores, lasts = np.full(512, -1), np.full(512, NO_WORD)
    n_strings = 1  # the string without words is number 0
    parents = np.empty(1024, np.int64)
    entered = np.empty((2, 1024), np.int64)
    totals = np.empty(1024)
    n_records = 0
    most_strings, most_records = n_best * leads_out.sum(), n_best * n_states
    for t in range(len(log_likelihoods)):
        if n_records + most_records > len(parents):
            size = 2 * (n_records + most_records)
            parents, totals = _resized(parents, size), _resized(totals, size)
            entered = np.concatenate((entered, np.empty((2, size - entered.shape[1]), np.int64)), axis=1)
        for j in range(n_states):
            for n in range(n_best):
                new_scores[j, n] = -np.inf
            if t == 0:
                if log_starts[j] > -np.inf:
                    new_scores[j, 0], new_strings[j, 0], new_records[j, 0] = log_starts[j], 0, -2 - NO_RECORD
            else:
                for a in range(firsts[j], firsts[j + 1]):
                    i = sources[a]
                    for n in range(n_best):
                        score = scores[i, n] + log_probs[a]
                        if score <= new_scores[j, n_best - 1]:
                            break
                        string = exits[i, n] if is_entry[a] else strings[i, n]
                        # a negative number marks an entry that has no record yet
                        record = -2 - records[i, n] if is_entry[a] else records[i, n]
                        _insert(score, string, record, new_scores[j], new_strings[j], new_records[j])
            best = log_likelihoods[t, columns[j]]
            for n in range(n_best):
                if new_scores[j, n] == -np.inf:
                    break
                if new_records[j, n] < NO_RECORD or t == 0:
                    parents[n_records] = -2 - new_records[j, n]
                    entered[0, n_records], entered[1, n_records] = t, j
                    totals[n_records] = new_scores[j, n]
                    new_records[j, n] = n_records
                    n_records += 1
                new_scores[j, n] += best
        scores, new_scores = new_scores, scores
        strings, new_strings = new_strings, strings
        records, new_records = new_records, records
        if n_strings + most_strings > len(befores):
            size = 2 * (n_strings + most_strings)
            befores, lasts = _resized(befores, size), _resized(lasts, size)
        if 2 * (n_strings + most_strings) > len(table):
            table = _rehashed(befores, lasts, n_strings, 4 * (n_strings + most_strings))
        for i in range(n_states):
            if leads_out[i]:
                for n in range(n_best):
                    exits[i, n] = strings[i, n]
                    if words[i] != NO_WORD and scores[i, n] > -np.inf:
                        exits[i, n] = _number(strings[i, n], words[i], table, befores, lasts, n_strings)
                        n_strings = max(n_strings, exits[i, n] + 1)
    found = np.full(n_best, -np.inf)
    found_strings, found_records = np.zeros(n_best, np.int64), np.full(n_best, NO_RECORD)
    for i in range(n_states):
        for n in range(n_best):
            score = scores[i, n] + log_ends[i]
            if score <= found[n_best - 1]:
                break
            _insert(score, exits[i, n], records[i, n], found, found_strings, found_records)
    n_found = (found > -np.inf).sum()
    return found[:n_found], found_records[:n_found], parents[:n_records], entered[:, :n_records], totals[:n_records]


@_kernel
def _insert(score: float, string: int, record: int, scores: Float64Array, strings: IntArray, records: IntArray) -> None:
    """Put a token into a list in falling order, in place of one with the same string if that is worse."""
    n_best = len(scores)
    place = n_best - 1
    for n in range(n_best):
        if scores[n] == -np.inf:
            place = n
            break
        if strings[n] == string:
            if scores[n] >= score:
                return
            place = n
            break
    while place > 0 and scores[place - 1] < score:
        scores[place], strings[place], records[place] = scores[place - 1], strings[place - 1], records[place - 1]
        place -= 1
    scores[place], strings[place], records[place] = score, string, record


@_kernel
def _number(before: int, word: int, table: IntArray, befores: IntArray, lasts: IntArray, n_strings: int) -> int:
    """Return the number of a string with one more word, a new one if it is new."""
    slot = _slot(before, word, len(table))
    while table[slot] >= 0:
        number = table[slot]
        if befores[number] == before and lasts[number] == word:
            return int(number)
        slot = (slot + 1) % len(table)
    table[slot] = n_strings
    befores[n_strings], lasts[n_strings] = before, word
    return n_strings


@_kernel
def _slot(before: int, word: int, size: int) -> int:
    """Return where in a table of this size to begin to look for a pair."""
    key = (np.uint64(before) * np.uint64(1000003) + np.uint64(word)) * _MULTIPLIER
    return int(np.int64((key >> _SHIFT) % np.uint64(size)))


@_kernel
def _rehashed(befores: IntArray, lasts: IntArray, n_strings: int, size: int) -> IntArray:
    """Return a table of another size with the same numbers."""
    table = np.full(size, -1)
    for number in range(1, n_strings):
        slot = _slot(befores[number], lasts[number], size)
        while table[slot] >= 0:
            slot = (slot + 1) % size
        table[slot] = number
    return table


@_kernel
def _resized(values: AnyArray, size: int) -> AnyArray:
    """Return a longer array that begins with these values."""
    longer = np.empty(size, values.dtype)
    longer[: len(values)] = values
    return longer


@_kernel
def best_by_label(
    log_starts: Float64Array,
    incoming: tuple[IntArray, IntArray, Float64Array],
    outgoing: tuple[IntArray, IntArray, Float64Array],
    log_ends: Float64Array,
    labels: IntArray,
    log_likelihoods: Float64Array,
    scores: Float64Array,
) -> None:
    """Write the log-probability of the best path that says each label at each frame, shape (n_frames, n_labels).

    `incoming` and `outgoing` are the firsts, other ends and log-probabilities of the transitions of each state;
    `log_likelihoods` has a column for each state.
    """
    n_frames, n_states = log_likelihoods.shape
    before = np.empty((n_frames, n_states))  # of the best path up to here
    for t in range(n_frames):
        for j in range(n_states):
            best = log_starts[j] if t == 0 else -np.inf
            if t > 0:
                for a in range(incoming[0][j], incoming[0][j + 1]):
                    best = max(best, before[t - 1, incoming[1][a]] + incoming[2][a])
            before[t, j] = best + log_likelihoods[t, j]
    after = log_ends.copy()  # of the best path from here on
    new_after = np.empty(n_states)
    scores[:] = -np.inf
    for t in range(n_frames - 1, -1, -1):
        for i in range(n_states):
            if t < n_frames - 1:
                best = -np.inf
                for a in range(outgoing[0][i], outgoing[0][i + 1]):
                    j = outgoing[1][a]
                    best = max(best, outgoing[2][a] + log_likelihoods[t + 1, j] + after[j])
                new_after[i] = best
            else:
                new_after[i] = log_ends[i]
            scores[t, labels[i]] = max(scores[t, labels[i]], before[t, i] + new_after[i])
        after, new_after = new_after, after
