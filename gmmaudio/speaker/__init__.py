"""Who is speaking: background model, enrolment, identification, verification."""

from gmmaudio.speaker.evaluation import closed_set, open_set
from gmmaudio.speaker.identifier import SpeakerIdentifier
from gmmaudio.speaker.recordings import speaker_pipeline
from gmmaudio.speaker.results import UNKNOWN, Identification, Verification
from gmmaudio.speaker.stream import IdentificationStream

__all__ = [
    "UNKNOWN",
    "Identification",
    "IdentificationStream",
    "SpeakerIdentifier",
    "Verification",
    "closed_set",
    "open_set",
    "speaker_pipeline",
]
