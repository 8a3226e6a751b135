"""How good recognised words are: word errors and their rate.

Conventions. Words are compared with the least number of substitutions, deletions and insertions that turn the
reference into what was recognised. The word error rate is their sum over the number of words of the reference, and may
exceed 1. Errors of several recordings add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gmmaudio.errors import ParameterError


@dataclass(frozen=True)
class WordErrors:
    """Errors of recognised words; they can be added.

    Attributes
    ----------
    substitutions, deletions, insertions : int
    n_words : int
        Words of the reference.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    n_words: int = 0

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.n_words + other.n_words,
        )

    @property
    def n_errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """The word error rate.

        Raises
        ------
        ParameterError
            If the reference has no words.
        """
        if not self.n_words:
            raise ParameterError("the reference has no words, so there is no error rate; add recordings with words")
        return self.n_errors / self.n_words


def word_errors(reference: Sequence[str], recognised: Sequence[str]) -> WordErrors:
    """Return the errors of one recording (Levenshtein 1966); of equally short ways, the one with fewest insertions.

    Examples
    --------
    >>> word_errors(["one", "two", "two"], ["one", "four", "two", "two"])
    WordErrors(substitutions=0, deletions=0, insertions=1, n_words=3)
    """
    # Each entry is (errors, insertions, deletions, substitutions) of the best way so far.
    row = [(n, n, 0, 0) for n in range(len(recognised) + 1)]
    for n_read, word in enumerate(reference, start=1):
        previous, row = row, [(n_read, 0, n_read, 0)]
        for column, heard in enumerate(recognised, start=1):
            wrong = int(word != heard)
            diagonal, above, left = previous[column - 1], previous[column], row[-1]
            row.append(
                min(
                    (diagonal[0] + wrong, diagonal[1], diagonal[2], diagonal[3] + wrong),
                    (above[0] + 1, above[1], above[2] + 1, above[3]),
                    (left[0] + 1, left[1] + 1, left[2], left[3]),
                )
            )
    _, insertions, deletions, substitutions = row[-1]
    return WordErrors(substitutions, deletions, insertions, len(reference))


def word_error_rate_interval(
    errors: Sequence[WordErrors],
    *,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    random_state: int | np.random.Generator | None = None,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the word error rate, with whole recordings drawn.

    Bisani & Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation".

    Parameters
    ----------
    errors : sequence of WordErrors
        One for each recording.
    n_resamples : int
    confidence : float
        Between 0 and 1.
    random_state : int, Generator or None

    Raises
    ------
    ParameterError
        If there is no recording, one has no words, or an option is out of its range.
    """
    if not errors or not all(own.n_words for own in errors):
        raise ParameterError(
            "errors is empty, or a recording has no words; give recordings with at least one word each"
        )
    if n_resamples < 1 or not 0 < confidence < 1:
        raise ParameterError(
            f"n_resamples is {n_resamples} and confidence is {confidence}; need at least 1 and between 0 and 1"
        )
    counts = np.array([(own.n_errors, own.n_words) for own in errors])
    rng = np.random.default_rng(random_state)
    drawn = counts[rng.integers(len(counts), size=(n_resamples, len(counts)))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
