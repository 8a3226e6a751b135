"""Detectors in model files: what is written, and what is checked before a file from anywhere is believed."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gmmaudio._typing import AnyArray
from gmmaudio.anomaly.calibration import TailCalibration
from gmmaudio.anomaly.engine import Engine, running_tails
from gmmaudio.anomaly.events import EventRule
from gmmaudio.anomaly.heads import HeadConfig
from gmmaudio.anomaly.stream import Stream
from gmmaudio.errors import GmmAudioError
from gmmaudio.persistence import StoredModel

if TYPE_CHECKING:
    from gmmaudio.hmm import HmmParams

KIND = "anomaly_detector"


def to_stored(
    stream: Stream, settings: Mapping[str, Any], facts: Mapping[str, Any], *, start: Mapping[str, AnyArray]
) -> StoredModel:
    """Return what a model file holds: settings, facts, calibrations, the state after training and the present one."""
    engine = stream.engine
    arrays: dict[str, AnyArray] = {"scale": engine.scale}
    for name, calibration in engine.calibrations.items():
        arrays |= {f"calibration.{name}.levels": calibration.levels, f"calibration.{name}.tail": calibration.tail}
    if engine.mode_head is not None and engine.mode_head.hmm is not None:
        arrays |= {f"modes.{name}": array for name, array in engine.mode_head.hmm.to_stored().arrays.items()}
    arrays |= {f"start.{name}": array for name, array in start.items()}
    arrays |= {f"now.{name}": array.copy() for name, array in stream.arrays().items()}
    config = {
        "head": dataclasses.asdict(engine.config),
        "settings": dict(settings) | {"rule": dataclasses.asdict(settings["rule"])},
        "calibrations": list(engine.calibrations),
    } | dict(facts)
    return StoredModel(KIND, config, arrays)


def settings(stored: StoredModel) -> dict[str, Any]:
    """Return the arguments that build the detector."""
    found = dict(stored.config["settings"])
    return found | {"rule": EventRule(**found["rule"])}


def channels(stored: StoredModel) -> tuple[str, ...]:
    """Return the names of the channels, as many as there are."""
    names, n = tuple(str(name) for name in stored.config["channels"]), stored.config["head"]["n_channels"]
    if len(names) != n:
        raise GmmAudioError(f"it names {len(names)} channels but has {n}")
    return names


def engine(stored: StoredModel) -> Engine:
    """Return the engine before its state is loaded, its size checked against what the file holds."""
    config, arrays = stored.config, stored.arrays
    head, found = HeadConfig(**config["head"]), config["settings"]
    if (head.n_lags, head.window, head.n_modes) != (found["n_lags"], found["window"], found["n_modes"]):
        raise GmmAudioError("its heads have other sizes than its settings say")
    sizes: dict[str, tuple[Any, ...]] = {"conditional.recent.history": (head.n_lags, head.n_channels)}
    if head.n_modes:
        sizes["modes.recent.mantissas"] = (head.n_modes,)
    sizes["level.recent.recent"] = (head.window, head.n_channels)
    memory = found["memory"] if found["guarded"] else None
    if found["adaptive"] and memory is not None:
        sizes["conditional.running.ring"] = (memory,)
    if any(arrays[f"start.{name}"].shape != size for name, size in sizes.items()):
        raise GmmAudioError("its memory of the stream does not have the size that its settings say")
    if found["settle_after"] and found["settle_after"] > len(arrays["start.past.rows"]):
        raise GmmAudioError("its memory of the stream does not have the size that its settings say")
    center, scale = arrays["start.center"], arrays["scale"]
    if not head.n_channels >= 1 or any(array.shape != (head.n_channels,) for array in (center, scale)):
        raise GmmAudioError("its center and scale do not have one number for each channel")
    if not all(np.isfinite(array).all() for array in (center, scale)) or (scale <= 0).any():
        raise GmmAudioError("its center and scale must be finite and the scale above 0")
    calibrations = {name: _calibration(name, arrays) for name in config["calibrations"]}
    if not found["adaptive"] and "fused" not in calibrations:
        raise GmmAudioError("it has no calibration of the fused score")
    tails = running_tails(head, memory) if found["adaptive"] else {}
    built = Engine(head, center, scale, calibrations, tails)
    if built.mode_head is not None:
        built.mode_head.hmm = _modes(head, arrays)
    return built


def _modes(head: HeadConfig, arrays: Mapping[str, AnyArray]) -> "HmmParams":
    """Return the modes of operation of a file, as many and of as many channels as its settings say."""
    from gmmaudio.hmm import HmmParams

    found = {name.removeprefix("modes."): array for name, array in arrays.items() if name.startswith("modes.")}
    hmm = HmmParams.from_stored(StoredModel("hmm_params", {"emissions": "mixtures"}, found))
    if (hmm.n_states, hmm.n_features) != (head.n_modes, head.n_channels):
        raise GmmAudioError(f"its {hmm.n_states} modes of {hmm.n_features} channels are not those of its settings")
    return hmm


def state(stored: StoredModel, prefix: str) -> dict[str, AnyArray]:
    """Return one of the states in a file, those numbers checked that could do harm."""
    found = {name.removeprefix(prefix): a for name, a in stored.arrays.items() if name.startswith(prefix)}
    for name in ("events.place", "events.parts"):
        if np.isnan(found[name]).any():
            raise GmmAudioError(f"its array {prefix}{name} must hold numbers")
    counted = ("past.count", "past.marks", "running.count", "modes.recent.count")
    counts = [array for name, array in found.items() if name.endswith(counted)]
    if any(not (np.isfinite(array).all() and (array >= 0).all()) for array in counts):
        raise GmmAudioError(f"its counts of what was seen, in {prefix}past and the like, must be numbers from 0 on")
    return found


def _calibration(name: str, arrays: Mapping[str, AnyArray]) -> TailCalibration:
    """Return one calibration of a file, checked."""
    levels, tail = arrays[f"calibration.{name}.levels"], arrays[f"calibration.{name}.tail"]
    sound = levels.ndim == 1 and len(levels) > 1 and tail.shape == (3,)
    if not (sound and np.isfinite(levels).all() and (np.diff(levels) >= 0).all() and np.isfinite(tail).all()):
        raise GmmAudioError(f"its calibration of {name} is not one")
    if not (0 < tail[0] < 1 and tail[1] > 0 and 0 <= tail[2] < 1):
        raise GmmAudioError(f"the tail of its calibration of {name} is {tail.tolist()}, which no tail can be")
    return TailCalibration(levels, tail)
