"""Sequences in all forms: the same values, the same batches, one clear error each."""

import numpy as np
import pytest
from hmm.models import random_sequences

from gmmaudio.errors import GmmAudioError, ParameterError
from gmmaudio.hmm import sequences
from gmmaudio.hmm._sequence_forms import each_sequence
from gmmaudio.hmm.sequences import SequenceSource

LENGTHS = (40, 1, 7, 7, 33)


@pytest.fixture(name="data")
def ragged():
    return random_sequences(np.random.default_rng(0), LENGTHS, 3)


def forms(data, tmp_path):
    """The same sequences in every form that can be gone through in any order."""
    paths = []
    for number, frames in enumerate(data):
        paths.append(tmp_path / f"{number}.npy")
        np.save(paths[-1], frames)
    np.save(tmp_path / "all.npy", np.concatenate(data))
    lengths = [len(frames) for frames in data]
    return {
        "list": (list(data), None),
        "tuple": (tuple(data), None),
        "array": (np.concatenate(data), lengths),
        "nested lists": (np.concatenate(data).tolist(), lengths),
        "memory map": (np.load(tmp_path / "all.npy", mmap_mode="r"), lengths),
        "one path": (tmp_path / "all.npy", lengths),
        "paths": (paths, None),
        "text paths": ([str(path) for path in paths], None),
        "arrays and paths": ([data[0], *paths[1:]], None),
    }


def joined(source):
    """The batches of a source as one set of arrays."""
    batches = list(source.batches())
    return [np.concatenate([getattr(batch, name) for batch in batches]) for name in ("frames", "numbers")]


def test_all_forms_give_the_same_batches(data, tmp_path):
    expected = joined(SequenceSource(data))
    for name, (X, lengths) in forms(data, tmp_path).items():
        source = SequenceSource(X, lengths)
        np.testing.assert_array_equal(joined(source)[0], expected[0], err_msg=name)
        assert source.digest == SequenceSource(data).digest, name
        np.testing.assert_array_equal(source.lengths, LENGTHS, err_msg=name)


def test_any_order_gives_the_same_batches(data):
    for order in ([4, 3, 2, 1, 0], [2, 0, 1, 4, 3]):
        shuffled = SequenceSource([data[i] for i in order])
        np.testing.assert_array_equal(joined(shuffled)[0], joined(SequenceSource(data))[0])
        np.testing.assert_array_equal(np.array(order)[joined(shuffled)[1]], joined(SequenceSource(data))[1])


@pytest.mark.parametrize("make", [lambda data: lambda: iter(data), lambda data: dict(enumerate(data)).values()])
def test_iterables_are_taken_as_they_come(data, make):
    frames, numbers = joined(SequenceSource(make(data)))
    np.testing.assert_array_equal(frames, np.concatenate(data))
    np.testing.assert_array_equal(numbers, range(5))


def test_what_is_too_large_to_keep_is_read_anew(data, monkeypatch):
    monkeypatch.setattr(sequences, "CACHE_BYTES", 0)
    source = SequenceSource(data)
    np.testing.assert_array_equal(joined(source)[0], joined(SequenceSource(data))[0])
    assert source._cache is None


def test_batches_are_bounded_whatever_the_lengths():
    data = [np.zeros((length, 2)) for length in (9000, 5000, *[30] * 300)]
    sizes = [len(batch.frames) for batch in SequenceSource(data).batches()]
    assert max(size for size in sizes if size != 9000) < sequences.MOST_BATCH_FRAMES + 5000
    assert sum(sizes) == 9000 + 5000 + 9000


def test_long_sequences_come_in_blocks():
    frames = np.random.default_rng(0).normal(size=(20_000, 2))
    blocks = list(SequenceSource([frames]).blocks())
    assert [len(block.frames) for block in blocks] == [8192, 8192, 3616]
    np.testing.assert_array_equal(np.concatenate([block.frames for block in blocks]), frames)


def test_missing_features_are_marked(data):
    data[0][3, 1] = np.nan
    source = SequenceSource(data)
    assert source.has_missing
    assert sum((~batch.observed).sum() for batch in source.batches() if batch.observed is not None) == 1


