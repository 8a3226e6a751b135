"""Compiled token passing for the best sentences; it trusts its input.

Every state keeps its best tokens with *distinct* word strings so far (Young, Russell & Thornton 1989, "Token passing: a
simple conceptual model for connected speech recognition systems"; Schwartz & Chow 1990, "The N-best algorithm"). That
is exact: were the prefix of one of the N best sentences not among the N best in its state, N better prefixes would
give N better sentences with the same continuation.

A word string is a number in a table of pairs (string before, last word). In the states of a word all tokens have the
same last word, so there a token keeps the string *before* it; in those of a pause, the string so far.
"""

from typing import NamedTuple

import numpy as np

from gmmaudio._typing import AnyArray, BoolArray, Float64Array, IntArray
from gmmaudio.hmm._kernels import _kernel

NO_RECORD = -1
NO_WORD = -1
_ENTERING = -3  # minus the record before: below NO_RECORD for every record there is, and for NO_RECORD itself
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class Tokens(NamedTuple):
    """The best tokens of every state, best first; each array has the shape (n_states, n_best)."""

    scores: Float64Array
    strings: IntArray
    records: IntArray


class Steps(NamedTuple):
    """The transitions into each state: those into j are from ``firsts[j]`` to ``firsts[j + 1]``."""

    firsts: IntArray
    sources: IntArray
    log_probs: Float64Array
    is_entry: BoolArray


@_kernel
def pass_tokens(
    log_starts: Float64Array,
    steps: Steps,
    log_ends: Float64Array,
    words: IntArray,
    columns: IntArray,
    log_likelihoods: Float64Array,
    n_best: int,
) -> tuple[Float64Array, IntArray, IntArray, IntArray, Float64Array]:
    """Return the best sentences and the record of every word entry that they can be traced through.

    `words` is the number of the word of each state, `NO_WORD` for a pause; `columns` its column in `log_likelihoods`.
    Returns log-probabilities (n_found,) and their last records (n_found,), best first; of each record the one before,
    the (frame, state) entered, shape (n_records, 2), and the log-probability up to there.
    """
    n_states = len(words)
    tokens, new_tokens = _no_tokens(n_states, n_best), _no_tokens(n_states, n_best)
    exits = np.zeros((n_states, n_best), np.int64)  # the strings with the word of the state
    leads_out = log_ends > -np.inf
    for a in range(len(steps.sources)):
        leads_out[steps.sources[a]] |= steps.is_entry[a]
    most_strings, most_records = n_best * leads_out.sum(), n_best * n_states
    table = np.full(4 * most_strings + 4, -1)
    befores, lasts = np.full(most_strings + 1, -1), np.full(most_strings + 1, NO_WORD)
    n_strings = 1  # the string without words is number 0
    parents, totals = np.empty(most_records, np.int64), np.empty(most_records)
    entered = np.empty((most_records, 2), np.int64)
    n_records = 0
    for t in range(len(log_likelihoods)):
        new_tokens.scores[:] = -np.inf
        if t == 0:
            new_tokens.scores[:, 0] = log_starts
            new_tokens.records[:, 0] = _ENTERING - NO_RECORD
        else:
            _move(steps, tokens, exits, new_tokens)
        tokens, new_tokens = new_tokens, tokens
        if n_records + most_records > len(parents):
            size = 2 * (n_records + most_records)
            parents, totals, entered = _resized(parents, size), _resized(totals, size), _resized(entered, size)
        n_records = _record_entries(t, tokens, parents, entered, totals, n_records)
        for j in range(n_states):
            tokens.scores[j] += log_likelihoods[t, columns[j]]
        if n_strings + most_strings > len(befores):
            size = 2 * (n_strings + most_strings)
            befores, lasts = _resized(befores, size), _resized(lasts, size)
            table = _rehashed(befores, lasts, n_strings, 2 * size)
        n_strings = _number_exits(tokens, leads_out, words, exits, table, befores, lasts, n_strings)
    scores, records = _best_ends(tokens, exits, log_ends)
    return scores, records, parents[:n_records], entered[:n_records], totals[:n_records]


@_kernel
def _no_tokens(n_states: int, n_best: int) -> Tokens:
    """Return room for tokens."""
    shape = (n_states, n_best)
    return Tokens(np.full(shape, -np.inf), np.zeros(shape, np.int64), np.full(shape, NO_RECORD))


@_kernel
def _move(steps: Steps, tokens: Tokens, exits: IntArray, moved: Tokens) -> None:
    """Write the best tokens that come into each state; the record of one that enters a word waits to be made."""
    n_states, n_best = tokens.scores.shape
    for j in range(n_states):
        for a in range(steps.firsts[j], steps.firsts[j + 1]):
            i = steps.sources[a]
            for n in range(n_best):
                score = tokens.scores[i, n] + steps.log_probs[a]
                if score <= moved.scores[j, n_best - 1]:
                    break
                if steps.is_entry[a]:
                    string, record = exits[i, n], _ENTERING - tokens.records[i, n]
                else:
                    string, record = tokens.strings[i, n], tokens.records[i, n]
                _insert(score, string, record, moved.scores[j], moved.strings[j], moved.records[j])


@_kernel
def _record_entries(
    t: int, tokens: Tokens, parents: IntArray, entered: IntArray, totals: Float64Array, n_records: int
) -> int:
    """Make a record for each token that has just entered a word or pause; return how many there are now."""
    n_states, n_best = tokens.scores.shape
    for j in range(n_states):
        for n in range(n_best):
            if tokens.scores[j, n] == -np.inf:
                break
            if tokens.records[j, n] < NO_RECORD:
                parents[n_records] = _ENTERING - tokens.records[j, n]
                entered[n_records, 0], entered[n_records, 1] = t, j
                totals[n_records] = tokens.scores[j, n]
                tokens.records[j, n] = n_records
                n_records += 1
    return n_records


@_kernel
def _number_exits(
    tokens: Tokens,
    leads_out: BoolArray,
    words: IntArray,
    exits: IntArray,
    table: IntArray,
    befores: IntArray,
    lasts: IntArray,
    n_strings: int,
) -> int:
    """Write the strings with which tokens would leave their states; return how many strings there are now."""
    n_states, n_best = tokens.scores.shape
    for i in range(n_states):
        if not leads_out[i]:
            continue
        for n in range(n_best):
            if tokens.scores[i, n] == -np.inf:
                break
            exits[i, n] = tokens.strings[i, n]
            if words[i] != NO_WORD:
                exits[i, n] = _number(tokens.strings[i, n], words[i], table, befores, lasts, n_strings)
                n_strings = max(n_strings, exits[i, n] + 1)
    return n_strings


@_kernel
def _best_ends(tokens: Tokens, exits: IntArray, log_ends: Float64Array) -> tuple[Float64Array, IntArray]:
    """Return the log-probabilities and last records of the best sentences that end now."""
    n_states, n_best = tokens.scores.shape
    scores, strings = np.full(n_best, -np.inf), np.zeros(n_best, np.int64)
    records = np.full(n_best, NO_RECORD)
    for i in range(n_states):
        for n in range(n_best):
            score = tokens.scores[i, n] + log_ends[i]
            if score <= scores[n_best - 1]:
                break
            _insert(score, exits[i, n], tokens.records[i, n], scores, strings, records)
    n_found = (scores > -np.inf).sum()
    return scores[:n_found], records[:n_found]


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
    longer = np.empty((size, *values.shape[1:]), values.dtype)
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
