"""The five questions that a detector asks of each sample, each with its own memory.

Conventions. A head is run over blocks; what it learnt (`learned`) and what it remembers of the stream (`recent`) are
dictionaries of arrays that a run changes in place. A run with `learn=False` changes `recent` only, so a trained
detector stays as it was trained. Scores grow with strangeness; they are compared with nothing but scores of the same
head. `shares` are the parts of the channels in the decision, never negative.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from gmmaudio._typing import AnyArray, Float64Array, IntArray

SECONDS_PER_SEASON = 3600
SEASONS_PER_DAY = 24


@dataclass(frozen=True, eq=False)
class Block:
    """Rows of a stream: as they came, standardised, and the season of each (−1: not known)."""

    raw: Float64Array
    standard: Float64Array
    season: IntArray


@dataclass(frozen=True)
class HeadConfig:
    """Sizes and rates that the heads share.

    Parameters
    ----------
    n_channels : int
        Columns of the stream.
    n_lags : int
        Past samples that the present one is conditioned on.
    window : int
        Samples whose mean is the level.
    forgetting : float
        Factor by which older samples lose weight with each new one, 1 for plain averages.
    rate : float
        Least weight of a new sample in the running means of level and season, 0 for plain averages.
    n_modes : int
        Modes of operation, 0 where nobody asks for them.
    """

    n_channels: int
    n_lags: int
    window: int
    forgetting: float
    rate: float
    n_modes: int = 0


class Head(Protocol):
    """A memory that scores blocks."""

    learned: dict[str, AnyArray]
    recent: dict[str, AnyArray]

    def run(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array]:
        """Return the score of each row and the shares of its channels; learn from the rows if asked to."""
        ...

    def forget_stream(self) -> None:
        """Set what is remembered of the stream back to its start."""
        ...

    def learner(self) -> "Head":
        """Return a head that shares what this one learns and follows the stream by itself."""
        ...

    def discount(self, n_samples: float) -> None:
        """Let all that was learnt count as no more than so many samples."""
        ...


AnyHead = TypeVar("AnyHead", bound=Head)


@dataclass(eq=False)
class ConditionalHead:
    """How likely the sample is given the last ones.

    One full-covariance Gaussian over the present and the lags; what is missing is marginalised.
    """

    config: HeadConfig
    learned: dict[str, AnyArray] = field(default_factory=dict)
    recent: dict[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        d = self.config.n_channels * (self.config.n_lags + 1)
        self.learned = {
            "count": np.zeros(3),
            "mean": np.zeros(d),
            "scatter": np.zeros((d, d)),
            "covariance": np.eye(d),
            "lower": np.eye(d),
        }
        self.forget_stream()

    def forget_stream(self) -> None:
        """Start with no past."""
        self.recent = {"history": np.full((self.config.n_lags, self.config.n_channels), np.nan)}

    def learner(self) -> "ConditionalHead":
        """Return a head that shares what this one learns and follows the stream by itself."""
        return _sharing(ConditionalHead(self.config), self)

    def discount(self, n_samples: float) -> None:
        """Let all that was learnt count as no more than so many samples; the covariance stays."""
        share = min(1.0, n_samples / max(self.learned["count"][0], 1.0))
        self.learned["count"][0] *= share
        self.learned["scatter"] *= share

    def run(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array]:
        """Return Fisher's transform of the squared distance, and squared residuals given all other channels."""
        score, _, residuals = self.score_density(block, learn=learn)
        return score, np.where(np.isnan(residuals), 0.0, residuals * residuals)

    def score_density(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return score, log-density of the present channels given the past ones, and standardised residuals."""
        from gmmaudio.anomaly import _kernels

        n = len(block.standard)
        score, log_density, residuals = np.empty(n), np.empty(n), np.empty((n, self.config.n_channels))
        p = self.learned
        memory = (self.recent["history"], p["count"], p["mean"], p["scatter"], p["covariance"], p["lower"])
        _kernels.conditional(block.standard, *memory, self.config.forgetting, learn, score, log_density, residuals)
        return score, log_density, residuals


@dataclass(eq=False)
class LevelHead:
    """Whether the mean of the last samples is one that earlier windows had."""

    config: HeadConfig
    learned: dict[str, AnyArray] = field(default_factory=dict)
    recent: dict[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.learned = {name: np.zeros(self.config.n_channels) for name in ("count", "mean", "variance")}
        self.forget_stream()

    def forget_stream(self) -> None:
        """Start with an empty window."""
        shape = (self.config.window, self.config.n_channels)
        self.recent = {
            "recent": np.full(shape, np.nan),
            "position": np.zeros(1, np.int64),
            "earlier": np.full(shape, np.nan),
            "earlier_position": np.zeros(1, np.int64),
        }

    def learner(self) -> "LevelHead":
        """Return a head that shares what this one learns and follows the stream by itself."""
        return _sharing(LevelHead(self.config), self)

    def discount(self, n_samples: float) -> None:
        """Let all that was learnt count as no more than so many samples."""
        np.minimum(self.learned["count"], n_samples, out=self.learned["count"])

    def run(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array]:
        """Return Fisher's transform of the sum of squared standard scores, and these squares."""
        from gmmaudio.anomaly import _kernels

        means, r, p = np.empty(block.standard.shape), self.recent, self.learned
        _kernels.recent_means(block.standard, r["recent"], r["position"], means)
        score, shares = np.empty(len(means)), np.zeros(means.shape)
        memory = (r["earlier"], r["earlier_position"], p["count"], p["mean"], p["variance"])
        _kernels.level(means, *memory, self.config.rate, learn, score, shares)
        return score, shares


@dataclass(eq=False)
class JointHead:
    """Whether the channels go on agreeing with each other, over a quarter of the window.

    The residual of each channel given the others at the same time, averaged over the last samples. A sensor that
    sticks or drifts slowly always agrees with its own past; what it no longer agrees with is the other sensors.
    """

    config: HeadConfig
    learned: dict[str, AnyArray] = field(default_factory=dict)
    recent: dict[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._relation = ConditionalHead(dataclasses.replace(self.config, n_lags=0))
        self._residual = LevelHead(dataclasses.replace(self.config, window=max(1, self.config.window // 4)))
        self.learned = {f"relation_{name}": array for name, array in self._relation.learned.items()}
        self.learned |= {f"residual_{name}": array for name, array in self._residual.learned.items()}
        self.forget_stream()

    def forget_stream(self) -> None:
        """Start with an empty window."""
        self._residual.forget_stream()
        self.recent = self._residual.recent

    def learner(self) -> "JointHead":
        """Return a head that shares what this one learns and follows the stream by itself."""
        other = _sharing(JointHead(self.config), self)
        _sharing(other._relation, self._relation)
        _sharing(other._residual, self._residual)
        return other

    def discount(self, n_samples: float) -> None:
        """Let all that was learnt count as no more than so many samples."""
        self._relation.discount(n_samples)
        self._residual.discount(n_samples)

    def run(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array]:
        """Return Fisher's transform of the sum of the mean residuals' squared standard scores, and these squares."""
        _, _, residuals = self._relation.score_density(block, learn=learn)
        return self._residual.run(dataclasses.replace(block, standard=residuals), learn=learn)


@dataclass(eq=False)
class SeasonalHead:
    """Whether the value is one that this hour of the day has had."""

    config: HeadConfig
    learned: dict[str, AnyArray] = field(default_factory=dict)
    recent: dict[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (SEASONS_PER_DAY, self.config.n_channels)
        self.learned = {name: np.zeros(shape) for name in ("count", "mean", "variance")}

    def forget_stream(self) -> None:
        """Nothing is remembered of the stream."""

    def learner(self) -> "SeasonalHead":
        """Return a head that shares what this one learns."""
        return _sharing(SeasonalHead(self.config), self)

    def discount(self, n_samples: float) -> None:
        """Let all that was learnt of any season count as no more than so many samples."""
        np.minimum(self.learned["count"], n_samples, out=self.learned["count"])

    def run(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array]:
        """Return Fisher's transform of the sum of squared standard scores, and these squares."""
        from gmmaudio.anomaly import _kernels

        score, shares = np.empty(len(block.standard)), np.zeros(block.standard.shape)
        p = self.learned
        memory = (p["count"], p["mean"], p["variance"])
        _kernels.seasonal(block.standard, block.season, *memory, self.config.rate, learn, score, shares)
        return score, shares


@dataclass(eq=False)
class RangeHead:
    """Whether the value lies outside everything seen; the score is −log10 p by itself, under exchangeability."""

    config: HeadConfig
    learned: dict[str, AnyArray] = field(default_factory=dict)
    recent: dict[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = self.config.n_channels
        self.learned = {"count": np.zeros(n), "low": np.full(n, np.inf), "high": np.full(n, -np.inf)}

    def forget_stream(self) -> None:
        """Nothing is remembered of the stream."""

    def learner(self) -> "RangeHead":
        """Return a head that shares what this one learns."""
        return _sharing(RangeHead(self.config), self)

    def discount(self, n_samples: float) -> None:
        """Keep the range: a value does not count less for being old."""

    def run(self, block: Block, *, learn: bool) -> tuple[Float64Array, Float64Array]:
        """Return −log10 p of the range rule and the excesses in twentieths of the range."""
        from gmmaudio.anomaly import _kernels

        score, shares = np.empty(len(block.raw)), np.zeros(block.raw.shape)
        p = self.learned
        _kernels.outside_range(block.raw, p["count"], p["low"], p["high"], learn, score, shares)
        return score, shares


def _sharing(other: AnyHead, head: AnyHead) -> AnyHead:
    """Let another head of the same kind learn into this one's memory."""
    other.learned = head.learned
    return other


def make_heads(config: HeadConfig) -> dict[str, Head]:
    """Return one head of each kind that has learnt nothing yet; one channel alone has none to agree with."""
    heads: dict[str, Head] = {"conditional": ConditionalHead(config)}
    if config.n_channels > 1:
        heads["joint"] = JointHead(config)
    if config.n_modes:
        from gmmaudio.anomaly.modes import ModeHead

        heads["modes"] = ModeHead(config)
    return heads | {"level": LevelHead(config), "seasonal": SeasonalHead(config), "range": RangeHead(config)}
