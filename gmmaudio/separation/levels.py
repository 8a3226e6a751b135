"""How loud each source is in a recording, for people in dB, with the colour that goes with it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.separation.stft import StftConfig


@dataclass(frozen=True, eq=False)
class SourceLevels(Mapping[str, float]):
    """Level of each source in a mixture, in dB: a mapping of names to numbers.

    Attributes
    ----------
    in_db : mapping of str to float
        0 dB is a mean square of 1.
    colours : mapping of str to array, shape (n_bins,)
        Power gains of each frequency relative to the training; sources that are not in it have that of their training.

    Examples
    --------
    >>> levels = SourceLevels({"anna": -20.0, "rain": -26.0})
    >>> max(levels.values()), levels["rain"]
    (-20.0, -26.0)
    """

    in_db: Mapping[str, float]
    colours: Mapping[str, Float64Array] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        return self.in_db[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.in_db)

    def __len__(self) -> int:
        return len(self.in_db)


def levels_of_gains(names: Sequence[str], gains: Float64Array, colours: Float64Array, stft: StftConfig) -> SourceLevels:
    """Return powers per bin, shape (n_sources,), and colours, (n_sources, n_bins), as levels."""
    in_db = [10.0 * math.log10(gain / _full_scale(stft)) for gain in gains]
    return SourceLevels(dict(zip(names, in_db, strict=True)), dict(zip(names, colours, strict=True)))


def gains_of_levels(
    names: Sequence[str], levels: Mapping[str, float], stft: StftConfig
) -> tuple[Float64Array, Float64Array]:
    """Return levels as powers per bin, shape (n_sources,), and colours, (n_sources, n_bins).

    Raises
    ------
    ParameterError
        If a level is missing.
    """
    missing = [name for name in names if name not in levels]
    if missing:
        raise ParameterError(f"levels has no '{missing[0]}'; give one for each of {', '.join(names)}")
    known = levels.colours if isinstance(levels, SourceLevels) else {}
    neutral = np.ones(stft.n_bins)
    gains = [_full_scale(stft) * 10.0 ** (levels[name] / 10.0) for name in names]
    return np.array(gains), np.stack([known.get(name, neutral) for name in names])


def _full_scale(stft: StftConfig) -> float:
    """Return the power per bin of a signal with a mean square of 1: Σ window², which is half the window."""
    return stft.frame_samples / 2.0
