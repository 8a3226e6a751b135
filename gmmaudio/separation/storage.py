"""The sources of a separator as a model file holds them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from gmmaudio._typing import AnyArray
from gmmaudio.errors import GmmAudioError
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.persistence import StoredModel
from gmmaudio.separation.masking import SeparationConfig
from gmmaudio.separation.spectral import SpectralParams
from gmmaudio.separation.stft import StftConfig
from gmmaudio.separation.training import SourceModel
from gmmaudio.validation import read_only_array

KIND = "separator"
ROW_SUM_TOLERANCE = 1e-6


def pack(
    n_components: int,
    stft: StftConfig,
    config: SeparationConfig,
    random_state: int,
    models: Mapping[str, SourceModel],
) -> StoredModel:
    """Return a separator as JSON values and arrays; sources go by number, their names are in the configuration."""
    settings = {"n_components": n_components, **asdict(stft), **asdict(config), "random_state": random_state}
    arrays: dict[str, AnyArray] = {}
    for number, model in enumerate(models.values()):
        own = {
            "weights": model.spectral.weights,
            "variances": model.spectral.variances,
            "transitions": model.transition_matrix,
            "log_weights": model.log_spectral.weights,
            "log_means": model.log_spectral.means,
            "log_variances": model.log_spectral.variances,
        }
        arrays |= {f"source{number}_{name}": array for name, array in own.items()}
    return StoredModel(KIND, {**settings, "sources": list(models)}, arrays)


def unpack(stored: StoredModel) -> tuple[dict[str, Any], dict[str, SourceModel]]:
    """Return the arguments of a separator and its sources; everything may come from an untrusted file.

    Raises
    ------
    GmmAudioError
        If parts are missing or do not fit together.
    """
    config = stored.config
    names = [str(name) for name in config["sources"]]
    if len(set(names)) != len(names):
        raise GmmAudioError("two sources have the same name")
    arguments = {
        "n_components": int(config["n_components"]),
        "sample_rate": int(config["sample_rate"]),
        "frame_length": float(config["frame_length"]),
        "likelihood": config["likelihood"],
        "dynamics": config["dynamics"],
        "mask": config["mask"],
        "spectra": config["spectra"],
        "random_state": int(config["random_state"]),
    }
    return arguments, {name: _source(stored.arrays, number) for number, name in enumerate(names)}


def _source(arrays: Mapping[str, AnyArray], number: int) -> SourceModel:
    """Return a source, after checking that its parts fit together."""
    own = {name: arrays[f"source{number}_{name}"] for name in ("weights", "variances", "transitions")}
    logs = [arrays[f"source{number}_log_{name}"] for name in ("weights", "means", "variances")]
    spectral = SpectralParams(own["weights"], own["variances"])
    transitions = read_only_array(own["transitions"], name="transitions", shape=(spectral.n_components,) * 2)
    if (transitions < 0).any() or (np.abs(transitions.sum(axis=1) - 1.0) > ROW_SUM_TOLERANCE).any():
        raise GmmAudioError(f"the transitions of source {number} are no probabilities")
    log_spectral = GmmParams(*logs)
    if log_spectral.means.shape != spectral.variances.shape:
        raise GmmAudioError(f"the two mixtures of source {number} have different shapes")
    return SourceModel(spectral, transitions, log_spectral)
