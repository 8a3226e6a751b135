import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmmaudio.errors import ParameterError
from gmmaudio.features import (
    DeltasConfig,
    EnergyVadConfig,
    FeatureWarpingConfig,
    GlobalCmvnConfig,
    MfccConfig,
    OnlineCmvnConfig,
    PipelineConfig,
    SlidingCmvnConfig,
    UtteranceCmvnConfig,
    check_same_pipeline,
)

STATISTICS = {"means": (0.1, 2.0), "variances": (1.0, 3.0)}
NORMALIZATIONS = [
    None,
    UtteranceCmvnConfig(),
    GlobalCmvnConfig(means=(1.0, 2.0), variances=None),
    SlidingCmvnConfig(lookahead=150),
    OnlineCmvnConfig(**STATISTICS),
    FeatureWarpingConfig(),
]


@pytest.mark.parametrize("normalization", NORMALIZATIONS, ids=str)
def test_a_configuration_survives_json(normalization):
    config = PipelineConfig(
        MfccConfig.from_preset("htk", sample_rate=8000), None, EnergyVadConfig(memory=100), normalization
    )
    assert PipelineConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_numbers_of_numpy_become_plain_ones():
    config = SlidingCmvnConfig(window=np.int64(200))
    assert json.dumps(config.to_dict()) == json.dumps(SlidingCmvnConfig(window=200).to_dict())


def changed(path, value):
    """Return the default pipeline's dictionary with one entry replaced."""
    values = PipelineConfig(normalization=GlobalCmvnConfig(**STATISTICS)).to_dict()
    target = values
    *owners, name = path.split(".")
    for owner in owners:
        target = target[owner]
    target[name] = value
    return values


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("mfcc.n_mfcc", "13", "n_mfcc is '13'; it must be an integer"),
        ("mfcc.n_mfcc", True, "must be an integer"),
        pytest.param("mfcc.n_mfcc", 10**5000, "too long to print; it must be from", id="n_mfcc of 5000 digits"),
        ("mfcc.n_fft", 0, "must be from"),
        ("mfcc.fmin", 10**400, "not finite"),
        ("mfcc.fmin", math.nan, "not finite"),
        ("mfcc.fmin", None, "must be a number"),
        ("mfcc.n_fft", 2**40, "must be from"),
        ("mfcc.remove_dc", 1, "true or false"),
        ("mfcc.window", ["povey"], "must be one of"),
        ("mfcc.kind", "EvilConfig", "must be a MfccConfig"),
        ("mfcc", None, "must be a MfccConfig"),
        ("mfcc", [], "must be a MfccConfig"),
        ("deltas.__class__", 1, "has no __class__"),
        ("deltas.order", 7, "order is 7"),
        ("normalization.kind", "EvilConfig", "must be one of UtteranceCmvnConfig"),
        ("normalization.kind", ["GlobalCmvnConfig"], "must be one of"),
        ("normalization.means", 3.0, "must be a list"),
        ("normalization.means", [1.0, "x"], r"means\[1\] is 'x'"),
        ("normalization.means", [], "means is empty"),
        ("normalization.means", [1.0], "1 means but 2 variances"),
        ("normalization.variances", [1.0, -1.0], "must be positive"),
        ("surprise", 1, "has no surprise"),
    ],
)
def test_a_hostile_dictionary_is_refused(path, value, message):
    with pytest.raises(ParameterError, match=message):
        PipelineConfig.from_dict(changed(path, value))


def test_a_missing_key_is_named():
    values = PipelineConfig().to_dict()
    del values["mfcc"]["lifter"]
    with pytest.raises(ParameterError, match=r"PipelineConfig.mfcc lacks lifter"):
        PipelineConfig.from_dict(values)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*PipelineConfig().to_dict(), "mfcc.sample_rate", "mfcc.padding", "deltas.window"]), JSON)
def test_anything_in_a_field_gives_a_configuration_or_a_parameter_error(path, value):
    values = changed(path, value)
    try:
        config = PipelineConfig.from_dict(values)
    except ParameterError:
        return
    assert config == PipelineConfig.from_dict(config.to_dict())


def test_difference_names_each_field_and_both_values():
    here = PipelineConfig(MfccConfig(n_mfcc=13), normalization=SlidingCmvnConfig())
    there = PipelineConfig(MfccConfig(n_mfcc=20), deltas=None, normalization=UtteranceCmvnConfig())
    differences = here.difference(there)
    assert "mfcc.n_mfcc: 13 here, 20 there" in differences
    assert "deltas: DeltasConfig here, none there" in differences
    assert "normalization: SlidingCmvnConfig here, UtteranceCmvnConfig there" in differences


def test_equal_configurations_have_no_difference():
    assert PipelineConfig().difference(PipelineConfig()) == []


def test_a_number_far_down_a_list_is_a_difference():
    means = tuple(range(10))
    here = GlobalCmvnConfig(means, None)
    assert here.difference(dataclasses.replace(here, means=(*means[:-1], 99.0)))


def test_describe_has_one_line_a_field():
    assert "mfcc.n_mels: 23" in PipelineConfig().describe().splitlines()


def test_check_same_pipeline_names_both_sides():
    with pytest.raises(ParameterError, match=r"deltas.order: 1 in the model, 2 given"):
        check_same_pipeline(PipelineConfig(), PipelineConfig(deltas=DeltasConfig(order=2)))


def test_check_same_pipeline_accepts_equal_ones():
    check_same_pipeline(PipelineConfig(), PipelineConfig())


def test_a_misspelt_field_is_an_error():
    with pytest.raises(TypeError, match="n_mfc"):
        MfccConfig(n_mfc=3)
