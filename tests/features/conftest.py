"""Fixtures of the front end's tests."""

import numpy as np
import pytest
from features.signals import speechlike


@pytest.fixture(params=[8000, 16000])
def sample_rate(request) -> int:
    return request.param


@pytest.fixture
def signal(sample_rate) -> np.ndarray:
    return speechlike(2.0, sample_rate)
