"""Files of numbers."""

import sys

import numpy as np
import pandas
import pytest

from gmmaudio.anomaly.tables import join_tables, read_table, sample_period, with_numbers
from gmmaudio.errors import GmmAudioError, GmmAudioWarning

VALUES = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]])
TIMES = np.array([0.0, 60.0, 120.0])
STAMPS = np.array(["1970-01-01T00:00", "1970-01-01T00:01", "1970-01-01T00:02"], dtype="datetime64[m]")


def write_csv(folder):
    (folder / "x.csv").write_text("time,a,b\n0,1,2\n60,3,\n120,5,6\n")
    return folder / "x.csv"


def write_json(folder):
    (folder / "x.jsonl").write_text(
        '{"timestamp": "1970-01-01T00:00:00", "a": 1, "b": 2}\n{"timestamp": 60, "a": 3}\n'
        '{"timestamp": "1970-01-01T01:02:00+01:00", "a": 5, "b": 6}\n'
    )
    return folder / "x.jsonl"


def write_npz(folder):
    np.savez(folder / "x.npz", values=VALUES, times=STAMPS, channels=np.array(["a", "b"]))
    return folder / "x.npz"


def write_parquet(folder):
    stamps = pandas.to_datetime(STAMPS).tz_localize("UTC").tz_convert("Asia/Tokyo")
    pandas.DataFrame({"time": stamps, "a": VALUES[:, 0], "b": VALUES[:, 1]}).to_parquet(folder / "x.parquet")
    return folder / "x.parquet"


def write_parquet_with_index(folder):
    index = pandas.Index(STAMPS.astype("datetime64[s]"), name="timestamp")
    pandas.DataFrame({"a": VALUES[:, 0], "b": VALUES[:, 1]}, index=index).to_parquet(folder / "i.parquet")
    return folder / "i.parquet"


FORMATS = [write_csv, write_json, write_npz, write_parquet, write_parquet_with_index]


@pytest.mark.parametrize("write", FORMATS)
def test_every_format_gives_the_same_table(write, tmp_path):
    table = read_table(write(tmp_path))
    assert table.channels == ("a", "b")
    np.testing.assert_array_equal(table.values, VALUES)
    np.testing.assert_array_equal(table.times, TIMES)


@pytest.mark.parametrize("write", FORMATS)
def test_channels_are_found_by_name(write, tmp_path):
    table = read_table(write(tmp_path), channels=["b", "new"])
    assert table.channels == ("b", "new")
    np.testing.assert_array_equal(table.values[:, 0], VALUES[:, 1])
    assert np.isnan(table.values[:, 1]).all()


def test_an_array_without_names_is_taken_in_order(tmp_path):
    np.save(tmp_path / "x.npy", VALUES.astype(np.float32))
    table = read_table(tmp_path / "x.npy", channels=["a", "b"])
    np.testing.assert_array_equal(table.values, VALUES)
    assert table.times is None


def test_infinite_and_huge_numbers_are_missing(tmp_path):
    np.save(tmp_path / "x.npy", np.array([1.0, np.inf, 1e200]))
    assert np.isnan(read_table(tmp_path / "x.npy").values.ravel()).tolist() == [False, True, True]


def test_late_and_repeated_samples_are_left_out_with_a_warning(tmp_path):
    (tmp_path / "x.csv").write_text("time,a\n0,1\n60,2\n30,9\n60,2\n90,3\n")
    with pytest.warns(GmmAudioWarning, match="1 earlier than the sample before, 1 delivered twice"):
        table = read_table(tmp_path / "x.csv")
    assert table.times.tolist() == [0.0, 60.0, 90.0]


def test_rows_on_a_grid_keep_gaps(tmp_path):
    (tmp_path / "x.csv").write_text("time,a\n0,1\n30,3\n150,5\n")
    assert read_table(tmp_path / "x.csv").on_grid(60.0).values.ravel().tolist() == [
        2.0,
        pytest.approx(np.nan, nan_ok=True),
        5.0,
    ]


def test_a_grid_needs_times(tmp_path):
    np.save(tmp_path / "x.npy", VALUES)
    with pytest.raises(GmmAudioError, match="needs the time of every sample"):
        read_table(tmp_path / "x.npy").on_grid(60.0)


def test_joined_tables_have_a_gap_between(tmp_path):
    table = read_table(write_csv(tmp_path))
    joined = join_tables([table, table], gap=2)
    np.testing.assert_array_equal(joined.values, [*VALUES, *np.full((2, 2), np.nan), *VALUES])
    np.testing.assert_array_equal(joined.times, [*TIMES, np.nan, np.nan, *TIMES])
    assert sample_period(joined) == 60.0


def test_sensors_that_report_on_lines_of_their_own_are_all_channels(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"time": 0, "a": 1}\n{"time": 1, "b": 2}\n{"time": 60, "a": 3}\n')
    table = read_table(tmp_path / "x.jsonl").on_grid(60.0)
    assert table.channels == ("a", "b")
    np.testing.assert_array_equal(table.values, [[1.0, 2.0], [3.0, np.nan]])


def test_channels_without_a_number_are_left_out_with_a_warning(tmp_path):
    (tmp_path / "x.csv").write_text("machine,a,state\nM7,1,on\nM7,2,off\n")
    with pytest.warns(GmmAudioWarning, match="no number: machine, state"):
        table = with_numbers(read_table(tmp_path / "x.csv"))
    assert table.channels == ("a",)
    assert table.values.ravel().tolist() == [1.0, 2.0]


def test_parquet_without_pandas_names_the_extra(tmp_path, monkeypatch):
    path = write_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(GmmAudioError, match=r"gmmaudio\[parquet\]"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npy", b"no array", "not a NumPy file"),
        ("x.npz", b"PK\x03\x04 broken", "not a NumPy file"),
        ("x.parquet", b"PAR1 broken", "not a Parquet file"),
        ("none.csv", None, "No such file"),
    ],
)
def test_what_cannot_be_read_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(GmmAudioError, match=message):
        read_table(tmp_path / name)


def test_a_pickle_is_not_opened(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(GmmAudioError, match="plain numbers"):
        read_table(tmp_path / "x.npy")


def test_an_npz_needs_values(tmp_path):
    np.savez(tmp_path / "x.npz", other=VALUES)
    with pytest.raises(GmmAudioError, match="named `values`"):
        read_table(tmp_path / "x.npz")


def test_another_number_of_channels_without_names_is_refused(tmp_path):
    np.save(tmp_path / "x.npy", VALUES)
    with pytest.raises(GmmAudioError, match="2 channels without names, but 3 are needed"):
        read_table(tmp_path / "x.npy", channels=["a", "b", "c"])


def test_a_file_with_none_of_the_channels_is_refused(tmp_path):
    with pytest.raises(GmmAudioError, match="none of z"):
        read_table(write_npz(tmp_path), channels=["z"])
