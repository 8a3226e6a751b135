"""Model files: what is saved is loaded, and nothing else gets in."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gmmaudio
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.gmm import GmmParams
from gmmaudio.persistence import FORMAT, FORMAT_VERSION, load, read_stored, save

WEIGHTS, MEANS, VARIANCES = [0.25, 0.75], [[0.0, 1.0], [2.0, -1.0]], [[1.0, 2.0], [0.5, 0.1]]


@pytest.fixture
def params():
    return GmmParams(WEIGHTS, MEANS, VARIANCES)


@pytest.fixture
def model_file(params, tmp_path):
    path = tmp_path / "model.gmm"
    save(params, path)
    return path


def npy(array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def write_archive(path, members, /, *, compression=zipfile.ZIP_STORED, **changes):
    """Write a model file by hand, with anything in it; `changes` replace fields of the header."""
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "kind": "gmm_params",
        "library_version": gmmaudio.__version__,
        "pipeline": None,
        "config": {"covariance_type": "diag"},
        "arrays": {
            name: {"shape": list(np.shape(array)), "dtype": np.asarray(array).dtype.str}
            for name, array in members.items()
            if not isinstance(array, bytes)
        },
    } | changes
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("header.json", json.dumps(header))
        for name, array in members.items():
            archive.writestr(f"{name}.npy", array if isinstance(array, bytes) else npy(np.asarray(array)))
    return path


def valid_arrays():
    return {"weights": np.array(WEIGHTS), "means": np.array(MEANS), "covariances": np.array(VARIANCES)}


def test_loaded_parameters_have_the_bits_that_were_saved(params, model_file):
    loaded = load(model_file)
    for name in ("weights", "means", "variances"):
        assert np.array_equal(getattr(loaded, name), getattr(params, name))


def test_a_model_file_is_an_npz_that_numpy_reads(model_file):
    with np.load(model_file, allow_pickle=False) as arrays:
        assert np.array_equal(arrays["means"], MEANS)


def test_saving_replaces_the_old_file_and_leaves_nothing_else(params, model_file):
    save(params, model_file)
    assert list(model_file.parent.iterdir()) == [model_file]


def test_a_file_that_was_written_by_hand_to_the_format_is_read(tmp_path):
    assert np.array_equal(load(write_archive(tmp_path / "hand.gmm", valid_arrays())).weights, WEIGHTS)


def test_saving_something_else_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="cannot save a dict"):
        save({}, tmp_path / "model.gmm")


def test_saving_to_a_folder_that_is_not_there_says_so(params, tmp_path):
    with pytest.raises(GmmAudioError, match="No such file or directory"):
        save(params, tmp_path / "nowhere" / "model.gmm")


def test_a_disk_that_is_full_leaves_the_old_model_and_no_part_of_the_new(params, model_file):
    before = model_file.read_bytes()
    code = f"""
import resource, numpy as np
from gmmaudio.errors import GmmAudioError
from gmmaudio.gmm import GmmParams
from gmmaudio.persistence import save
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # no file may grow beyond this: a real write that fails
try:
    save(GmmParams(np.full(1000, 1e-3), np.zeros((1000, 40)), np.ones((1000, 40))), {str(model_file)!r})
except GmmAudioError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cannot write" in result.stdout
    assert "nothing was changed" in result.stdout
    assert model_file.read_bytes() == before
    assert list(model_file.parent.iterdir()) == [model_file]


def test_the_same_model_gives_the_same_bytes_at_any_time(params, model_file):
    with zipfile.ZipFile(model_file) as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(GmmAudioError, match="there is no model file"):
        load(tmp_path / "none.gmm")


def test_a_folder_is_not_a_model(tmp_path):
    with pytest.raises(GmmAudioError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"RIFF not a model", b"PK\x03\x04 not a zip either"])
def test_another_file_is_not_a_model(content, tmp_path):
    path = tmp_path / "other.gmm"
    path.write_bytes(content)
    with pytest.raises(GmmAudioError, match="not a model file"):
        load(path)


def test_every_truncation_is_an_error(model_file):
    whole = model_file.read_bytes()
    for n_bytes in range(0, len(whole), 37):
        model_file.write_bytes(whole[:n_bytes])
        with pytest.raises(GmmAudioError):
            load(model_file)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), value=st.integers(1, 255))
def test_a_changed_byte_is_an_error_or_harmless_but_never_another_exception(params, tmp_path, position, value):
    path = tmp_path / "changed.gmm"
    save(params, path)
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= value
    path.write_bytes(content)
    try:
        loaded = load(path)
    except GmmAudioError:
        return
    assert np.array_equal(loaded.means, params.means)


