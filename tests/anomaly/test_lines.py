"""Lines of text as samples."""

import json
import math

import numpy as np
import pytest

from gmmaudio.anomaly.lines import LineReader, MalformedLineError, read_lines
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


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("{", "not_json"),
        ("1,2,3", "wrong_length"),
        ('{"x": 1}', "no_channel"),
        ("x,y", "no_channel"),
        ("[]", "wrong_length"),
    ],
)
def test_a_malformed_line_has_a_kind(line, kind):
    with pytest.raises(MalformedLineError) as raised:
        LineReader(CHANNELS).read(line)
    assert raised.value.kind == kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"a": 1}', "missing"),
        ('{"a": 1, "b": null}', "missing"),
        ('{"a": 1, "b": 2, "c": 3}', "unknown_channel"),
        ('{"a": "x", "b": 2}', "not_a_number"),
        ('{"a": NaN, "b": 2}', "nan"),
        ("1,-inf", "infinite"),
        ("1,1e200", "huge"),
        ('{"a": 1' + "0" * 400 + ', "b": 2}', "huge"),
        ('{"time": "soon", "a": 1, "b": 2}', "bad_time"),
    ],
)
def test_what_is_odd_about_a_sample_has_a_kind(line, kind):
    assert LineReader(CHANNELS).read(line).oddities == {kind}


def test_a_line_with_a_time_alone_is_a_sample_without_data():
    reader = LineReader(CHANNELS)
    reader.read("time,a,b")
    for line in ("2020-01-01T00:00:00,,", '{"time": 1577836800}'):
        sample = reader.read(line)
        assert np.isnan(sample.values).all()
        assert sample.time == MIDNIGHT


def test_a_line_of_words_under_a_header_is_a_sample_without_data():
    reader = LineReader(("a",))
    reader.read("machine,a,state")
    assert np.isnan(reader.read("M7,,on").values).all()
    with pytest.raises(MalformedLineError, match="2 fields but the header has 3"):
        reader.read("x,y")


def test_without_names_the_first_header_decides():
    samples, channels = read_lines(["time,u,v", "0,1,2", "60,3,4", ""], channels=None, name="x")
    assert channels == ("u", "v")
    assert [sample.time for sample in samples] == [0.0, 60.0]
    assert [sample.values.tolist() for sample in samples] == [[1.0, 2.0], [3.0, 4.0]]


def test_a_file_without_samples_is_refused():
    with pytest.raises(GmmAudioError, match="no sample in x"):
        read_lines(["", "u,v"], channels=None, name="x")
