"""What identification and verification answer."""

from dataclasses import asdict, dataclass
from typing import Any

UNKNOWN = "unknown"
"""The decision for a voice that nobody enrolled."""


@dataclass(frozen=True)
class Identification:
    """Who it is, how the others did, and how sure that is.

    Attributes
    ----------
    decision : str
        The name of the best candidate, or "unknown".
    ranking : tuple of (str, float)
        Every enrolled name with its log-likelihood ratio per frame, best first; empty if there was no speech.
    scores : dict of str to float
        Normalised score of every enrolled name, in the order of the ranking.
    score : float
        That of the best candidate; −inf if there was no speech.
    threshold : float
        Score from which the best candidate is accepted.
    false_accept_probability : float
        Estimated probability that a recording of this length of an unknown voice scores as high.
    speech_duration : float
        Seconds of speech that the decision rests on.
    """

    decision: str
    ranking: tuple[tuple[str, float], ...]
    scores: dict[str, float]
    score: float
    threshold: float
    false_accept_probability: float
    speech_duration: float

    @property
    def closest(self) -> str | None:
        """The best candidate, recognised or not; None if there was no speech."""
        return self.ranking[0][0] if self.ranking else None

    @property
    def is_known(self) -> bool:
        """Whether the voice was recognised."""
        return self.decision != UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values; what is infinite becomes None."""
        return _finite(asdict(self) | {"ranking": [[name, llr] for name, llr in self.ranking]})


@dataclass(frozen=True)
class Verification:
    """Whether a recording is of the person that it claims to be of.

    Attributes
    ----------
    claimed : str
        The enrolled name.
    accepted : bool
        Whether the score reaches the threshold.
    llr, score, threshold, false_accept_probability, speech_duration : float
        As in `Identification`, for the claimed speaker alone.
    """

    claimed: str
    accepted: bool
    llr: float
    score: float
    threshold: float
    false_accept_probability: float
    speech_duration: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values; what is infinite becomes None."""
        return _finite(asdict(self))


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """Replace infinities, which JSON does not have."""
    return {name: None if value in (float("inf"), -float("inf")) else value for name, value in values.items()}