def test_a_changed_array_is_found_by_its_checksum(model_file):
    content = model_file.read_bytes()
    place = content.index(struct.pack("<d", 0.75))
    model_file.write_bytes(content[:place] + struct.pack("<d", 0.5) + content[place + 8 :])
    with pytest.raises(GmmAudioError, match="truncated or corrupted"):
        load(model_file)


def test_a_newer_format_asks_for_an_upgrade(tmp_path):
    path = write_archive(tmp_path / "new.gmm", valid_arrays(), format_version=FORMAT_VERSION + 1, library_version="9.1")
    with pytest.raises(GmmAudioError, match=r"gmmaudio 9\.1.*upgrade gmmaudio"):
        load(path)


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(GmmAudioError, match=r"unknown kind 'os\.system'"):
        load(write_archive(tmp_path / "kind.gmm", valid_arrays(), kind="os.system"))


def test_another_kind_than_the_needed_one_is_refused(model_file):
    with pytest.raises(GmmAudioError, match="'gmm_params', but 'speaker_identifier' is needed"):
        load(model_file, kind="speaker_identifier")


def test_another_programs_npz_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", means=MEANS)
    with pytest.raises(GmmAudioError, match=r"no header\.json"):
        load(tmp_path / "other.npz")


class Bomb:
    """An object that would run code when it is unpickled."""

    def __reduce__(self):
        return exec, ("raise AssertionError('the model file was unpickled')",)


def test_pickled_objects_are_refused_without_unpickling(tmp_path):
    evil = np.array([Bomb()], dtype=object)
    with pytest.raises(AssertionError, match="unpickled"):
        pickle.loads(pickle.dumps(Bomb()))
    arrays = valid_arrays() | {"weights": npy(evil)}
    layout = {name: {"shape": list(np.shape(a)), "dtype": "<f8"} for name, a in valid_arrays().items()}
    path = write_archive(tmp_path / "evil.gmm", arrays, arrays=layout | {"weights": {"shape": [1], "dtype": "|O"}})
    with pytest.raises(GmmAudioError, match="plain numbers only"):
        load(path)


def test_a_compressed_member_is_refused_as_it_could_be_a_bomb(tmp_path):
    path = write_archive(
        tmp_path / "bomb.gmm",
        valid_arrays() | {"means": np.zeros((1000, 1000))},
        compression=zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(GmmAudioError, match="compressed"):
        load(path)


def test_an_array_that_claims_more_than_the_file_has_is_refused(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (10**9, 40), "fortran_order": False, "descr": "<f8"})
    layout = {"means": {"shape": [10**9, 40], "dtype": "<f8"}}
    path = write_archive(tmp_path / "huge.gmm", {"means": header.getvalue() + bytes(80)}, arrays=layout)
    with pytest.raises(GmmAudioError, match="does not fill"):
        load(path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("covariances", [[1.0, -2.0], [0.5, 0.1]], "variances must be positive"),
        ("covariances", [[1.0, 2.0]], "covariances"),
        ("means", [[np.nan, 1.0], [2.0, -1.0]], "means"),
        ("weights", [0.9, 0.9], "sum to 1"),
    ],
)
def test_values_that_no_model_can_have_are_refused(name, value, message, tmp_path):
    path = write_archive(tmp_path / "bad.gmm", valid_arrays() | {name: np.array(value)})
    with pytest.raises(GmmAudioError, match=rf"not a valid gmm_params model: .*{message}"):
        load(path)


def test_a_missing_array_is_named(tmp_path):
    arrays = valid_arrays()
    del arrays["means"]
    with pytest.raises(GmmAudioError, match="'means' is missing"):
        load(write_archive(tmp_path / "less.gmm", arrays))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"format_version": "one"},
        {"format_version": 0},
        {"config": []},
        {"arrays": {"means": [2, 2]}},
        {"arrays": {}},
        {"kind": ["gmm_params"]},
        {"pipeline": 3},
        {"library_version": None},
    ],
)
def test_a_header_of_another_form_is_refused(changes, tmp_path):
    with pytest.raises(GmmAudioError, match="cannot be used as a model file"):
        load(write_archive(tmp_path / "odd.gmm", valid_arrays(), **changes))


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"a": NaN}', "\xff"])
def test_a_header_that_is_not_json_is_refused(text, tmp_path):
    path = tmp_path / "text.gmm"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", text.encode("latin-1"))
    with pytest.raises(GmmAudioError, match="not JSON"):
        load(path)


def test_reading_a_header_does_not_build_the_model(model_file):
    stored = read_stored(model_file)
    assert stored.kind == "gmm_params"
    assert stored.arrays["means"].shape == (2, 2)
