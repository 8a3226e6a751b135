"""Lines of text as samples."""

import json
import math

import numpy as np
import pytest

from gmmaudio.anomaly.lines import LineReader, MalformedLineError, read_samples
from gmmaudio.errors import GmmAudioError

CHANNELS = ("a", "b")
MIDNIGHT = 1_577_836_800.0  # 2020-01-01T00:00:00Z


def values(line, reader=None):
    return (reader or LineReader(CHANNELS)).read(line)[0].tolist()


def test_json_objects_are_read_by_name():
    assert values('{"b": 2, "x": 9, "a": 1.5}') == [1.5, 2.0]


def test_json_lists_are_read_in_order():
    assert values("[1, 2]") == [1.0, 2.0]


@pytest.mark.parametrize("text", ["null", '"x"', "true", "[]", "{}", "NaN", "1" + "0" * 400])
def test_what_is_no_number_counts_as_missing(text):
    read = values(f'{{"a": {text}, "b": 2}}')
    assert math.isnan(read[0])
    assert read[1] == 2.0


def test_csv_is_read_by_its_header():
    reader = LineReader(CHANNELS)
    assert reader.read("b,x,a") is None
    assert values("2,9,1.5", reader) == [1.5, 2.0]


def test_csv_without_a_header_is_read_in_order():
    assert values("1.5, 2") == [1.5, 2.0]


def test_an_empty_field_is_missing():
    assert np.isnan(LineReader(CHANNELS).read("1,")[0]).tolist() == [False, True]


@pytest.mark.parametrize("stamp", [MIDNIGHT, "2020-01-01T00:00:00", "2020-01-01 01:00:00+01:00", str(MIDNIGHT)])
def test_times_are_seconds_or_iso_8601(stamp):
    assert LineReader(CHANNELS).read(json.dumps({"time": stamp, "a": 1}))[1] == MIDNIGHT


@pytest.mark.parametrize("stamp", ["yesterday", None, [1], "9" * 400, True])
def test_a_time_that_is_none_is_unknown(stamp):
    assert math.isnan(LineReader(CHANNELS).read(json.dumps({"timestamp": stamp, "a": 1}))[1])


@pytest.mark.parametrize("line", ["{", "[1", "[1, 2, 3]", "1,2,3", "[" * 5000, "x,y"])
def test_what_is_no_sample_is_malformed(line):
    with pytest.raises(MalformedLineError):
        LineReader(CHANNELS).read(line)


def test_without_names_the_first_header_decides():
    rows, times, channels = read_samples(["time,u,v", "0,1,2", "60,3,4", ""], name="x")
    assert channels == ("u", "v")
    assert times.tolist() == [0.0, 60.0]
    assert rows.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_a_file_without_samples_is_refused():
    with pytest.raises(GmmAudioError, match="no sample in x"):
        read_samples(["", "u,v"], name="x")
