"""A word recogniser as a model file holds it."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gmmaudio._typing import AnyArray
from gmmaudio.errors import GmmAudioError
from gmmaudio.features import PipelineConfig
from gmmaudio.hmm.emissions import MixtureEmissions
from gmmaudio.hmm.parameters import HmmParams
from gmmaudio.words.adaptation import FrameTransform
from gmmaudio.words.network import NetworkOptions
from gmmaudio.words.training import TrainingOptions

CHAIN = ("start_probs", "transition_probs", "end_probs")


class Parts(NamedTuple):
    """What a recogniser is made of."""

    models: dict[str, HmmParams]
    training: TrainingOptions
    network: NetworkOptions
    transform: FrameTransform | None


def pack(
    models: Mapping[str, HmmParams],
    training: TrainingOptions,
    network: NetworkOptions,
    transform: FrameTransform | None,
) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """Return a recogniser as JSON values and arrays; those of the models are joined in the order of the labels."""
    config = {
        "labels": list(models),
        "training": dataclasses.asdict(training),
        "network": dataclasses.asdict(network),
    }
    chains = [(m.start_probs, m.transition_matrix.ravel(), m.end_probs) for m in models.values()]
    arrays: dict[str, AnyArray] = {
        name: np.concatenate(values)
        for name, values in zip(
            ("start_probs", "transition_probs", "end_probs"), zip(*chains, strict=True), strict=True
        )
    }
    emissions = [model.emissions.to_arrays() for model in models.values()]
    arrays |= {name: np.concatenate([own[name] for own in emissions]) for name in emissions[0]}
    arrays["n_states"] = np.array([model.n_states for model in models.values()])
    if transform is not None:
        arrays |= {"transform_matrix": transform.matrix, "transform_offset": transform.offset}
    return config, arrays


def unpack(config: Mapping[str, Any], arrays: Mapping[str, AnyArray]) -> Parts:
    """Return what `pack` has packed, checked."""
    labels, n_states = [str(label) for label in config["labels"]], arrays["n_states"].astype(np.intp)
    n_components = arrays["n_components"].astype(np.intp)
    if len(labels) != len(n_states) or len(set(labels)) != len(labels) or (n_states < 1).any():
        raise GmmAudioError(f"it names {len(labels)} labels for {len(n_states)} models, or a model has no states")
    if (n_components < 1).any() or n_states.sum() != len(n_components) or n_components.sum() != len(arrays["means"]):
        raise GmmAudioError("the numbers of states, Gaussians and means do not agree")
    states = np.cumsum(n_states)[:-1]
    gaussians = np.cumsum(np.add.reduceat(n_components, [0, *states]))[:-1]
    parts = zip(
        labels,
        np.split(arrays["start_probs"], states),
        np.split(arrays["transition_probs"], np.cumsum(n_states**2)[:-1]),
        np.split(arrays["end_probs"], states),
        np.split(n_components, states),
        *(np.split(arrays[name], gaussians) for name in ("weights", "means", "variances")),
        strict=True,
    )
    models = {
        label: HmmParams(start, transitions.reshape(len(start), -1), MixtureEmissions.from_pool(counts, *mixtures), end)
        for label, start, transitions, end, counts, *mixtures in parts
    }
    transform = None
    if "transform_matrix" in arrays:
        transform = FrameTransform(arrays["transform_matrix"], arrays["transform_offset"])
    return Parts(models, TrainingOptions(**config["training"]), NetworkOptions(**config["network"]), transform)


def check_features(models: Mapping[str, HmmParams], transform: FrameTransform | None, config: PipelineConfig) -> None:
    """Raise unless the models and the transform take the frames that the front end makes."""
    widths = {model.n_features for model in models.values()} | {config.n_features}
    widths |= set() if transform is None else {len(transform.offset)}
    if len(widths) > 1:
        raise GmmAudioError(f"its models, transform and front end are of {sorted(widths)} features; they must agree")
