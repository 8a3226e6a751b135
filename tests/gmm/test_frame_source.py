import mmap
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmmaudio.audio import read
from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.features import FeaturePipeline, Features
from gmmaudio.gmm import GMM
from gmmaudio.gmm import frame_source as frame_source_module
from gmmaudio.gmm.frame_source import FrameSource
from gmmaudio.gmm.starts.subsample import SUBSAMPLE_MIN, Subsample
from gmmaudio.gmm.survey import survey
from gmmaudio.persistence import save

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_FRAMES = 2 * SUBSAMPLE_MIN + 1234  # more than an initialiser looks at, and no multiple of any step


@pytest.fixture(scope="module", name="X")
def ordered_series():
    """A series whose halves differ, in whole numbers, which every type holds."""
    rng = np.random.default_rng(0)
    levels = np.where(np.arange(N_FRAMES) < N_FRAMES // 2, -300, 500)[:, np.newaxis]
    return np.round(levels + np.arange(3) * 20 + 50 * rng.standard_normal((N_FRAMES, 3))).astype(np.float64)


def train(X, **options):
    return GMM(4, random_state=0, max_iter=3, tol=0.0, **options).fit(X)


@pytest.fixture(scope="module")
def expected(X):
    return train(X)


def assert_same_bits(gmm, expected):
    for name in ("weights_", "means_", "covariances_", "variance_floor_", "history_"):
        np.testing.assert_array_equal(getattr(gmm, name), getattr(expected, name), strict=True)


def chunks_of(X, size):
    return [X[start : start + size] for start in range(0, len(X), size)]


def npy_files(X, folder, size=9_000):
    paths = []
    for number, chunk in enumerate(chunks_of(X, size)):
        paths.append(folder / f"{number}.npy")
        np.save(paths[-1], chunk)
    return paths


# The same frames give the same bits


@pytest.mark.parametrize("size", [1, 7, 512, 10_000])
def test_chunks_of_any_size_train_as_the_array(X, expected, size):
    assert_same_bits(train(chunks_of(X, size)), expected)


def test_a_function_that_returns_a_fresh_iterator_trains_as_the_array(X, expected):
    assert_same_bits(train(lambda: (chunk for chunk in chunks_of(X, 5000))), expected)


def test_an_object_that_iterates_afresh_trains_as_the_array(X, expected):
    class Recordings:
        def __iter__(self):
            return iter(chunks_of(X, 5000))

    assert_same_bits(train(Recordings()), expected)


def test_a_chunk_whose_memory_is_used_again_is_not_mixed_up(X, expected):
    def overwritten():
        buffer = np.empty((700, 3))
        for chunk in chunks_of(X, 700):
            buffer[: len(chunk)] = chunk
            yield buffer[: len(chunk)]

    assert_same_bits(train(overwritten), expected)


def test_empty_chunks_change_nothing(X, expected):
    assert_same_bits(train([X[:0], X[:5], X[:0], X[5:], X[:0]]), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.dtype(">f8")])
def test_the_type_of_the_numbers_changes_nothing(X, expected, dtype):
    assert_same_bits(train(X.astype(dtype)), expected)


def test_chunks_of_different_types_train_as_the_array(X, expected):
    assert_same_bits(train([X[:100].astype(np.int16), X[100:9000].astype(np.float32), X[9000:]]), expected)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_memory_map_trains_as_the_array(X, expected, tmp_path, mode):
    np.save(tmp_path / "frames.npy", X)
    assert_same_bits(train(np.load(tmp_path / "frames.npy", mmap_mode=mode)), expected)


def test_training_leaves_what_was_written_to_a_private_memory_map(X, tmp_path):
    np.save(tmp_path / "frames.npy", X)
    private = np.load(tmp_path / "frames.npy", mmap_mode="c")
    private[0] = 7.0
    train(private)
    assert (private[0] == 7.0).all()


def test_training_leaves_what_was_written_to_a_shared_memory_map(X, tmp_path):
    np.save(tmp_path / "frames.npy", X)
    shared = np.load(tmp_path / "frames.npy", mmap_mode="r+")
    shared[0] = 7.0
    train(shared)
    assert (shared[0] == 7.0).all()


def test_an_array_in_columns_trains_as_one_in_rows(X, expected):
    assert_same_bits(train(np.asfortranarray(X)), expected)


