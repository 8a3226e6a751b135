import json

import pytest
import soundfile
from speaker.voices import NAMES, bundled, clips

from gmmaudio import SpeakerIdentifier, load


def test_from_recordings_to_a_name(run, tmp_path):
    model = tmp_path / "m.gmm"
    trained = run("speaker", "train", *clips("background")[:8], "-o", model, "--components", "8")
    assert (trained.code, trained.out) == (0, "")
    assert "8 components from 8 recordings, a cohort of 8" in trained.err
    assert run("speaker", "enroll", model, "anna", *clips("enroll", "anna")).code == 0
    assert (
        run("speaker", "enroll", model, "bruno", *clips("enroll", "bruno")).err
        == f"{model}: enrolled are anna, bruno\n"
    )
    value = json.loads(run("speaker", "identify", model, clips("test", "anna")[0], "--json").out)
    assert value["ranking"][0][0] == "anna"


def test_a_list_says_who_speaks_in_the_background(run, tmp_path):
    files = clips("background")[:6]
    lines = [f"{file}\t{'xyz'[index % 3]}\n" for index, file in enumerate(files)]
    (tmp_path / "list.txt").write_text("".join(lines), encoding="utf-8")
    run("speaker", "train", "--list", tmp_path / "list.txt", "-o", tmp_path / "m.gmm", "--components", "4")
    assert load(tmp_path / "m.gmm").cohort.speakers == ("x", "y", "z")


def test_options_of_training_reach_the_model(run, tmp_path):
    options = ["--components", "4", "--false-accept-rate", "0.1", "--seed", "3"]
    run("speaker", "train", *clips("background")[:4], "-o", tmp_path / "m.gmm", *options)
    model = load(tmp_path / "m.gmm")
    assert (model.n_components, model.false_accept_rate, model.random_state) == (4, 0.1, 3)


def test_progress_is_silent_when_standard_error_is_not_a_terminal(run, tmp_path):
    ran = run("speaker", "train", *clips("background")[:4], "-o", tmp_path / "m.gmm", "--components", "4")
    assert len(ran.err.splitlines()) == 1


def test_recordings_can_be_added_later(run, model):
    takes = clips("test", "anna")
    assert run("speaker", "enroll", model, "anna", *takes, "--add").code == 0
    expected = bundled().add_recordings("anna", takes).identify(takes[0])
    assert load(model).identify(takes[0]) == expected


def test_a_short_enrolment_is_warned_about_and_done(run, model):
    ran = run("speaker", "enroll", model, "emma", clips("test", "emma")[0])
    assert ran.code == 0
    assert ran.err.startswith("gmmaudio: warning: 'emma' is enrolled with ")
    assert load(model).speakers == (*NAMES, "emma")


def test_a_speaker_can_be_removed(run, model):
    assert run("speaker", "remove", model, "bruno").code == 0
    assert load(model).speakers == ("anna", "clara", "david")


@pytest.mark.parametrize(("name", "code", "verdict"), [("anna", 0, "accepted"), ("bruno", 1, "rejected")])
def test_verify_exits_with_1_if_it_is_another_voice(run, model, anna, name, code, verdict):
    ran = run("speaker", "verify", model, name, anna)
    assert (ran.code, ran.out.split(":")[0]) == (code, verdict)


def test_verify_prints_json(run, model, anna):
    value = json.loads(run("speaker", "verify", model, "anna", anna, "--json").out)
    assert value == {"file": str(anna), **bundled().verify("anna", anna).to_dict()}


def test_silence_is_rejected_as_json_without_infinities(run, model):
    silence = next(clip for clip in clips("not_speech") if "silence" in clip.name)
    ran = run("speaker", "verify", model, "anna", silence, "--json")
    assert (ran.code, json.loads(ran.out)["score"]) == (1, None)


def test_a_stated_false_accept_rate_moves_the_threshold(run, model, anna):
    low, high = (
        json.loads(run("speaker", "verify", model, "anna", anna, "--json", "--false-accept-rate", rate).out)[
            "threshold"
        ]
        for rate in ("0.2", "0.001")
    )
    assert low < high


def test_features_take_the_place_of_the_recording(run, model, anna, tmp_path):
    made = run("features", anna, "--model", model, "-o", tmp_path / "new" / "folder")
    assert made.code == 0
    file = tmp_path / "new" / "folder" / f"{anna.stem}.features"
    value = json.loads(run("speaker", "identify", model, file, "--json").out)
    assert value == {"file": str(file), **bundled().identify(anna).to_dict()}


def test_features_without_a_model_are_of_the_default_pipeline(run, anna, tmp_path):
    run("features", anna, "-o", tmp_path)
    assert load(tmp_path / f"{anna.stem}.features").pipeline == bundled().pipeline.config


def test_info_says_what_a_model_holds(run, model):
    value = json.loads(run("info", model, "--json").out)
    assert value["kind"] == "speaker_identifier"
    assert [one["name"] for one in value["config"]["models"]["enrolled"]] == list(NAMES)


def test_info_prints_the_front_end_and_tables(run, model):
    ran = run("info", model)
    assert ran.code == 0
    assert "\n  mfcc.n_mfcc: 20\n" in ran.out
    assert "name david" in ran.out


def test_channel_picks_or_mixes(run, model, speech, tmp_path):
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, speech[:, None].repeat(2, axis=1), 16000)
    for policy in ("0", "1", "mix"):
        assert '"decision": "anna"' in run("speaker", "identify", model, stereo, "--channel", policy, "--json").out


def test_the_demo_is_right_about_every_clip(run):
    ran = run("demo")
    assert ran.code == 0
    assert "35 of 35 decisions right" in ran.out


@pytest.mark.parametrize("arguments", [["--help"], ["speaker", "-h"], ["speaker", "identify", "--help"], ["--version"]])
def test_help_and_version_exit_with_0(run, arguments):
    ran = run(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out


@pytest.mark.parametrize("arguments", [[], ["speaker"]])
def test_no_command_prints_the_help(run, arguments):
    ran = run(*arguments)
    assert ran.code in (0, 2)  # click before 8.2, and since
    assert "Commands:" in ran.out + ran.err


def test_training_that_was_interrupted_goes_on_to_the_same_model(run, tmp_path):
    files = clips("background")
    assert run("speaker", "train", *files, "-o", tmp_path / "whole.gmm").code == 0

    def interrupt(step, done, _total):
        if (step, done) == ("background model", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SpeakerIdentifier().train(files, progress=interrupt, checkpoint=tmp_path / "kept")
    assert len(load(tmp_path / "kept").result.history) >= 2
    ended = run("speaker", "train", *files, "-o", tmp_path / "resumed.gmm", "--checkpoint", tmp_path / "kept")
    assert ended.code == 0
    assert (tmp_path / "resumed.gmm").read_bytes() == (tmp_path / "whole.gmm").read_bytes()


def test_a_checkpoint_of_other_recordings_is_refused(run, tmp_path):
    files = clips("background")
    run("speaker", "train", *files, "-o", tmp_path / "model.gmm", "--checkpoint", tmp_path / "kept")
    other = run("speaker", "train", *files[1:], "-o", tmp_path / "other.gmm", "--checkpoint", tmp_path / "kept")
    assert other.code == 2
    assert "kept" in other.err
    assert not (tmp_path / "other.gmm").exists()
