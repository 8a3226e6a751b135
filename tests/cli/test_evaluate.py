import json

import numpy as np
import pytest
from speaker.voices import NAMES, bundled, clips

from gmmaudio.speaker import closed_set, open_set

PNG_MAGIC = b"\x89PNG"


@pytest.fixture(scope="module")
def tests_of() -> list[tuple[str, str]]:
    known = [(str(clip), name) for name in NAMES for clip in clips("test", name)[:2]]
    return [*known, *[(str(clip), "a stranger") for clip in clips("unknown")[:3]]]


@pytest.fixture
def list_file(tests_of, tmp_path):
    path = tmp_path / "tests.txt"
    path.write_text("".join(f"{file}\t{name}\n" for file, name in tests_of), encoding="utf-8")
    return path


def test_figures_are_those_of_the_library(run, model, list_file, tests_of):
    results = [bundled().identify(file) for file, _ in tests_of]
    truth = [name for _, name in tests_of]
    closed = closed_set([r.closest for r in results[:8]], [r.scores for r in results[:8]], truth[:8])
    opened = open_set([r.decision for r in results], truth, NAMES)
    value = json.loads(run("speaker", "evaluate", model, "--list", list_file, "--json").out)
    assert value["closed_set"]["right"]["count"] == closed.right.count
    assert value["closed_set"]["eer"] == {"value": closed.eer.value, "low": closed.eer.low, "high": closed.eer.high}
    assert value["open_set"]["false_accepts"]["total"] == opened.false_accepts.total == 3
    assert value["open_set"]["misses"]["count"] == opened.misses.count
    np.testing.assert_array_equal(value["open_set"]["confusion"], opened.confusion)


def test_the_table_names_all_figures(run, model, list_file):
    ran = run("speaker", "evaluate", model, "--list", list_file, "--false-accept-rate", "0.02")
    assert (ran.code, ran.err) == (0, "")
    for figure in ("right", "EER", "minDCF", "false accepts of strangers, 2.0% stated", "misses"):
        assert figure in ran.out


def test_the_false_accept_rate_is_that_of_the_model_unless_given(run, model, list_file):
    rates = [
        json.loads(run("speaker", "evaluate", model, "--list", list_file, "--json", *options).out)["open_set"][
            "false_accept_rate"
        ]
        for options in ([], ["--false-accept-rate", "0.1"])
    ]
    assert rates == [0.05, 0.1]


def test_plots_are_written(run, model, list_file, tmp_path):
    assert run("speaker", "evaluate", model, "--list", list_file, "--plots", tmp_path / "new").code == 0
    for name in ("det.png", "scores.png", "confusion.png"):
        assert (tmp_path / "new" / name).read_bytes().startswith(PNG_MAGIC)


def test_strangers_alone_have_open_set_figures_only(run, model, tmp_path):
    (tmp_path / "tests.txt").write_text(f"{clips('unknown')[0]}\tivan\n", encoding="utf-8")
    ran = run("speaker", "evaluate", model, "--list", tmp_path / "tests.txt", "--json", "--plots", tmp_path / "p")
    value = json.loads(ran.out)
    assert value["closed_set"] is None
    assert (value["open_set"]["false_accepts"]["total"], value["open_set"]["misses"]["total"]) == (1, 0)
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["confusion.png"]


def test_one_file_that_cannot_be_read_ends_the_evaluation(run, model, list_file):
    with list_file.open("a", encoding="utf-8") as file:
        file.write("missing.wav\tanna\n")
    ran = run("speaker", "evaluate", model, "--list", list_file)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "gmmaudio: there is no file missing.wav; check the path\n"


def test_a_line_without_a_name_is_refused(run, model, tmp_path):
    (tmp_path / "tests.txt").write_text(f"{clips('unknown')[0]}\n", encoding="utf-8")
    ran = run("speaker", "evaluate", model, "--list", tmp_path / "tests.txt")
    assert ran.code == 2
    assert "does not say who speaks in" in ran.err
