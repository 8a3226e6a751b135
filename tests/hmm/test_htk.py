"""Models in the text format of The HTK Book, chapter 7, written here from its description."""

import warnings

import numpy as np
import pytest
from hmm.models import random_hmm
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gmmaudio.errors import GmmAudioError, GmmAudioWarning
from gmmaudio.hmm import HmmParams, read_htk

TEXT = """~o
<STREAMINFO> 1 2
<VECSIZE> 2<NULLD><MFCC_E_D><DIAGC>
~v "varFloor1"
<VARIANCE> 2
 1.0e-02 1.0e-02
~h "yes"
<BEGINHMM>
<NUMSTATES> 4
<STATE> 2
<NUMMIXES> 2
<MIXTURE> 1 2.500000e-01
<MEAN> 2
 0.0 1.0
<VARIANCE> 2
 1.0 2.0
<GCONST> 4.368901e+00
<MIXTURE> 2 7.500000e-01
<MEAN> 2
 2.0 3.0
<VARIANCE> 2
 0.5 0.25
<STATE> 3
<MEAN> 2
 -1.0 -2.0
<VARIANCE> 2
 1.0 1.0
<TRANSP> 4
 0.0 0.9 0.1 0.0
 0.0 0.6 0.3 0.1
 0.0 0.0 0.7 0.3
 0.0 0.0 0.0 0.0
<ENDHMM>
"""


def htk_text(models):
    """The text of models, every number with all its digits."""

    def numbers(values):
        return " ".join(f"{value:.17e}" for value in values)

    n_features = next(iter(models.values())).n_features
    lines = [f"~o <VecSize> {n_features} <USER> <DiagC>"]
    for name, model in models.items():
        n_states = model.n_states + 2
        chain = np.zeros((n_states, n_states))
        chain[0, 1:-1], chain[1:-1, 1:-1], chain[1:-1, -1] = model.start_probs, model.transition_matrix, model.end_probs
        lines += [f'~h "{name}"', "<BeginHMM>", f"<NumStates> {n_states}"]
        for state, mixture in enumerate(model.emissions.mixtures):
            lines += [f"<State> {state + 2}", f"<NumMixes> {mixture.n_components}"]
            for k, (weight, mean, variance) in enumerate(
                zip(mixture.weights, mixture.means, mixture.variances, strict=True)
            ):
                constant = n_features * np.log(2 * np.pi) + np.log(variance).sum()
                lines += [f"<Mixture> {k + 1} {weight:.17e}", f"<Mean> {n_features}", numbers(mean)]
                lines += [f"<Variance> {n_features}", numbers(variance), f"<GConst> {constant:e}"]
        lines += [f"<TransP> {n_states}", *map(numbers, chain), "<EndHMM>"]
    return "\n".join(lines)


@pytest.fixture(name="read")
def reader(tmp_path):
    def read(contents):
        path = tmp_path / "hmmdefs"
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return read_htk(path)

    return read


def test_the_chain_has_the_entry_as_start_and_the_exit_as_end(read):
    model = read(TEXT)["yes"]
    assert_allclose(model.start_probs, [0.9, 0.1], rtol=1e-15)
    assert_allclose(model.transition_matrix, [[0.6, 0.3], [0.0, 0.7]], rtol=1e-15)
    assert_allclose(model.end_probs, [0.1, 0.3], rtol=1e-15)


def test_the_states_have_their_mixtures(read):
    first, second = read(TEXT)["yes"].emissions.mixtures
    assert_allclose(first.weights, [0.25, 0.75], rtol=1e-15)
    np.testing.assert_array_equal(first.means, [[0, 1], [2, 3]])
    np.testing.assert_array_equal(first.variances, [[1, 2], [0.5, 0.25]])
    assert (second.n_components, second.weights[0]) == (1, 1.0)


def test_models_that_were_written_are_read_again(read):
    rng = np.random.default_rng(0)
    models = {name: random_hmm(rng, left_right=True, ends=True, n_components=(1, 3, 2)) for name in ("a", "b")}
    frames = rng.normal(size=(20, models["a"].n_features))
    found = read(htk_text(models))
    assert list(found) == ["a", "b"]
    for name, model in models.items():
        assert_allclose(
            found[name].frame_log_likelihoods(frames, precision="double"),
            model.frame_log_likelihoods(frames, precision="double"),
            rtol=1e-12,
        )
        assert_allclose(found[name].transition_matrix, model.transition_matrix, rtol=1e-12)


