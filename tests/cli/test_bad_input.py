"""Whatever is wrong with the input: exit code 2, one clear sentence on standard error, no traceback."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from speaker.voices import NAMES, clips

from gmmaudio import load
from gmmaudio.features import FeaturePipeline, Features
from gmmaudio.persistence import save

RATE = 16000
WRITE_LIMIT = 50_000  # bytes, much less than a model


def check_refused(ran, message: str) -> None:
    """Check that a command has ended with one sentence."""
    assert ran.code == 2
    assert ran.out == ""
    assert re.fullmatch(r"gmmaudio: [^\n]+\n", ran.err), ran.err
    assert re.search(message, ran.err), ran.err


def written(path: Path, samples, rate: int = RATE, **options) -> Path:
    soundfile.write(path, samples, rate, **options)
    return path


def cut_off(path: Path, fraction: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(fraction * len(data))])
    return path


def with_sample(speech: np.ndarray, value: float) -> np.ndarray:
    samples = (speech / 32768).astype(np.float32)
    samples[1000] = value
    return samples


# name of the case -> how to make the file, what the message says
BAD_FILES = {
    "missing file": (lambda p, _: p / "none.wav", r"there is no file .*none.wav; check the path"),
    "directory": (lambda p, _: p, r"is a directory; name the audio files in it"),
    "empty file": (lambda p, _: file_of(p, b""), r"is empty \(0 bytes\); record or copy it again"),
    "text file": (lambda p, _: file_of(p, b"hello\n" * 99), r"cannot be read as audio .* convert it with: ffmpeg"),
    "truncated wav": (lambda p, s: cut_off(written(p / "a.wav", s), 0.5), r"is cut off: its header promises"),
    "truncated flac": (lambda p, s: cut_off(written(p / "a.flac", s), 0.5), r"is damaged or cut off"),
    "zero samples": (lambda p, s: written(p / "a.wav", s[:0]), r"holds no samples; record or copy it again"),
    "nan": (lambda p, s: written(p / "a.wav", with_sample(s, np.nan), subtype="FLOAT"), r"value nan at sample 1000"),
    "infinite": (
        lambda p, s: written(p / "a.wav", with_sample(s, np.inf), subtype="FLOAT"),
        r"value inf at sample 1000",
    ),
    "stereo": (lambda p, s: written(p / "a.wav", np.column_stack([s, s])), r"has 2 channels and one is needed"),
    "not a features file": (lambda p, s: written(p / "a.features", s, format="WAV"), r"is not a model file"),
    "features of another pipeline": (
        lambda p, _: other_features(p / "a.features"),
        r"mfcc.sample_rate: 16000 in the model, 8000 given",
    ),
}


def file_of(folder: Path, content: bytes) -> Path:
    (folder / "a.wav").write_bytes(content)
    return folder / "a.wav"


def other_features(path: Path) -> Path:
    pipeline = FeaturePipeline(sample_rate=8000)
    save(Features(pipeline.transform(np.zeros(8000)), pipeline.config), path)
    return path


@pytest.fixture(params=BAD_FILES)
def bad_file(request, tmp_path, speech):
    """A file that cannot be used, and what is said about it."""
    make, message = BAD_FILES[request.param]
    (tmp_path / "inputs").mkdir()
    return make(tmp_path / "inputs", speech), message


def test_identification_of_a_bad_file_is_refused(run, model, bad_file):
    file, message = bad_file
    check_refused(run("speaker", "identify", model, file, "--json"), message)


def test_verification_of_a_bad_file_is_refused(run, model, bad_file):
    file, message = bad_file
    check_refused(run("speaker", "verify", model, "anna", file), message)


def test_enrolment_with_a_bad_file_is_refused_and_changes_nothing(run, model, anna, bad_file):
    file, message = bad_file
    before = model.read_bytes()
    check_refused(run("speaker", "enroll", model, "zoe", anna, file), message)
    assert model.read_bytes() == before


def test_training_with_a_bad_file_is_refused_and_writes_nothing(run, bad_file, tmp_path):
    file, message = bad_file
    if "in the model" in message:  # such features decide what the pipeline is; these are of the default one
        run("features", clips("background")[1], "-o", tmp_path)
        first, message = tmp_path / "voice_02.features", "mfcc.sample_rate: 16000 in the model, 8000 given"
    else:
        first = clips("background")[0]
    check_refused(run("speaker", "train", first, file, "-o", tmp_path / "new.gmm"), message)
    assert not (tmp_path / "new.gmm").exists()


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.zeros(RATE // 100), np.full(RATE // 100, 0.1)])
def test_silence_and_ten_milliseconds_are_unknown_with_an_empty_ranking(run, model, samples, tmp_path):
    ran = run("speaker", "identify", model, written(tmp_path / "a.wav", samples), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert '"decision": "unknown", "ranking": []' in ran.out


@pytest.mark.parametrize("n_samples", [RATE // 100, 12 * RATE])
def test_enrolment_of_silence_is_refused(run, model, n_samples, tmp_path):
    ran = run("speaker", "enroll", model, "zoe", written(tmp_path / "a.wav", np.zeros(n_samples)))
    check_refused(ran, "there is no speech in the recordings of 'zoe'; are they silent")


def test_training_on_silence_is_refused(run, tmp_path):
    files = [written(tmp_path / f"{number}.wav", np.zeros(RATE)) for number in range(3)]
    check_refused(run("speaker", "train", *files, "-o", tmp_path / "m.gmm"), "hold only 0 frames of speech")


def test_clipped_audio_is_warned_about_and_identified(run, model, speech, tmp_path):
    clipped = np.clip(speech / 32768 * 30, -1, 1)
    ran = run("speaker", "identify", model, written(tmp_path / "a.wav", clipped), "--json")
    assert ran.code == 0
    assert re.fullmatch(r"gmmaudio: warning: .* is clipped: .* of its samples [^\n]+\n", ran.err)
    assert '"ranking": [["' in ran.out


def test_4_khz_audio_is_warned_about_and_identified(run, model, speech, tmp_path):
    ran = run("speaker", "identify", model, written(tmp_path / "a.wav", speech[::4].copy(), 4000), "--json")
    assert ran.code == 0
    assert re.fullmatch(r"gmmaudio: warning: .* has 4000 Hz but the model works at 16000 Hz: [^\n]+\n", ran.err)


def test_192_khz_audio_is_identified(run, model, speech, tmp_path):
    high = np.repeat(speech, 12)  # a crude conversion, whose images lie above the band of the model
    ran = run("speaker", "identify", model, written(tmp_path / "a.wav", high, 192_000), "--json")
    assert (ran.code, ran.err) == (0, "")
    assert '"decision": "anna"' in ran.out


BAD_MODELS = {
    "missing": (None, "there is no model file"),
    "empty": (b"", "is not a model file"),
    "text": (b"not a model\n" * 50, "is not a model file"),
    "truncated": ("half", "is not a model file, or a truncated or corrupted one"),
    "of another kind": ("features", "holds a model of kind 'features', but 'speaker_identifier' is needed here"),
    "a folder": ("folder", "is a folder, not a model file"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
@pytest.mark.parametrize("command", ["identify", "enroll", "verify", "remove", "evaluate", "features"])
def test_a_bad_model_is_refused(run, command, case, trained_file, anna, tmp_path):
    content, message = BAD_MODELS[case]
    model = tmp_path / "bad.gmm"
    if content == "half":
        model.write_bytes(trained_file.read_bytes()[:100_000])
    elif content == "features":
        other_features(model)
    elif content == "folder":
        model.mkdir()
    elif content is not None:
        model.write_bytes(content)
    arguments = {
        "identify": ["speaker", "identify", model, anna],
        "enroll": ["speaker", "enroll", model, "zoe", anna],
        "verify": ["speaker", "verify", model, "anna", anna],
        "remove": ["speaker", "remove", model, "anna"],
        "evaluate": ["speaker", "evaluate", model, "--list", tmp_path / "list.txt"],
        "features": ["features", "--model", model, anna, "-o", tmp_path / "out"],
    }[command]
    check_refused(run(*arguments), message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the list .*: No such file"),
        (b"", "names no files; write one path a line"),
        (b"# only a remark\n\n", "names no files"),
        (b"\xff\xfe\x00\x01", "is not text in UTF-8"),
        (b"a\x00b.wav\n", "is not text in UTF-8"),
    ],
)
@pytest.mark.parametrize("command", ["identify", "evaluate", "train", "enroll"])
def test_a_bad_list_is_refused(run, model, command, content, message, tmp_path):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    first = {"identify": [model], "evaluate": [model], "train": ["-o", model], "enroll": [model, "zoe"]}[command]
    check_refused(run("speaker", command, *first, "--list", path), message)


def test_a_list_that_is_a_folder_is_refused(run, model, tmp_path):
    check_refused(run("speaker", "identify", model, "--list", tmp_path), "cannot read the list .*: Is a directory")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["speaker", "identify", "m", "a.wav", "--no-such"],
            "No such option '?--no-such'?; see: gmmaudio speaker identify",
        ),
        (["speaker", "no-such"], "No such command 'no-such'"),
        (["speaker", "identify"], "Missing argument 'MODEL'"),
        (["speaker", "train", "a.wav"], "Missing option '-o' / '--output'"),
        (["speaker", "train", "-o", "m.gmm"], "no files were given"),
        (["speaker", "train", "a.wav", "-o", "m.gmm", "--components", "many"], "'many' is not a valid integer"),
        (
            ["speaker", "train", "a.wav", "-o", "m.gmm", "--false-accept-rate", "0"],
            "false_accept_rate is 0.0 but must be",
        ),
        (["speaker", "train", "a.wav", "-o", "no/such/m.gmm"], "there is no folder no/such; make it first"),
        (["speaker", "train", "a.wav", "-o", "."], "it is a folder; name a file in it"),
        (["speaker", "identify", "m", "a.wav", "--channel", "left"], "'left' is neither 'mix' nor the number"),
        (
            ["features", "a/x.wav", "b/x.wav", "-o", "out", "--sample-rate", "16000"],
            "two of the files have the same name",
        ),
        (["features", "-o", "out"], "Missing argument 'FILES...'"),
        (["info", "none.gmm"], "there is no model file none.gmm"),
        (["demo", "--samples", "none"], "cannot read none/manifest.csv"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(run, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_refused(run(*arguments), message)


@pytest.mark.parametrize("rate", ["0", "-1", "0.5", "nan"])
@pytest.mark.parametrize("command", ["identify", "verify"])
def test_a_false_accept_rate_out_of_range_is_refused(run, model, anna, command, rate):
    name = ["anna"] if command == "verify" else []
    ran = run("speaker", command, model, *name, anna, "--false-accept-rate", rate)
    check_refused(ran, r"false_accept_rate is .* but must be above 0 and at most 0.2; try 0.01")


def test_verification_of_a_name_that_is_not_enrolled_is_refused(run, model, anna):
    check_refused(
        run("speaker", "verify", model, "zoe", anna), "no speaker named 'zoe' is enrolled; enrolled are: anna"
    )


def test_a_duplicate_name_is_refused(run, model, anna):
    check_refused(run("speaker", "enroll", model, "anna", anna), "'anna' is enrolled already; add recordings")


def test_the_name_unknown_is_refused(run, model, anna):
    check_refused(run("speaker", "enroll", model, "unknown", anna), "the name 'unknown' cannot be used")


def test_identification_with_nobody_enrolled_is_refused(run, model, anna):
    for name in NAMES:
        run("speaker", "remove", model, name)
    check_refused(run("speaker", "identify", model, anna), "nobody is enrolled; call enroll")


def test_live_of_files_is_refused(run, model, anna):
    check_refused(run("speaker", "identify", model, anna, "--live"), "give '-' as the only file")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pcm-encoding", "mp3"], "encoding is 'mp3' but must be one of u8, s16le"),
        (["--pcm-rate", "0"], "sample_rate is 0 but must be"),
        (["--pcm-channels", "0"], "channels is 0 but must be at least 1"),
    ],
)
def test_a_raw_format_that_cannot_be_is_refused(run, model, options, message):
    check_refused(run("speaker", "identify", model, "-", *options), message)


def test_a_folder_of_features_that_is_a_file_is_refused(run, model, anna, tmp_path):
    (tmp_path / "file").touch()
    check_refused(run("features", anna, "--model", model, "-o", tmp_path / "file"), "is a file, but a folder is needed")


def test_a_folder_of_plots_that_is_a_file_is_refused(run, model, anna, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "tests.txt").write_text(f"{anna}\tanna\n", encoding="utf-8")
    ran = run("speaker", "evaluate", model, "--list", tmp_path / "tests.txt", "--plots", tmp_path / "file")
    check_refused(ran, "file: File exists")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as only POSIX can")
def test_a_full_disk_leaves_the_model_as_it_was(model):
    before = model.read_bytes()
    # No file may grow beyond the limit: a real write that fails.
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({WRITE_LIMIT}, {WRITE_LIMIT}))
from gmmaudio.cli import main
main()
"""
    takes = [str(take) for take in clips("enroll", "emma")]
    arguments = [sys.executable, "-c", code, "speaker", "enroll", str(model), "emma", *takes]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert re.fullmatch(r"gmmaudio: cannot write [^\n]+; nothing was changed\n", ran.stderr)
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]
    assert load(model).speakers == NAMES


def test_an_interrupted_command_exits_with_130(run, model, anna, monkeypatch):
    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("gmmaudio.cli.identify.load_identifier", interrupted)
    ran = run("speaker", "identify", model, anna)
    assert (ran.code, ran.err.strip()) == (130, "interrupted")
