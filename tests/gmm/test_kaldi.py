"""Files as Kaldi's sources write them: `DiagGmm::Write`, `WriteToken`, `Vector::Write` and `Matrix::Write`."""

import struct
import warnings

import numpy as np
import pytest
from gmm.structures import random_mixture
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracles import gmm_log_joint

from gmmaudio.errors import GmmAudioError, GmmAudioWarning, ParameterError
from gmmaudio.gmm import GmmParams, read_kaldi, write_kaldi
from gmmaudio.gmm.interop.kaldi import component_constants

SINGLE_RTOL = 3e-7  # both were rounded to float32
PARAMS = random_mixture("diag", 0, n_components=3, n_features=2)
TEXT = """<DiagGMM>
<GCONSTS>  [ -3.820745 -1.835838 ]
<WEIGHTS>  [ 0.25 0.75 ]
<MEANS_INVVARS>  [
  0 0.5
  1 -2 ]
<INV_VARS>  [
  1 0.5
  2 4 ]
</DiagGMM>
"""


def kaldi_binary(params, kind="F"):
    """The bytes of a model, field by field."""
    number = {"F": "<f4", "D": "<f8"}[kind]

    def sized(*sizes):
        return b"".join(b"\4" + struct.pack("<i", size) for size in sizes)

    def vector(values):
        return f"{kind}V ".encode() + sized(len(values)) + values.astype(number).tobytes()

    def matrix(values):
        return f"{kind}M ".encode() + sized(*values.shape) + values.astype(number).tobytes()

    return (
        b"\0B<DiagGMM> <GCONSTS> "
        + vector(component_constants(params))
        + b"<WEIGHTS> "
        + vector(params.weights)
        + b"<MEANS_INVVARS> "
        + matrix(params.means / params.variances)
        + b"<INV_VARS> "
        + matrix(1.0 / params.variances)
        + b"</DiagGMM> "
    )


@pytest.fixture(name="read")
def reader(tmp_path):
    def read(contents):
        path = tmp_path / "final.dubm"
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return read_kaldi(path)

    return read


def assert_same(params, expected, rtol):
    assert_allclose(params.weights, expected.weights, rtol=rtol)
    assert_allclose(params.means, expected.means, rtol=rtol)
    assert_allclose(params.variances, expected.variances, rtol=rtol)


def test_a_text_model_is_read(read):
    params = read(TEXT)
    assert_same(params, GmmParams([0.25, 0.75], [[0, 1], [0.5, -0.5]], [[1, 2], [0.5, 0.25]]), rtol=1e-15)


@pytest.mark.parametrize(("kind", "rtol"), [("F", SINGLE_RTOL), ("D", 1e-14)])
def test_a_binary_model_is_read(read, kind, rtol):
    assert_same(read(kaldi_binary(PARAMS, kind)), PARAMS, rtol)


def test_older_names_of_beginning_and_end_and_no_constants_are_read(read):
    old = TEXT.replace("<DiagGMM>", "<DiagGMMBegin>").replace("</DiagGMM>", "<DiagGMMEnd>")
    old = "\n".join(line for line in old.split("\n") if "GCONSTS" not in line)
    np.testing.assert_array_equal(read(old).means, read(TEXT).means)


def test_constants_are_the_log_of_weight_times_density_at_zero():
    expected = gmm_log_joint(PARAMS.weights, PARAMS.means, PARAMS.variances, np.zeros((1, 2)))[0]
    assert_allclose(component_constants(PARAMS), expected, rtol=1e-12)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["diag", "spherical"])
def test_what_is_written_is_read_again(tmp_path, binary, name):
    params = random_mixture(name, 1, n_components=4, n_features=5)
    write_kaldi(params, tmp_path / "gmm", binary=binary)
    assert_same(read_kaldi(tmp_path / "gmm"), params, 3 * SINGLE_RTOL)


@pytest.mark.parametrize("binary", [True, False])
def test_written_files_are_laid_out_as_by_kaldi(tmp_path, read, binary):
    write_kaldi(PARAMS, tmp_path / "gmm", binary=binary)
    contents = (tmp_path / "gmm").read_bytes()
    if binary:
        assert contents == kaldi_binary(PARAMS)
    else:
        words = [word for word in contents.decode().split() if word[0] in "<["]
        assert words == [word for word in TEXT.split() if word[0] in "<["]


