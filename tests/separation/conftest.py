"""A separator that is trained once."""

import pytest
from separation.sounds import trained

from gmmaudio import Separator


@pytest.fixture(scope="session")
def separator() -> Separator:
    """Knows "low", "high" and "hiss"; tests must not change it."""
    return trained()
