"""Words: grammars, networks of word models, recognition and forced alignment."""

from gmmaudio.words.acceptor import GARBAGE, SILENCE, WordAcceptor, one_of, sentence, word_loop, word_strings
from gmmaudio.words.adaptation import FrameTransform
from gmmaudio.words.alignment import align
from gmmaudio.words.decoding import decode, label_posteriors, with_confidence
from gmmaudio.words.formats import Alignment, Interval, to_json_values, write_ctm, write_json, write_textgrid
from gmmaudio.words.grammar import parse_grammar
from gmmaudio.words.hypotheses import Hypothesis, Segment, to_alignment
from gmmaudio.words.nbest import decode_n_best
from gmmaudio.words.network import NetworkOptions, WordNetwork, build_network
from gmmaudio.words.recognizer import WordRecognizer
from gmmaudio.words.results import Recognition, Sentence
from gmmaudio.words.stream import RecognitionStream
from gmmaudio.words.streaming import WordStream
from gmmaudio.words.training import TrainingOptions

__all__ = [
    "GARBAGE",
    "SILENCE",
    "Alignment",
    "FrameTransform",
    "Hypothesis",
    "Interval",
    "NetworkOptions",
    "Recognition",
    "RecognitionStream",
    "Segment",
    "Sentence",
    "TrainingOptions",
    "WordAcceptor",
    "WordNetwork",
    "WordRecognizer",
    "WordStream",
    "align",
    "build_network",
    "decode",
    "decode_n_best",
    "label_posteriors",
    "one_of",
    "parse_grammar",
    "sentence",
    "to_alignment",
    "to_json_values",
    "with_confidence",
    "word_loop",
    "word_strings",
    "write_ctm",
    "write_json",
    "write_textgrid",
]
