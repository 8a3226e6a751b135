import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from speaker.voices import NAMES, bundled, clips

COMMAND = [sys.executable, "-c", "from gmmaudio.cli import main; main()"]
ANSI_ESCAPE = "\x1b"


def objects(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def piped(model, data: bytes, *options) -> subprocess.CompletedProcess:
    """Run identify in a process of its own with raw samples in a pipe."""
    arguments = [*COMMAND, "speaker", "identify", str(model), "-", *options]
    return subprocess.run(arguments, input=data, capture_output=True, check=False, timeout=60)


def test_json_is_one_object_a_line_with_file_decision_and_ranking(run, model):
    files = [clips("test", "anna")[0], clips("unknown")[0]]
    ran = run("speaker", "identify", model, *files, "--json")
    values = objects(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert [(value["file"], value["decision"]) for value in values] == [
        (str(files[0]), "anna"),
        (str(files[1]), "unknown"),
    ]
    assert sorted(name for name, llr in values[0]["ranking"] if isinstance(llr, float)) == sorted(NAMES)


def test_the_command_says_what_the_library_says(run, model, anna):
    value = objects(run("speaker", "identify", model, anna, "--json").out)[0]
    assert value == {"file": str(anna), **bundled().identify(anna).to_dict()}


def test_the_table_has_a_row_for_each_file_and_no_colours_in_a_pipe(run, model, anna):
    ran = run("speaker", "identify", model, anna, clips("not_speech")[0])
    assert ran.code == 0
    assert "anna" in ran.out
    assert "no speech" in ran.out
    assert ANSI_ESCAPE not in ran.out + ran.err


def test_files_may_come_from_a_list(run, model, anna, tmp_path):
    (tmp_path / "list.txt").write_text(f"\ufeff# tests\n\n{anna}\n{anna}\tanna\n", encoding="utf-8")
    values = objects(run("speaker", "identify", model, "--list", tmp_path / "list.txt", "--json").out)
    assert [value["decision"] for value in values] == ["anna", "anna"]


@pytest.mark.parametrize(("split", "options", "code"), [("unknown", [], 0), ("unknown", ["--exit-code"], 1)])
def test_unknown_is_an_exit_code_only_where_it_is_asked_for(run, model, split, options, code):
    assert run("speaker", "identify", model, clips(split)[0], *options).code == code


def test_known_voices_exit_with_0(run, model, anna):
    assert run("speaker", "identify", model, anna, "--exit-code").code == 0


def test_one_bad_file_among_many_is_reported_and_the_others_are_identified(run, model, anna):
    ran = run("speaker", "identify", model, anna, "missing.wav", anna, "--json", "--exit-code")
    assert [value["decision"] for value in objects(ran.out)] == ["anna", "anna"]
    assert ran.err == "gmmaudio: there is no file missing.wav; check the path\n"
    assert ran.code == 2


def test_brackets_in_the_name_of_a_file_are_no_markup(run, model, speech, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soundfile.write("[bold].wav", speech, 16000)
    assert "[bold].wav" in run("speaker", "identify", model, "[bold].wav").out


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
def test_a_name_that_is_not_utf_8_can_be_printed(run, model, speech, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")
    with open(path, "wb") as file:
        soundfile.write(file, speech, 16000, format="WAV")
    assert objects(run("speaker", "identify", model, path, "--json").out)[0]["file"] == path
    assert run("speaker", "identify", model, path).code == 0


def test_raw_samples_in_a_pipe_give_the_result_of_the_file(model, anna, speech):
    value = objects(piped(model, speech.tobytes(), "--json").stdout.decode())[0]
    assert value == {"file": "-", **bundled().identify(anna).to_dict()}


def test_a_pipe_that_pauses_is_waited_for(model, anna, speech):
    arguments = [*COMMAND, "speaker", "identify", str(model), "-", "--json"]
    data = speech.tobytes()
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        for start in range(0, len(data), 30_001):  # in the middle of a sample
            process.stdin.write(data[start : start + 30_001])
            process.stdin.flush()
            time.sleep(0.05)
        output = process.communicate(timeout=60)[0]
    assert objects(output.decode())[0]["scores"] == bundled().identify(anna).scores


def test_an_odd_number_of_bytes_is_warned_about(model, speech):
    ran = piped(model, speech.tobytes() + b"\x01", "--json")
    assert ran.returncode == 0
    assert ran.stderr.decode().startswith("gmmaudio: warning: <stdin> ends in the middle of a sample (1 of 2 bytes)")
    assert objects(ran.stdout.decode())[0]["decision"] == "anna"


def test_an_empty_pipe_is_bad_input(model):
    ran = piped(model, b"")
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr == b"gmmaudio: <stdin> holds no samples; record or copy it again\n"


def test_other_raw_formats_can_be_said(model, speech):
    stereo = np.column_stack([speech, speech]).astype("<f4") / 32768
    options = ["--pcm-encoding", "f32le", "--pcm-channels", "2", "--channel", "mix", "--json"]
    assert objects(piped(model, stereo.tobytes(), *options).stdout.decode())[0]["decision"] == "anna"


def test_live_prints_the_decision_so_far_and_ends_with_that_of_the_whole(model, anna, speech):
    values = objects(piped(model, speech.tobytes(), "--live").stdout.decode())
    seconds = len(speech) / 16000
    assert [value.pop("seconds") for value in values] == [1.0, 2.0, 3.0, seconds, seconds]
    assert [value.pop("is_final") for value in values] == [False] * 4 + [True]
    assert values[-1] == {"file": "-", **bundled().identify(anna).to_dict()}


def test_live_answers_before_the_pipe_is_closed(model, speech):
    arguments = [*COMMAND, "speaker", "identify", str(model), "-", "--live"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(speech[:16000].tobytes())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["seconds"] == 1.0
        process.communicate(timeout=60)


def test_live_of_less_sound_than_a_sample_of_the_model_is_no_speech(model):
    values = objects(piped(model, b"\x01\x00", "--live", "--pcm-rate", "192000").stdout.decode())
    assert [(value["is_final"], value["ranking"]) for value in values] == [(True, [])]


def test_a_reader_that_has_seen_enough_is_no_error(model, anna):
    arguments = [*COMMAND, "speaker", "identify", str(model), *[str(anna)] * 20, "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
    assert (process.returncode, error) == (0, b"")


def test_a_clip_is_identified_without_importing_heavy_libraries(model, anna):
    code = "import sys, atexit; from gmmaudio.cli import main; atexit.register(lambda: print(*sys.modules)); main()"
    arguments = [sys.executable, "-c", code, "speaker", "identify", str(model), str(anna), "--json"]
    output = subprocess.run(arguments, capture_output=True, check=True, text=True).stdout
    loaded = output.splitlines()[1].split()
    assert "gmmaudio.speaker" in loaded
    assert {"sklearn", "librosa", "numba", "matplotlib", "pandas"}.isdisjoint(loaded)
