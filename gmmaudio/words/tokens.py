"""The words and signs that the text of a grammar is made of, and where each stands."""

import re
from dataclasses import dataclass

from gmmaudio.errors import ParameterError

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<header>\#JSGF[^;\n]*;)
    |(?P<weight>/\s*[^/\s]+\s*/)
    |(?P<rule><[^<>\s]*>)
    |(?P<quoted>"(?:[^"\\\n]|\\.)*")
    |(?P<sign>[;=|*+()\[\]])
    |(?P<word>[^\s;=|*+<>()\[\]{}/"\\]+)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A piece of the text and where it stands."""

    kind: str
    text: str
    place: str


def tokens_of(text: str) -> list[Token]:
    """Cut the text into words and signs."""
    tokens, start = [], 0
    while start < len(text):
        line = text.count("\n", 0, start) + 1
        place = f"line {line}, column {start - text.rfind(chr(10), 0, start)}"
        match = _TOKEN.match(text, start)
        if match is None:
            raise ParameterError(f"the grammar has {text[start]!r} at {place}, which cannot be read there")
        start = match.end()
        kind = str(match.lastgroup)
        if kind == "quoted":
            tokens.append(Token("word", re.sub(r"\\(.)", r"\1", match.group()[1:-1]), place))
        elif kind not in ("skip", "header"):
            tokens.append(Token(kind, match.group(), place))
    return tokens


def quoted(token: Token) -> str:
    """Return what a message calls a token."""
    return "the end" if token.kind == "end" else repr(token.text)
