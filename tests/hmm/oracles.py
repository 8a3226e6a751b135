"""Hidden Markov models by enumeration of every path with 50 digits: slow, and too simple to be wrong."""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple

import mpmath
import numpy as np

DIGITS = 50


class Exact(NamedTuple):
    """Sums and maxima over all paths, as mpmath numbers."""

    log_likelihood: mpmath.mpf
    posteriors: np.ndarray
    transitions: np.ndarray
    log_best: mpmath.mpf
    best_paths: list[tuple[int, ...]]


@dataclass(frozen=True)
class Problem:
    """A chain and the log-likelihoods of its frames."""

    start: np.ndarray
    transitions: np.ndarray
    frames: np.ndarray
    end: np.ndarray | None = None

    @property
    def arguments(self) -> tuple[np.ndarray, ...]:
        return self.start, self.transitions, self.frames

    @cached_property
    def exact(self) -> Exact:
        with mpmath.workdps(DIGITS):
            return _enumerate(self)


def _enumerate(problem: Problem) -> Exact:
    n_frames, n_states = problem.frames.shape
    likelihoods = _as_mp(problem.frames, mpmath.exp)
    start, transitions = _as_mp(problem.start), _as_mp(problem.transitions)
    end = _as_mp(np.ones(n_states) if problem.end is None else problem.end)
    total, posteriors = mpmath.mpf(0), _as_mp(np.zeros((n_frames, n_states)))
    counts, best, best_paths = _as_mp(np.zeros((n_states, n_states))), mpmath.mpf(0), []
    for path in product(range(n_states), repeat=n_frames):
        weight = start[path[0]] * likelihoods[0, path[0]] * end[path[-1]]
        for t in range(1, n_frames):
            if weight == 0:
                break
            weight *= transitions[path[t - 1], path[t]] * likelihoods[t, path[t]]
        if weight == 0:
            continue
        total += weight
        for t, state in enumerate(path):
            posteriors[t, state] += weight
        for source, target in pairwise(path):
            counts[source, target] += weight
        if weight >= best:
            best_paths = [path] if weight > best else [*best_paths, path]
            best = weight
    if total == 0:
        return Exact(mpmath.mpf("-inf"), posteriors, counts, mpmath.mpf("-inf"), [])
    return Exact(mpmath.log(total), posteriors / total, counts / total, mpmath.log(best), best_paths)


def log_joint(problem: Problem, path: np.ndarray) -> mpmath.mpf:
    """Return the log of the joint density of one path and the frames."""
    with mpmath.workdps(DIGITS):
        weight = mpmath.mpf(float(problem.start[path[0]]))
        for source, target in pairwise(path):
            weight *= mpmath.mpf(float(problem.transitions[source, target]))
        if problem.end is not None:
            weight *= mpmath.mpf(float(problem.end[path[-1]]))
        return mpmath.log(weight) + sum(
            mpmath.mpf(float(row[state])) for row, state in zip(problem.frames, path, strict=True)
        )


def recursions(problem: Problem) -> tuple[mpmath.mpf, np.ndarray, np.ndarray]:
    """Return log-likelihood, posteriors and expected transitions by forward and backward sums with 50 digits.

    For sequences with too many paths to enumerate; the exponents of mpmath have no limit, so nothing is scaled.
    """
    with mpmath.workdps(DIGITS):
        likelihoods, transitions = _as_mp(problem.frames, mpmath.exp), _as_mp(problem.transitions)
        n_states = len(problem.start)
        alphas = [_as_mp(problem.start) * likelihoods[0]]
        for row in likelihoods[1:]:
            alphas.append(alphas[-1].dot(transitions) * row)
        betas = [_as_mp(np.ones(n_states) if problem.end is None else problem.end)]
        for row in likelihoods[:0:-1]:
            betas.insert(0, transitions.dot(row * betas[0]))
        total = alphas[-1].dot(betas[-1])
        if total == 0:
            zeros = _as_mp(np.zeros((n_states, n_states)))
            return mpmath.mpf("-inf"), _as_mp(np.zeros(problem.frames.shape)), zeros
        counts = sum(
            (
                np.outer(alpha, row * beta) * transitions
                for alpha, row, beta in zip(alphas[:-1], likelihoods[1:], betas[1:], strict=True)
            ),
            start=_as_mp(np.zeros((n_states, n_states))),
        )
        return mpmath.log(total), np.array(alphas) * np.array(betas) / total, counts / total


def _as_mp(values: np.ndarray, function=mpmath.mpf) -> np.ndarray:
    """Return an array of mpmath numbers."""
    array = np.empty(values.shape, dtype=object)
    for index in np.ndindex(values.shape):
        array[index] = function(mpmath.mpf(float(values[index])))
    return array


def random_chain(rng: np.random.Generator, mask: np.ndarray, *, ending: bool) -> tuple[np.ndarray, ...]:
    """Return start, transition and (or None) end probabilities on a mask; state 0 may always start, the last end."""
    n_states = len(mask)
    start = rng.dirichlet(np.ones(n_states)) if mask.all() else np.eye(n_states)[0]
    weights = np.where(mask, rng.gamma(1.0, size=mask.shape), 0.0)
    ends = (
        np.where(np.arange(n_states) == n_states - 1, rng.gamma(1.0, size=n_states), 0.0)
        if ending
        else np.zeros(n_states)
    )
    sums = weights.sum(axis=1) + ends
    return start, weights / sums[:, np.newaxis], ends / sums if ending else None
