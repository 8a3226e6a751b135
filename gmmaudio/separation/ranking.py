"""Who is in a mixture: the set of sources that makes it likeliest.

Hershey, Rennie, Olsen & Kristjansson 2010 ("Super-human multi-talker speech recognition", Computer Speech & Language
24) find the speakers and their gains so before they separate.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gmmaudio._typing import Float32Array
from gmmaudio.separation.gains import estimate_gains, evenly_spread, level_of
from gmmaudio.separation.spectral import SpectralParams, accumulate_spectral_stats

MAX_CANDIDATES = 8
"""Sources whose pairs are compared: those that explain the mixture best alone. 8 make 28 pairs."""

RANKING_FRAMES = 96
"""Frames of the mixture that are looked at."""


@dataclass(frozen=True)
class RankedPair:
    """Two sources and how well they explain a mixture.

    Attributes
    ----------
    sources : tuple of str
    score : float
        Mean scaled log-likelihood per frame at the gains of maximum likelihood; differences between pairs count.
    """

    sources: tuple[str, str]
    score: float


def rank_pairs(models: Mapping[str, SpectralParams], power: Float32Array) -> list[RankedPair]:
    """Return the pairs of sources, best first.

    Parameters
    ----------
    models : mapping of str to SpectralParams
        Two or more. Of more than `MAX_CANDIDATES`, those are taken that are likeliest alone.
    power : array, shape (n_frames, n_bins)
        Of the mixture.
    """
    few = evenly_spread(power, RANKING_FRAMES)
    names = list(models)
    if len(names) > MAX_CANDIDATES:
        relative = (few / np.float32(level_of(few))).astype(np.float32)
        alone = {name: accumulate_spectral_stats(models[name], relative).log_likelihood for name in names}
        names = sorted(names, key=lambda name: -alone[name])[:MAX_CANDIDATES]
    ranked = [
        RankedPair((one, other), estimate_gains((models[one], models[other]), few)[1])
        for one, other in itertools.combinations(names, 2)
    ]
    return sorted(ranked, key=lambda pair: -pair.score)
