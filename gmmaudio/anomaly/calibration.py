"""From scores of any scale to p-values: ranks in the body, a generalised Pareto law in the tail.

Conventions. A p-value is the share of normal samples that score at least as high; scores are reported as −log10 p.
The tail above a high quantile follows a generalised Pareto distribution (peaks over threshold; Coles 2001, chapter
4). Its shape is kept between 0 and ½: a negative one would give anomalies beyond its end point p = 0. All
exceedances enter, clustered or not, since the p-value is that of a sample and not of a cluster.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.metrics.detection import realised_rates

N_LEVELS = 513
TAIL_SHARE, LEAST_EXCEEDANCES = 0.02, 20
LARGEST_SHAPE = 0.5
LEAST_SCORES = 4 * LEAST_EXCEEDANCES


@dataclass(frozen=True)
class CalibrationReport:
    """Nominal against realised false-alarm rates on normal samples.

    Attributes
    ----------
    n_samples : int
        Number of samples with a score.
    realised : dict of float to float
        Nominal rate -> share of the samples with a p-value no larger.
    """

    n_samples: int
    realised: dict[float, float]

    def __str__(self) -> str:
        """Return a small table."""
        lines = [f"{'nominal':>8}  {'realised':>8}  alarms"]
        lines += [f"{p:8.0e}  {r:8.2e}  {round(r * self.n_samples)}" for p, r in self.realised.items()]
        return "\n".join([*lines, f"{self.n_samples} samples"])


@dataclass(frozen=True, eq=False)
class TailCalibration:
    """A frozen map from scores to −log10 p.

    Attributes
    ----------
    levels : ndarray, shape (n_levels,)
        Quantiles at equal steps of probability, from the least score to the threshold of the tail.
    tail : ndarray, shape (3,)
        Probability of exceeding the threshold, scale and shape of the excess over it.
    """

    levels: Float64Array
    tail: Float64Array

    @classmethod
    def fit(cls, scores: npt.ArrayLike) -> "TailCalibration":
        """Learn the map from scores of normal samples that the scoring model has not seen.

        Parameters
        ----------
        scores : array-like, shape (n_samples,)
            Scores; NaN is left out.

        Raises
        ------
        ParameterError
            If fewer than 80 scores are left, too few for a tail.

        Examples
        --------
        >>> calibration = TailCalibration.fit(np.random.default_rng(0).exponential(size=5000))
        >>> [round(float(s)) for s in calibration.apply(np.log([10, 100, 1000]))]
        [1, 2, 3]
        """
        values = np.sort(np.asarray(scores, dtype=np.float64).ravel())
        values = values[~np.isnan(values)]
        n = len(values)
        if n < LEAST_SCORES:
            raise ParameterError(f"there are {n} scores to calibrate on; at least {LEAST_SCORES} are needed")
        n_tail = max(LEAST_EXCEEDANCES, round(TAIL_SHARE * n))
        threshold = values[n - n_tail - 1]
        share = n_tail / n
        levels = np.quantile(values, np.linspace(0.0, 1.0, N_LEVELS) * (1.0 - share))
        levels[-1] = threshold
        scale, shape = fit_pareto(values[n - n_tail :] - threshold)
        return cls(np.minimum.accumulate(levels[::-1])[::-1].copy(), np.array([share, scale, shape]))

    def apply(self, scores: npt.ArrayLike) -> Float64Array:
        """Return −log10 p of scores, NaN where they are NaN."""
        from gmmaudio.anomaly import _calibration_kernels

        values = np.ascontiguousarray(scores, dtype=np.float64)
        out = np.empty(len(values))
        _calibration_kernels.fixed_tail(values, self.levels, self.tail, out)
        return out


def fit_pareto(excesses: Float64Array) -> tuple[float, float]:
    """Return scale and shape of a generalised Pareto law by probability-weighted moments.

    Hosking & Wallis 1987, section 3.2, with their shape's sign turned and the plotting positions (i − 0.35) / n.
    Where the shape is cut to its bounds the scale follows from the mean.
    """
    ordered = np.sort(excesses)
    n = len(ordered)
    first = float(ordered.mean())
    second = float((ordered * (1.0 - (np.arange(1, n + 1) - 0.35) / n)).mean())
    tiny = 1e-12 + 1e-9 * abs(first)
    if first <= tiny or first - 2.0 * second <= tiny:
        return max(first, tiny), 0.0
    shape = min(max(2.0 - first / (first - 2.0 * second), 0.0), LARGEST_SHAPE)
    return max(first * (1.0 - shape), tiny), shape


def report(neg_log10_p: Float64Array) -> CalibrationReport:
    """Compare nominal with realised rates at 1e-2, 1e-3 and 1e-4."""
    return CalibrationReport(int((~np.isnan(neg_log10_p)).sum()), realised_rates(neg_log10_p))
