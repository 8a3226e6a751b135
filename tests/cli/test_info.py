"""`gmmaudio info`: every kind of model is said in words, and as JSON."""

import json

import numpy as np
import pytest

from gmmaudio import GMM, GMMHMM, AnomalyDetector, Separator, StudentTMixture, save
from gmmaudio.cli.summary import summary_of
from gmmaudio.features import Features, PipelineConfig
from gmmaudio.gmm import BayesianGMM, GmmParams
from gmmaudio.gmm.student.parameters import StudentParams, UniformNoise

RNG = np.random.default_rng(0)
FRAMES = np.concatenate([RNG.normal(-3, 1, (200, 2)), RNG.normal(3, 1, (100, 2))])
GMM_OF_TWO = GMM(2, random_state=0).fit(FRAMES)
STUDENTS = StudentTMixture(2, degrees_of_freedom=np.inf, noise=True, random_state=0).fit(FRAMES)
HMM = GMMHMM(2, (1, 2), topology="left-right").fit([FRAMES])


def separator():
    tone = np.sin(np.arange(8000) * 0.3) + 0.01 * RNG.normal(size=8000)
    return Separator(n_components=2, sample_rate=8000).train_source("tone", [tone])


MODELS = {
    "gmm": lambda: GMM_OF_TWO,
    "gmm_params": lambda: GMM_OF_TWO.params_,
    "bayesian_gmm": lambda: BayesianGMM(3, random_state=0).fit(FRAMES),
    "student_mixture": lambda: STUDENTS,
    "student_params": lambda: STUDENTS.params_,
    "gmm_hmm": lambda: HMM,
    "hmm_params": lambda: HMM.params_,
    "anomaly_detector": lambda: AnomalyDetector().fit(FRAMES),
    "separator": separator,
    "features": lambda: Features(np.zeros((3, 26)), PipelineConfig()),
}


@pytest.fixture(name="model")
def stored_model(tmp_path, request):
    save(MODELS[request.param](), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("model", MODELS, indirect=True)
def test_every_kind_has_a_summary_in_json(run, model):
    value = json.loads(run("info", model, "--json").out)
    assert value["summary"]["model"]


@pytest.mark.parametrize("model", MODELS, indirect=True)
def test_every_kind_is_printed_with_what_it_is(run, model):
    ran = run("info", model)
    assert ran.code == 0
    kind = json.loads(run("info", model, "--json").out)["summary"]["model"]
    assert ran.out.startswith(f"{model}: {kind}, made by gmmaudio")


@pytest.mark.parametrize("model", ["gmm"], indirect=True)
def test_a_mixture_is_said_with_its_sizes_training_and_components(run, model):
    out = run("info", model).out
    assert "\n  components: 2\n  features: 2\n  covariances: diag\n  free parameters: 9\n" in out
    assert f"\n  iterations: {GMM_OF_TWO.n_iter_}\n  converged: yes\n" in out
    assert "\n  frames: 300\n" in out
    assert "heaviest components" in out


@pytest.mark.parametrize("model", ["gmm"], indirect=True)
def test_arrays_are_printed_on_demand(run, model):
    assert "type and shape" not in run("info", model).out
    assert "float64 [2, 2]" in run("info", model, "--arrays").out


def test_components_come_with_the_heaviest_first():
    params = GmmParams([0.2, 0.5, 0.3], [[0.0], [1.0], [2.0]], [[1.0], [4.0], [9.0]])
    rows = summary_of("gmm_params", params)["heaviest components"]
    assert [row["component"] for row in rows] == [1, 2, 0]
    assert rows[0] == {"component": 1, "weight": 0.5, "mean": [1.0], "standard deviation": [2.0]}


def test_components_of_students_come_with_scales_and_degrees_of_freedom():
    params = StudentParams(GmmParams([1.0], [[0.0]], [[4.0]]), 3.0, UniformNoise(0.25, [0.0], [1.0]))
    summary = summary_of("student_params", params)
    expected = {"component": 0, "weight": 0.75, "mean": [0.0], "scale": [2.0], "degrees of freedom": 3.0}
    assert summary["heaviest components"] == [expected]
    assert summary["weight of noise"] == 0.25


def test_states_are_expected_to_last_as_their_transitions_say():
    rows = summary_of("gmm_hmm", HMM)["each state"]
    stay = HMM.transition_matrix_[0, 0]
    assert rows[0]["expected frames"] == pytest.approx(1 / (1 - stay), rel=1e-12)
    assert rows[1]["expected frames"] is None  # for ever
    assert [row["components"] for row in rows] == [1, 2]


def test_of_a_kind_that_nobody_describes_the_settings_are_left():
    assert summary_of("spectral_params", object()) == {}