def test_a_list_of_npy_files_trains_as_the_array(X, expected, tmp_path):
    assert_same_bits(train(npy_files(X, tmp_path)), expected)


def test_one_path_is_a_list_of_one(X, expected, tmp_path):
    assert_same_bits(train(str(npy_files(X, tmp_path, size=len(X))[0])), expected)


@pytest.mark.parametrize("init", ["kmeans++", "split", "random"])
def test_every_initialiser_starts_alike_on_chunks(X, init):
    assert_same_bits(train(chunks_of(X, 999), init=init), train(X, init=init))


def test_weights_belong_to_rows_whatever_the_chunks(X):
    weights = np.random.default_rng(1).integers(0, 3, len(X))
    array, chunks = (GMM(2, random_state=0, max_iter=2, tol=0.0).fit(x, None, weights) for x in (X, chunks_of(X, 999)))
    assert_same_bits(chunks, array)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 300), max_size=6), n_frames=st.integers(1, 300))
def test_any_cutting_gives_the_same_survey(cuts, n_frames):
    frames = np.random.default_rng(n_frames).standard_normal((n_frames, 2))
    bounds = sorted(min(cut, n_frames) for cut in cuts)
    chunks = np.split(frames, bounds)
    found, whole = (survey(FrameSource(x)) for x in (chunks, frames))
    assert (found.n_frames, found.digest) == (whole.n_frames, whole.digest)


def test_recordings_through_a_pipeline_train_as_their_frames(audio_recordings):
    pipeline = FeaturePipeline(sample_rate=16000)
    signals = [read(path, sample_rate=16000)[0] for path in audio_recordings]
    frames = np.concatenate([pipeline.transform(signal) for signal in signals])
    assert_same_bits(train(lambda: map(pipeline.transform, signals)), train(frames))


def test_feature_files_train_as_their_frames(audio_recordings, tmp_path):
    pipeline = FeaturePipeline(sample_rate=16000)
    frames, paths = [], []
    for path in audio_recordings:
        frames.append(pipeline.transform(read(path, sample_rate=16000)[0]))
        paths.append(tmp_path / f"{path.stem}.features")
        save(Features(frames[-1], pipeline.config), paths[-1])
    assert_same_bits(train(paths), train(np.concatenate(frames)))


@pytest.fixture(scope="module")
def audio_recordings(tmp_path_factory):
    """Two short recordings of noise."""
    import soundfile

    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / "a.wav", folder / "b.wav"]
    for seed, path in enumerate(paths):
        soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(16000), 16000)
    return paths


# The subsample


def test_a_subsample_is_drawn_from_everywhere():
    frames = np.arange(50_000.0)[:, np.newaxis]
    sample = Subsample(1000, np.random.RandomState(0))
    sample.push(frames, np.ones(len(frames)))
    rows = sample.result()[0][:, 0]
    assert len(rows) == 1000
    assert (np.diff(rows) > 0).all()
    # A uniform mean of 1000 rows has a standard error of 50000 / sqrt(12 · 1000) = 456.
    np.testing.assert_allclose(rows.mean(), 25_000, atol=4 * 456)


def test_a_subsample_of_few_frames_is_all_with_a_positive_weight():
    sample = Subsample(10, np.random.RandomState(0))
    sample.push(np.arange(5.0)[:, np.newaxis], np.array([1.0, 0.0, 2.0, 1.0, 0.0]))
    frames, weights = sample.result()
    np.testing.assert_array_equal(frames[:, 0], [0.0, 2.0, 3.0])
    np.testing.assert_array_equal(weights, [1.0, 2.0, 1.0])


# What cannot be used is refused


def test_a_generator_is_refused_with_advice(X):
    with pytest.raises(ParameterError, match=r"X is a generator, which can be gone through only once.*function"):
        train(chunk for chunk in chunks_of(X, 1000))


def test_a_function_that_returns_the_same_iterator_is_found_out(X):
    once = iter(chunks_of(X, 1000))
    with pytest.raises(ParameterError, match=f"X gave {N_FRAMES} frames when it was first gone through but 0 now"):
        train(lambda: once)


def test_a_chunk_of_another_width_is_named(X):
    with pytest.raises(ParameterError, match=r"X\[2\] has shape \(5, 2\) but needs \(n_frames, 3\), as X\[0\] has"):
        train([X[:10], X[10:20], X[:5, :2]])