def test_keywords_may_be_lower_case_and_names_without_quotes(read):
    assert list(read(TEXT.lower().replace('"yes"', "no"))) == ["no"]


def test_a_component_that_lost_its_weight_in_training_may_be_missing(read):
    text = TEXT.replace("<NUMMIXES> 2", "<NUMMIXES> 3")
    assert read(text)["yes"].emissions.mixtures[0].n_components == 2


def test_a_stored_constant_of_other_variances_is_a_warning(read):
    with pytest.warns(GmmAudioWarning, match="line 17: <GCONST> is 5 but the variances give 4.3689"):
        read(TEXT.replace("4.368901e+00", "5.0"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<DIAGC>", "<FULLC>", "line 3: found '<FULLC>' where an option of a model with diagonal"),
        ("<STREAMINFO> 1 2", "<STREAMINFO> 2 1 1", "line 2: found '2' where a whole number from 1 to 1 .streams"),
        ("<STATE> 2\n", '<STATE> 2 ~s "tied"\n', "line 10: found '~S' where <MEAN> is expected"),
        ("<STATE> 3", "<STATE> 4", "state 3 is expected"),
        ("<NUMSTATES> 4", "<NUMSTATES> 2", "a model that emits has at least 3"),
        ("<TRANSP> 4", "<TRANSP> 5", "another number of states than <NUMSTATES>, which is 4"),
        ("<MEAN> 2\n 0.0 1.0", "<MEAN> 3\n 0.0 1.0 2.0", "<MEAN> has 3 features but the model has 2"),
        (" 0.0 1.0", " 0.0 one", r"line 14: found 'one' where a number .<MEAN>, 2 of 2. is expected"),
        (" 1.0 2.0", " 1.0 -2.0", "<VARIANCE> that ends here must be positive"),
        ("7.500000e-01", "5.000000e-01", "the weights of the state that ends here sum to 0.75"),
        ("<MIXTURE> 2", "<MIXTURE> 1", "component 1 is there twice"),
        ("0.6 0.3 0.1", "0.6 0.3 0.2", "row 2 of the <TRANSP> that ends here are no probabilities"),
        ("0.6 0.3 0.1", "1.6 -0.7 0.1", "row 2 of the <TRANSP>"),
        ("0.0 0.9 0.1 0.0", "0.0 0.8 0.1 0.1", "a tee model"),
        ("0.0 0.9 0.1 0.0", "0.1 0.8 0.1 0.0", "leads into the first state"),
        ("<ENDHMM>\n", '<ENDHMM>\n~h "yes"', "two models of the name 'yes'"),
        ('~h "yes"', '~t "yes"', "line 7: found '~T' where ~O or ~H or ~V is expected"),
        ('~h "yes"', "~h <yes>", "line 7: found '<YES>' where a name is expected"),
        ("<ENDHMM>", "", "the file ends where <ENDHMM> is expected"),
        ("~o", "\0", "is not text"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_where(read, old, new, message):
    with pytest.raises(GmmAudioError, match=message):
        read(TEXT.replace(old, new))


def test_a_chain_that_never_ends_is_refused(read):
    text = TEXT.replace("0.6 0.3 0.1", "0.6 0.4 0.0").replace("0.7 0.3", "1.0 0.0")
    with pytest.raises(GmmAudioError, match="never leads to the last state"):
        read(text)


def test_a_file_without_models_is_refused(read):
    with pytest.raises(GmmAudioError, match="holds no model"):
        read("~o <VECSIZE> 2")


def test_sizes_that_the_file_cannot_hold_take_no_memory(read):
    with pytest.raises(GmmAudioError, match="line 2"):
        read("~h x <BEGINHMM> <NUMSTATES> 65536 <STATE> 2 <NUMMIXES> 65536 <MEAN> 65536 1\n<VARIANCE>")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_an_error_and_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged_hmmdefs"
    words = TEXT.split(" ")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(words)))
        replacement = st.one_of(st.sampled_from(words), st.text('<>~"\n0.-einf\xff', max_size=6))
        words[start : start + data.draw(st.integers(0, 3))] = data.draw(st.lists(replacement, max_size=3))
    path.write_text(" ".join(words), encoding="latin-1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GmmAudioWarning)
        try:
            assert all(isinstance(model, HmmParams) for model in read_htk(path).values())
        except GmmAudioError as error:
            assert str(path) in str(error)  # noqa: PT017