def test_weights_go_with_their_frames(data):
    weights = np.random.default_rng(0).uniform(size=sum(LENGTHS))
    batch = next(SequenceSource(data, sample_weight=weights).batches())
    parts = np.split(weights, np.cumsum(LENGTHS)[:-1])
    np.testing.assert_array_equal(batch.weights, np.concatenate([parts[number] for number in batch.numbers]))


def test_other_values_have_another_digest(data):
    changed = [frames.copy() for frames in data]
    changed[2][0, 0] += 1e-9
    assert SequenceSource(changed).digest != SequenceSource(data).digest


def test_single_precision_is_read_as_it_is(data):
    single = [frames.astype(np.float32) for frames in data]
    widened = [frames.astype(np.float64) for frames in single]
    assert SequenceSource(single).digest == SequenceSource(widened).digest


BAD = {
    "no sequences": (([],), {}, "no sequences|has shape"),
    "an empty sequence": (([np.zeros((3, 2)), np.zeros((0, 2))],), {}, r"X\[1\] is an empty sequence"),
    "a length of zero": ((np.zeros((3, 2)), [3, 0]), {}, "lengths holds 0"),
    "a negative length": ((np.zeros((3, 2)), [4, -1]), {}, "lengths holds -1"),
    "lengths that do not add up": ((np.zeros((3, 2)), [2, 2]), {}, "add up to 4 frames but X has 3"),
    "fractions as lengths": ((np.zeros((3, 2)), [1.5, 1.5]), {}, "whole numbers"),
    "a single number as lengths": ((np.zeros((3, 2)), 3), {}, "whole numbers"),
    "lengths with a list": (([np.zeros((3, 2))], [3]), {}, "one sequence per item"),
    "infinity": (([np.zeros((3, 2)), np.full((2, 2), np.inf)],), {}, r"X\[1\] holds infinity"),
    "another number of features": (
        ([np.zeros((3, 2)), np.zeros((3, 1))],),
        {},
        r"X\[1\] has 1 features but the sequences before it have 2",
    ),
    "one axis": (([np.zeros((3, 2)), np.zeros(3)],), {}, r"X\[1\] has shape \(3,\)"),
    "text": (([np.zeros((3, 2)), np.array([["a", "b"]])],), {}, r"X\[1\] is not an array of real numbers"),
    "a generator": ((iter([np.zeros((3, 2))]),), {}, "only once"),
    "too few weights": ((np.zeros((3, 2)),), {"sample_weight": [1.0]}, "frame_weights has shape"),
    "negative weights": ((np.zeros((3, 2)),), {"sample_weight": [1, 1, -1]}, "negative"),
    "weights that are NaN": ((np.zeros((3, 2)),), {"sample_weight": [1, 1, np.nan]}, "non-finite"),
    "weights that are all zero": ((np.zeros((3, 2)),), {"sample_weight": [0, 0, 0]}, "every sample_weight is zero"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_sequences_are_one_clear_error(name):
    arguments, options, message = BAD[name]
    with pytest.raises(ParameterError, match=message):
        SequenceSource(*arguments, **options)


def test_a_missing_file_is_one_clear_error(tmp_path):
    with pytest.raises(GmmAudioError, match=r"cannot read frames from .*gone\.npy"):
        SequenceSource([tmp_path / "gone.npy"])


def test_a_function_that_returns_something_else_each_time_is_found_out(data):
    remaining = [iter(data), iter(data[:2])]
    source = SequenceSource(lambda: remaining.pop(0))
    with pytest.raises(ParameterError, match="5 sequences the first time but 2 now"):
        list(source.batches())


def test_each_sequence_is_checked_against_the_model(data):
    with pytest.raises(ParameterError, match="3 columns but the model was trained on 4"):
        list(each_sequence(data, n_features=4))


def test_each_sequence_takes_an_iterator(data):
    np.testing.assert_array_equal(np.concatenate(list(each_sequence(iter(data), n_features=3))), np.concatenate(data))