@pytest.mark.parametrize("chunk", [np.zeros(3), np.zeros((1, 2, 3))])
def test_a_chunk_that_is_no_matrix_is_named(X, chunk):
    with pytest.raises(ParameterError, match=r"X\[1\] has shape"):
        train([X[:10], chunk])


@pytest.mark.parametrize("value", [-np.inf, np.inf, 1e200])
def test_a_bad_value_in_the_third_chunk_is_named_with_its_row(X, value):
    bad = X[:10].copy()
    bad[7, 1] = value
    with pytest.raises(ParameterError, match=r"X\[2\] holds infinity .* first in row 7"):
        train([X[:10], X[:10], bad])


def test_a_bad_value_beyond_the_first_block_of_a_memory_map_is_named_with_its_row(X, tmp_path, monkeypatch):
    monkeypatch.setattr(frame_source_module, "BLOCK_BYTES", 1)
    np.save(tmp_path / "frames.npy", X)
    frames = np.load(tmp_path / "frames.npy", mmap_mode="r+")
    frames[12_345] = np.inf
    with pytest.raises(ParameterError, match="first in row 12345"):
        train(frames)


@pytest.mark.parametrize("empty", [np.zeros((0, 3)), [np.zeros((0, 3))], lambda: iter([])])
def test_no_frames_are_refused(empty):
    with pytest.raises(ValueError, match=r"no frames|0 sample"):
        train(empty)


@pytest.mark.parametrize("n_weights", [10, N_FRAMES - 1, N_FRAMES + 1])
def test_another_number_of_weights_is_refused(X, n_weights):
    with pytest.raises(ParameterError, match=f"sample_weight has {n_weights} values but X has"):
        GMM(2).fit(chunks_of(X, 1000), sample_weight=np.ones(n_weights))


def test_chunks_of_words_are_refused():
    with pytest.raises(ParameterError, match=r"X\[0\] is not an array of real numbers"):
        train(lambda: [["a", "b"]])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(GmmAudioError, match=r"cannot read frames from .*absent\.npy \(No such file"):
        train([tmp_path / "absent.npy"])


def test_a_file_of_objects_is_refused_without_advice_to_unpickle_it(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(GmmAudioError, match=r"objects\.npy: it is no whole \.npy file of numbers; write it"):
        train([tmp_path / "objects.npy"])


def test_a_recording_is_refused_with_advice(tmp_path):
    with pytest.raises(ParameterError, match=r"a\.wav: \.npy and \.features files can be read; for recordings"):
        train([tmp_path / "a.wav"])


def test_a_pickle_is_never_read(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(GmmAudioError, match=r"objects\.npy"):
        train([tmp_path / "objects.npy"])


def test_feature_files_of_different_pipelines_are_refused(tmp_path):
    for name, sample_rate in (("a", 8000), ("b", 16000)):
        pipeline = FeaturePipeline(sample_rate=sample_rate)
        frames = np.zeros((5, pipeline.n_features), np.float32)
        save(Features(frames, pipeline.config), tmp_path / f"{name}.features")
    with pytest.raises(GmmAudioError, match="different feature pipelines"):
        train([tmp_path / "a.features", tmp_path / "b.features"])


# Memory


def test_memory_does_not_grow_with_the_number_of_frames(monkeypatch):
    monkeypatch.setattr(frame_source_module, "BLOCK_BYTES", 2**20)
    chunk = np.random.default_rng(0).standard_normal((2000, 8))
    gmm = GMM(2, init="random", max_iter=1, tol=0.0, random_state=0)
    peaks = []
    for n_chunks in (1, 30, 120):
        tracemalloc.start()
        try:
            gmm.fit(lambda n=n_chunks: (chunk for _ in range(n)))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[2] < 1.1 * peaks[1]


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="this system cannot be asked to let pages go")
def test_pages_of_a_memory_map_do_not_stay_resident(tmp_path):
    path = tmp_path / "frames.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(600_000, 40))[:] = 1.0  # 96 MB
    largest = 0
    frames = np.load(path, mmap_mode="r")
    for _ in FrameSource(frames).blocks():
        largest = max(largest, resident_bytes(path))
    assert largest < 1.5 * frame_source_module.BLOCK_BYTES


def resident_bytes(path):
    """Bytes of a mapped file that are resident in this process."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.endswith(str(path)))
    return next(1024 * int(line.split()[1]) for line in lines[start:] if line.startswith("Rss:"))
