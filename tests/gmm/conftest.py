"""Mixtures and frames for the tests of the Gaussian mixture."""

import numpy as np
import pytest

from gmmaudio.gmm import GmmParams


def random_params(seed, n_components, n_features, offset=0.0):
    """A mixture with means of unit spread around an offset and variances between 0.2 and 1."""
    rng = np.random.default_rng(seed)
    return GmmParams(
        rng.dirichlet(np.full(n_components, 5.0)),
        offset + rng.standard_normal((n_components, n_features)),
        rng.uniform(0.2, 1.0, (n_components, n_features)),
    )


def random_frames(seed, n_frames, n_features, offset=0.0):
    """Frames a little wider than the mixtures of `random_params`."""
    return offset + 1.5 * np.random.default_rng(seed).standard_normal((n_frames, n_features))


@pytest.fixture(scope="session")
def mixture():
    """Four components in three dimensions."""
    return random_params(0, 4, 3)


@pytest.fixture(scope="session")
def frames():
    """70 frames: more than one block of columns, and not a multiple of it."""
    return random_frames(1, 70, 3)


@pytest.fixture(scope="session")
def make_params():
    return random_params


@pytest.fixture(scope="session")
def make_frames():
    return random_frames