def test_a_component_without_weight_survives(tmp_path):
    params = GmmParams([0.0, 1.0], [[0.0], [1.0]], [[1.0], [1.0]])
    for binary in (True, False):
        write_kaldi(params, tmp_path / "gmm", binary=binary)
        assert read_kaldi(tmp_path / "gmm").weights.tolist() == [0.0, 1.0]


def test_stored_constants_of_other_parameters_are_a_warning(read):
    with pytest.warns(
        GmmAudioWarning, match=r"<GCONSTS>, component 1: -1.5 is stored but the parameters give -1.83584"
    ):
        read(TEXT.replace("-1.835838", "-1.5"))


def test_correlations_have_no_place_there(tmp_path):
    with pytest.raises(ParameterError, match="full covariances but diagonal"):
        write_kaldi(random_mixture("full", 0, n_components=2, n_features=2), tmp_path / "gmm")


def test_values_beyond_single_precision_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="larger variance floor"):
        write_kaldi(GmmParams([1.0], [[0.0]], [[1e-39]]), tmp_path / "gmm")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<DiagGMM>\n", "<FullGMM>\n", r"line 1: found '<FullGMM>' where <DiagGMM> or <DiagGMMBegin> is expected"),
        ("0.25", "a quarter", r"line 3: found 'a' where a number \(or a closing bracket\) is expected"),
        ("0.25", "nan", r"line 3: found 'nan'"),
        ("0.25", "0.5", r"the sum of <WEIGHTS> is 1.25 but must be 1"),
        ("0.25 0.75", "-0.25 1.25", r"weights must not be negative"),
        ("0.25 0.75", "1", r"1 weights, means of shape \(2, 2\)"),
        ("1 -2 ]", "1 -2 3 ]", r"line 7: the matrix that ends here has rows of \[2, 3\] numbers"),
        ("2 4 ]", "2 0 ]", r"<INV_VARS> must be positive and finite; the smallest is 0.0"),
        ("2 4 ]", "2 inf ]", r"<INV_VARS> must be positive and finite"),
        ("1 -2 ]", "1 inf ]", r"means holds NaN or infinity"),
        ("2 4 ]\n</DiagGMM>\n", "2 4", r"line 9: the file ends where a number"),
        ("-3.820745 -1.835838", "-3.820745", r"1 <GCONSTS> but 2 components"),
    ],
)
def test_a_broken_text_model_is_an_error_that_says_where(read, old, new, message):
    with pytest.raises(GmmAudioError, match=message):
        read(TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"<WEIGHTS>", b"<WEIGHT>", r"byte 42: <WEIGHTS> is expected"),
        (b"FM ", b"CM ", r"byte 88: FM or DM is expected \(compressed"),
        (b"FV \4\3\0\0\0", b"FV \4\xff\xff\xff\x7f", r"byte 25: the size of an array"),
        (b"FV \4\3\0\0\0", b"FV \4\xff\xff\xff\x0f", r"the file ends before its end"),
        (b"FV \4\3\0\0\0", b"FV \x08\3\0\0\0", r"byte 25: the size of an array"),
    ],
)
def test_a_broken_binary_model_is_an_error_that_says_where(read, old, new, message):
    with pytest.raises(GmmAudioError, match=message):
        read(kaldi_binary(PARAMS).replace(old, new, 1))


def test_every_cut_of_a_binary_model_is_an_error(read):
    contents = kaldi_binary(PARAMS)
    for length in range(len(contents) - 1):
        with pytest.raises(GmmAudioError):
            read(contents[:length])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_model_is_read_or_an_error_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged"
    contents = bytearray(data.draw(st.sampled_from([kaldi_binary(PARAMS), TEXT.encode()])))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(contents)))
        contents[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    path.write_bytes(contents)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GmmAudioWarning)
        try:
            assert isinstance(read_kaldi(path), GmmParams)
        except GmmAudioError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(GmmAudioError, match="cannot read"):
        read_kaldi(tmp_path / "none")
