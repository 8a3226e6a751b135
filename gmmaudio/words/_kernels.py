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

from gmmaudio._typing import BoolArray, Float64Array, IntArray
from gmmaudio.hmm._kernels import _kernel

NO_RECORD = -1
NO_WORD = -1
ENTERING = -3  # minus the record before: below NO_RECORD for every record there is, and for NO_RECORD itself
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


class Tokens(NamedTuple):
    """The best tokens of every state, best first; each array has the shape (n_states, n_best).

    The record of a token that has entered a word but has no record yet is ``ENTERING`` minus the one before.
    """

    scores: Float64Array
    strings: IntArray
    records: IntArray


class Steps(NamedTuple):
    """The transitions into each state: those into j are from ``firsts[j]`` to ``firsts[j + 1]``."""

    firsts: IntArray
    sources: IntArray
    log_probs: Float64Array
    is_entry: BoolArray


class Strings(NamedTuple):
    """All strings of words so far: a hash table of their numbers, and of each the string before and the last word."""

    table: IntArray
    befores: IntArray
    lasts: IntArray


class Records(NamedTuple):
    """All entries into words so far: the entry before, frame and state, and the log-probability up to there."""

    parents: IntArray
    frames: IntArray
    states: IntArray
    totals: Float64Array


@_kernel
def move_tokens(steps: Steps, tokens: Tokens, exits: IntArray, moved: Tokens) -> None:
    """Write the best tokens that come into each state from one frame to the next."""
    n_states, n_best = tokens.scores.shape
    for j in range(n_states):
        for n in range(n_best):
            moved.scores[j, n] = -np.inf
        for a in range(steps.firsts[j], steps.firsts[j + 1]):
            i = steps.sources[a]
            for n in range(n_best):
                score = tokens.scores[i, n] + steps.log_probs[a]
                if score <= moved.scores[j, n_best - 1]:
                    break
                if steps.is_entry[a]:
                    string, record = exits[i, n], ENTERING - tokens.records[i, n]
                else:
                    string, record = tokens.strings[i, n], tokens.records[i, n]
                _insert(score, string, record, moved.scores[j], moved.strings[j], moved.records[j])


@_kernel
def record_entries(frame: int, tokens: Tokens, records: Records, n_records: int) -> int:
    """Make a record for each token that has just entered a word or pause; return how many there are now."""
    n_states, n_best = tokens.scores.shape
    for j in range(n_states):
        for n in range(n_best):
            if tokens.scores[j, n] == -np.inf:
                break
            if tokens.records[j, n] < NO_RECORD:
                records.parents[n_records] = ENTERING - tokens.records[j, n]
                records.frames[n_records], records.states[n_records] = frame, j
                records.totals[n_records] = tokens.scores[j, n]
                tokens.records[j, n] = n_records
                n_records += 1
    return n_records


@_kernel
def emit_tokens(
    log_likelihoods: Float64Array,
    columns: IntArray,
    words: IntArray,
    leads_out: BoolArray,
    tokens: Tokens,
    exits: IntArray,
    strings: Strings,
    n_strings: int,
) -> int:
    """Add the log-likelihoods of a frame, and write the strings with which tokens would leave their states.

    `words` is the number of the word of each state, `NO_WORD` for a pause. Returns how many strings there are now.
    """
    n_states, n_best = tokens.scores.shape
    for i in range(n_states):
        for n in range(n_best):
            tokens.scores[i, n] += log_likelihoods[columns[i]]
            if tokens.scores[i, n] == -np.inf or not leads_out[i]:
                continue
            exits[i, n] = tokens.strings[i, n]
            if words[i] != NO_WORD:
                exits[i, n] = _number(tokens.strings[i, n], words[i], strings, n_strings)
                n_strings = max(n_strings, exits[i, n] + 1)
    return n_strings


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
def _number(before: int, word: int, strings: Strings, n_strings: int) -> int:
    """Return the number of a string with one more word, a new one if it is new."""
    slot = _slot(before, word, len(strings.table))
    while strings.table[slot] >= 0:
        number = strings.table[slot]
        if strings.befores[number] == before and strings.lasts[number] == word:
            return int(number)
        slot = (slot + 1) % len(strings.table)
    strings.table[slot] = n_strings
    strings.befores[n_strings], strings.lasts[n_strings] = before, word
    return n_strings


@_kernel
def _slot(before: int, word: int, size: int) -> int:
    """Return where in a table of this size to begin to look for a pair."""
    key = (np.uint64(before) * np.uint64(1000003) + np.uint64(word)) * _MULTIPLIER
    return int(np.int64((key >> _SHIFT) % np.uint64(size)))


@_kernel
def fill_table(strings: Strings, n_strings: int) -> None:
    """Enter the strings that there are into a new table, which is empty, i.e. −1 throughout."""
    for number in range(1, n_strings):
        slot = _slot(strings.befores[number], strings.lasts[number], len(strings.table))
        while strings.table[slot] >= 0:
            slot = (slot + 1) % len(strings.table)
        strings.table[slot] = number


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
