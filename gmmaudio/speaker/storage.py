"""The models of a speaker identifier as a model file holds them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gmmaudio._typing import AnyArray, Float32Array, Float64Array, IntArray
from gmmaudio.errors import GmmAudioError
from gmmaudio.gmm.parameters import GmmParams
from gmmaudio.gmm.statistics import GmmStats
from gmmaudio.speaker.cohort import UNIT_FRAMES, Cohort
from gmmaudio.speaker.decision import Enrollment, Judge
from gmmaudio.speaker.enrollment import check_name, check_relevance_factor

_STATS = ("zeroth", "first", "second")


def pack(judge: Judge) -> tuple[dict[str, Any], dict[str, AnyArray]]:
    """Return the models as JSON values and arrays.

    Statistics go without their center, which is that of the background model.
    """
    ubm, cohort, enrolled = judge.ubm, judge.cohort, judge.enrolled.values()
    config = {
        "relevance_factor": cohort.relevance_factor,
        "cohort": list(cohort.speakers),
        "cohort_is_enrolled": judge.cohort_is_enrolled,
        "enrolled": [
            {
                "name": name,
                "n_recordings": speaker.n_recordings,
                "n_frames": speaker.stats.n_frames,
                "log_likelihood": speaker.stats.log_likelihood,
            }
            for name, speaker in judge.enrolled.items()
        ],
    }
    arrays = {
        **_params_arrays("ubm", [ubm]),
        **_params_arrays("fold", cohort.folds),
        **{f"enrolled_{name}": _stack([getattr(one.stats, name) for one in enrolled]) for name in _STATS},
        "enrolled_unit_llrs": _stack([one.unit_llrs for one in enrolled]),
        "cohort_frames": np.concatenate([np.empty((0, ubm.n_features), np.float32), *cohort.frames]),
        "cohort_n_units": np.array(cohort.n_units, dtype=np.int64),
        "cohort_fold_of": np.array(cohort.fold_of, dtype=np.int64),
        "cohort_unit_llrs": cohort.unit_llrs,
    }
    return config, arrays


def unpack(config: Mapping[str, Any], arrays: Mapping[str, AnyArray], *, frame_shift: float) -> Judge:
    """Return the models that `pack` described; everything may come from an untrusted file.

    Raises
    ------
    GmmAudioError
        If parts are missing or do not fit together.
    """
    ubm = _params("ubm", arrays)[0]
    cohort = _cohort(config, arrays, ubm)
    n_units = sum(cohort.n_units)
    people = config["enrolled"]
    unit_llrs = _array(arrays, "enrolled_unit_llrs", (len(people), n_units)) if people else np.empty((0, n_units))
    enrolled = {
        check_name(str(person["name"])): Enrollment(
            GmmStats(
                arrays["enrolled_zeroth"][index],
                arrays["enrolled_first"][index],
                arrays["enrolled_second"][index],
                ubm.center,
                float(person["log_likelihood"]),
                float(person["n_frames"]),
            ),
            int(person["n_recordings"]),
            unit_llrs[index],
        )
        for index, person in enumerate(people)
    }
    for name, speaker in enrolled.items():
        if speaker.stats.first.shape != ubm.means.shape:
            raise GmmAudioError(f"the statistics of '{name}' do not have the shape of the background model")
    if len(enrolled) != len(people):
        raise GmmAudioError("two enrolled speakers have the same name")
    return Judge(ubm, cohort, enrolled, frame_shift, bool(config["cohort_is_enrolled"]))


def _cohort(config: Mapping[str, Any], arrays: Mapping[str, AnyArray], ubm: GmmParams) -> Cohort:
    """Return the cohort, after checking that its parts fit together."""
    speakers = tuple(str(name) for name in config["cohort"])
    folds = tuple(_params("fold", arrays))
    n_units = _array(arrays, "cohort_n_units", (len(speakers),)).astype(np.int64)
    fold_of = _array(arrays, "cohort_fold_of", (len(speakers),)).astype(np.int64)
    if (n_units < 0).any() or (fold_of < 0).any() or (fold_of >= len(folds)).any():
        raise GmmAudioError("the sizes or the folds of the cohort's speakers are out of range")
    if any(fold.means.shape != ubm.means.shape for fold in folds):
        raise GmmAudioError("a fold's background model does not have the shape of the background model")
    frames = _array(arrays, "cohort_frames", (int(n_units.sum()) * UNIT_FRAMES, ubm.n_features))
    relevance_factor = check_relevance_factor(float(config["relevance_factor"]))
    unit_llrs = _array(arrays, "cohort_unit_llrs", (int(n_units.sum()), len(speakers)))
    return Cohort(speakers, _split(frames, n_units), folds, tuple(fold_of.tolist()), relevance_factor, unit_llrs)


def _split(frames: Float32Array, n_units: IntArray) -> tuple[Float32Array, ...]:
    """Return the frames of each speaker."""
    return tuple(np.split(frames, np.cumsum(n_units)[:-1] * UNIT_FRAMES)) if len(n_units) else ()


def _params_arrays(prefix: str, models: Sequence[GmmParams]) -> dict[str, AnyArray]:
    """Return models of one shape as three stacked arrays."""
    names = ("weights", "means", "variances")
    return {f"{prefix}_{name}": _stack([getattr(model, name) for model in models]) for name in names}


def _params(prefix: str, arrays: Mapping[str, AnyArray]) -> list[GmmParams]:
    """Return the models that `_params_arrays` stacked."""
    stacked = (arrays[f"{prefix}_{name}"] for name in ("weights", "means", "variances"))
    models = [GmmParams(*parts) for parts in zip(*stacked, strict=True)]
    if not models:
        raise GmmAudioError(f"there is no {prefix} model in it")
    return models


def _stack(arrays: Sequence[Float64Array]) -> Float64Array:
    """Return arrays of one shape as one array; an empty one if there are none."""
    return np.stack(arrays) if arrays else np.empty(0)


def _array(arrays: Mapping[str, AnyArray], name: str, shape: tuple[int, ...]) -> AnyArray:
    """Return an array of the shape that the rest of the file asks for, all of it finite."""
    array = arrays[name]
    if array.shape != shape:
        raise GmmAudioError(f"its array '{name}' has the shape {array.shape} but {shape} is needed")
    if not np.isfinite(array).all():
        raise GmmAudioError(f"its array '{name}' holds values that are not finite")
    return array
