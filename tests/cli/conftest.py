"""A small model file and a way to run a command in this process."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speaker.voices import bundled, clips

from gmmaudio import save
from gmmaudio.cli import main


@dataclass(frozen=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Run the command line with arguments of any type that has a text."""

    def run_command(*arguments) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(ended.value.code, captured.out, captured.err)

    return run_command


@pytest.fixture(scope="session")
def trained_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "trained.gmm"
    save(bundled(), path)
    return path


@pytest.fixture
def model(trained_file, tmp_path) -> Path:
    """Model file with four voices, which the test may change."""
    return Path(shutil.copy(trained_file, tmp_path / "m.gmm"))


@pytest.fixture(scope="session")
def anna() -> Path:
    """Clip of an enrolled voice."""
    return clips("test", "anna")[0]


@pytest.fixture(scope="session")
def speech(anna) -> np.ndarray:
    """Samples of that clip, int16 at 16 kHz."""
    return soundfile.read(anna, dtype="int16")[0]
