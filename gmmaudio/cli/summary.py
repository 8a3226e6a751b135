"""What `gmmaudio info` says of a model of each kind: plain values by name, and rows where there are many of a thing."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gmmaudio.gmm import GmmParams
from gmmaudio.gmm.student.parameters import StudentParams
from gmmaudio.hmm import HmmParams, TiedEmissions

if TYPE_CHECKING:
    from gmmaudio.gmm import GMM

MAX_ROWS = 10
"""Components, the heaviest first, and features of their means that a summary shows."""

Summary = dict[str, Any]
"""Values of JSON by name; a list of dictionaries is a table."""


def summary_of(kind: str, model: Any) -> Summary:
    """Return what there is to say of a model, in the order in which people want to know it.

    Parameters
    ----------
    kind : str
        As in its file.
    model : object
        The model of that kind.
    """
    return _SUMMARIES[kind](model) if kind in _SUMMARIES else {}


def _mixture(params: GmmParams) -> Summary:
    """Return the sizes of a mixture and its heaviest components."""
    heaviest = np.argsort(-params.weights, kind="stable")[:MAX_ROWS]
    deviations = np.sqrt(params.covariances.marginal_variances(*params.means.shape))
    return {
        "model": "Gaussian mixture",
        "components": params.n_components,
        "features": params.n_features,
        "covariances": params.covariances.name,
        "free parameters": params.n_free,
        "heaviest components": [
            {
                "component": int(k),
                "weight": float(params.weights[k]),
                "mean": params.means[k, :MAX_ROWS].tolist(),
                "standard deviation": deviations[k, :MAX_ROWS].tolist(),
            }
            for k in heaviest
        ],
    }


def _trained_mixture(gmm: "GMM") -> Summary:
    """Return the mixture of an estimator and how it was trained."""
    return _with_training(_mixture(gmm.params_), gmm) | {"frames": float(gmm.n_frames_seen_)}


def _chain(params: HmmParams) -> Summary:
    """Return the sizes of a hidden Markov model, and its states."""
    moves, stays = params.transition_matrix > 0, params.transition_matrix.diagonal()
    tied = isinstance(params.emissions, TiedEmissions)
    numbers = [mixture.n_components for mixture in getattr(params.emissions, "mixtures", ())]
    return {
        "model": "hidden Markov model" + (" with one codebook for all states" if tied else ""),
        "states": params.n_states,
        "Gaussians": params.emissions.pool.n_components,
        "features": params.n_features,
        "topology": "left-right" if not np.tril(moves, -1).any() else "with ways back",
        "ends": "in any state, at no cost" if params.end_probs is None else "with end probabilities",
        "each state": [
            {
                "state": state,
                "components": params.emissions.pool.n_components if tied else numbers[state],
                "start": float(params.start_probs[state]),
                "expected frames": float(1.0 / (1.0 - stay)) if stay < 1.0 else None,
                "end": None if params.end_probs is None else float(params.end_probs[state]),
            }
            for state, stay in enumerate(stays[:MAX_ROWS])
        ],
    }


def _with_training(summary: Summary, estimator: Any) -> Summary:
    """Return a summary with the iterations of an estimator and what they have gained."""
    return summary | _progress(estimator.history_, bool(estimator.converged_))


def _progress(history: Sequence[float], converged: bool, measure: str = "log-likelihood per frame") -> Summary:
    """Return how far a training is."""
    ends = [float(value) for value in (*history[:1], *history[-1:]) if np.isfinite(value)]
    return {"iterations": len(history), "converged": converged, f"{measure}, first and last": ends}


def _bayesian(model: Any) -> Summary:
    """Return the expected mixture, and how many of its components are in use."""
    progress = _progress(model.history_, bool(model.converged_), "lower bound")
    return _mixture(model.params_) | {"components in use": model.n_active_} | progress


def _students(params: StudentParams) -> Summary:
    """Return the mixture of Student distributions; the free parameters depend on what was estimated."""
    summary = _mixture(params.components)
    del summary["free parameters"]
    for row in summary["heaviest components"]:
        degrees = float(params.degrees_of_freedom[row["component"]])
        row["weight"] = float(params.weights[row["component"]])
        row["scale"] = row.pop("standard deviation")
        row["degrees of freedom"] = degrees if np.isfinite(degrees) else "infinite"
    return summary | {"model": "mixture of Student distributions", "weight of noise": params.noise_weight}


def _speakers(identifier: Any) -> Summary:
    """Return what a speaker identifier knows."""
    ubm = identifier.ubm
    return {
        "model": "speaker identifier",
        "enrolled": list(identifier.speakers),
        "background components": ubm.n_components,
        "background speakers": len(identifier.cohort.speakers),
        "features": ubm.n_features,
        "false-accept rate": identifier.false_accept_rate,
    }


def _words(recognizer: Any) -> Summary:
    """Return what a word recogniser knows."""
    models = recognizer.models
    return {
        "model": "word recogniser" + (", adapted to a speaker" if recognizer.transform is not None else ""),
        "words": len(recognizer.words),
        "features": next(iter(models.values())).n_features,
        "models": [
            {"word": word, "states": own.n_states, "Gaussians": own.emissions.pool.n_components}
            for word, own in models.items()
        ],
    }


def _sources(separator: Any) -> Summary:
    """Return what a separator knows."""
    return {
        "model": "separator of known sources",
        "sources": list(separator.sources),
        "components of each": separator.n_components,
        "sample rate": separator.sample_rate,
        "window": separator.stft.frame_length,
    }


def _anomalies(detector: Any) -> Summary:
    """Return what an anomaly detector watches."""
    return {
        "model": "anomaly detector" + (" that adapts" if detector.adaptive else ""),
        "channels": list(detector.channels),
        "samples seen": int(detector.n_seen),
        "alarm at p": detector.rule.alarm_p,
    }


def _frames(features: Any) -> Summary:
    """Return how many frames there are."""
    n_frames, n_features = features.frames.shape
    return {"model": "features of a recording", "frames": n_frames, "features": n_features}


def _checkpoint(checkpoint: Any) -> Summary:
    """Return how far a training is."""
    result = checkpoint.result
    return {"model": "checkpoint of a training"} | _progress(result.history, result.converged)


_SUMMARIES: dict[str, Callable[[Any], Summary]] = {
    "anomaly_detector": _anomalies,
    "anomaly_model": lambda model: _anomalies(model.detector),
    "bayesian_gmm": _bayesian,
    "checkpoint": _checkpoint,
    "features": _frames,
    "gmm": _trained_mixture,
    "gmm_hmm": lambda hmm: _with_training(_chain(hmm.params_), hmm),
    "gmm_params": _mixture,
    "gmm_regressor": lambda model: _mixture(model.params_),
    "hmm_params": _chain,
    "separator": _sources,
    "speaker_identifier": _speakers,
    "student_mixture": lambda model: _with_training(_students(model.params_), model),
    "student_params": _students,
    "word_recognizer": _words,
}
