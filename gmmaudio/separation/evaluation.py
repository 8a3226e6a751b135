"""How good a separation is, always beside the two controls: the mixture itself and the masks of an oracle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gmmaudio._typing import Float64Array
from gmmaudio.errors import ParameterError
from gmmaudio.metrics import bss_eval, mean_interval, si_sdr
from gmmaudio.separation.oracle import oracle_estimates
from gmmaudio.separation.stft import StftConfig

MIXTURE = "mixture"
ORACLE_RATIO, ORACLE_BINARY = "oracle, ratio mask", "oracle, binary mask"
MEASURES = ("si_sdr", "sdr", "sir", "sar")


@dataclass(frozen=True)
class SystemScores:
    """The measures of one system, averaged over the sources of each mixture.

    Attributes
    ----------
    system : str
    values : dict of str to array, shape (n_mixtures,)
        In dB, for each of `MEASURES`.
    improvement : array, shape (n_mixtures,)
        SI-SDR less that of the mixture.
    share_of_oracle : float
        Mean improvement over that of the ratio mask of the oracle.
    """

    system: str
    values: dict[str, Float64Array]
    improvement: Float64Array
    share_of_oracle: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % bootstrap interval of the mean improvement, over mixtures; the mean twice for a single one."""
        if len(self.improvement) < 2:
            return float(self.improvement.mean()), float(self.improvement.mean())
        return mean_interval(self.improvement, random_state=0)


class SeparationEvaluation:
    """Collect the estimates of several systems for several mixtures; the controls are added by themselves.

    Parameters
    ----------
    stft : StftConfig
        Window of the oracle, that of the systems.

    Examples
    --------
    >>> one, other = np.random.default_rng(0).normal(size=(2, 8000))
    >>> evaluation = SeparationEvaluation(StftConfig(8000))
    >>> scores = evaluation.add([one, other], {"ours": [one + 0.5 * other, other + 0.5 * one]})
    >>> [scores.system for scores in evaluation.result()]
    ['mixture', 'ours', 'oracle, binary mask', 'oracle, ratio mask']
    """

    def __init__(self, stft: StftConfig) -> None:
        self.stft = stft
        self._measured: dict[str, list[list[float]]] = {}

    def add(
        self, references: Sequence[npt.ArrayLike], estimates_of: Mapping[str, Sequence[npt.ArrayLike]]
    ) -> dict[str, float]:
        """Measure the estimates that systems have made of the sources of one mixture, the sum of the references.

        Returns
        -------
        dict of str to float
            Mean SI-SDR of each system.
        """
        if self._measured and set(estimates_of) != set(self._measured) - {MIXTURE, ORACLE_RATIO, ORACLE_BINARY}:
            raise ParameterError(
                f"the systems are {sorted(estimates_of)} but other ones before; give the same each time"
            )
        mixture = np.sum([np.asarray(reference, np.float64) for reference in references], axis=0)
        controlled = {
            MIXTURE: [mixture] * len(references),
            **estimates_of,
            ORACLE_BINARY: oracle_estimates(references, self.stft, mask="binary"),
            ORACLE_RATIO: oracle_estimates(references, self.stft, mask="ratio"),
        }
        for system, estimates in controlled.items():
            own = np.mean([si_sdr(*pair) for pair in zip(references, estimates, strict=True)])
            others = [float(values.mean()) for values in bss_eval(references, estimates)]
            self._measured.setdefault(system, []).append([float(own), *others])
        return {system: measured[-1][0] for system, measured in self._measured.items()}

    def result(self) -> list[SystemScores]:
        """Return the scores of each system: the mixture first, the oracles last.

        Raises
        ------
        ParameterError
            If nothing has been added.
        """
        if not self._measured:
            raise ParameterError("nothing has been measured; add the estimates of at least one mixture")
        table = {system: np.array(rows) for system, rows in self._measured.items()}
        improvements = {system: rows[:, 0] - table[MIXTURE][:, 0] for system, rows in table.items()}
        ceiling = improvements[ORACLE_RATIO].mean()
        return [
            SystemScores(
                system,
                dict(zip(MEASURES, rows.T, strict=True)),
                improvements[system],
                float(improvements[system].mean() / ceiling),
            )
            for system, rows in table.items()
        ]
