r"""Grammars as text: a subset of the Java Speech Grammar Format (JSGF 1.0).

Format. A grammar is a list of rules, or a single expression::

    #JSGF V1.0;                                  // header and grammar name may be left out
    grammar lights;
    public <command> = [please] turn (on | off) <place>+;
    <place> = /3/ kitchen | /1/ hall | "living room";

- A sentence is what one of the `public` rules says, each equally probable; if none is public, what the first one says.
- Words stand one after the other; ``|`` separates alternatives; ``( )`` groups; ``[x]`` may be left out (probability
  1/2); ``x*`` is x any number of times, ``x+`` at least once (each turn is followed by another with probability 1/2).
- ``/2.5/`` before an alternative is its weight, 1 where none is given; probabilities are weights over their sum.
- A word with blanks or signs stands in double quotes, ``\`` before a sign takes it literally there.
- ``<GARBAGE>`` stands for speech that is none of the words: ``<GARBAGE>* (start | stop) <GARBAGE>*`` spots two words.
- ``//`` and ``/* */`` enclose comments. Rules may use each other in any order, but not themselves.

Left out of JSGF, and refused: imports, tags ``{ }``, ``<VOID>``, recursion.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gmmaudio.errors import ParameterError
from gmmaudio.words.acceptor import GARBAGE, WordAcceptor
from gmmaudio.words.expressions import Alternatives, Expression, Repeated, Sequence, Word, to_acceptor
from gmmaudio.words.tokens import Token, quoted, tokens_of

MAX_DEPTH = 50
"""Brackets within brackets and rules within rules, at most."""

_CLOSING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class _Rule:
    """A rule before its references are resolved: the tokens of its right side."""

    is_public: bool
    tokens: tuple[Token, ...]


def parse_grammar(text: str, *, vocabulary: Collection[str] | None = None) -> WordAcceptor:
    """Read a grammar; the format is described at the head of this module.

    Parameters
    ----------
    text : str
        Rules, or one expression.
    vocabulary : collection of str, optional
        The words that have models; any other word is an error.

    Returns
    -------
    WordAcceptor

    Raises
    ------
    ParameterError
        If the text is no grammar, uses a word outside of the vocabulary or a rule that is missing or that leads back
        to itself, or accepts nothing. The message gives line and column.

    Examples
    --------
    >>> acceptor = parse_grammar("turn (on | off) [please]")
    >>> acceptor.vocabulary
    ('off', 'on', 'please', 'turn')
    >>> acceptor.accepts("turn on please".split()), acceptor.accepts(["please"])
    (True, False)
    """
    tokens = tokens_of(text)
    if not tokens:
        raise ParameterError("the grammar is empty; write for example 'yes | no'")
    grammar = _Grammar(_rules(tokens))
    public = [name for name, rule in grammar.rules.items() if rule.is_public] or [next(iter(grammar.rules))]
    whole = [grammar.expression(name, callers=(), depth=0) for name in public]
    if vocabulary is not None:
        _check_vocabulary(grammar.words, set(vocabulary))
    return to_acceptor(Alternatives(tuple(whole), (1.0 / len(whole),) * len(whole)))


@dataclass
class _Grammar:
    """The rules, the expressions of those that have been read, and where each word stands first."""

    rules: Mapping[str, _Rule]
    expressions: dict[str, Expression] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    def expression(self, name: str, callers: tuple[str, ...], depth: int) -> Expression:
        """Return the expression of a rule, reading it if need be."""
        if name not in self.expressions:
            self.expressions[name] = _Parser(self, self.rules[name].tokens, (*callers, name), depth).parse()
        return self.expressions[name]


class _Parser:
    """Recursive descent through the right side of one rule.

    Parameters
    ----------
    grammar : _Grammar
    tokens : tuple of Token
        Right side of the rule.
    callers : tuple of str
        The rules that lead here, this one last.
    depth : int
        Brackets and rules around this one.
    """

    def __init__(self, grammar: _Grammar, tokens: tuple[Token, ...], callers: tuple[str, ...], depth: int) -> None:
        self._grammar = grammar
        self._tokens = tokens
        self._callers = callers
        self._depth = depth
        self._next = 0

    def parse(self) -> Expression:
        """Return the whole right side."""
        expression = self._alternatives()
        token = self._peek()
        if token.kind != "end":
            raise ParameterError(f"the grammar has a {token.text!r} too many at {token.place}")
        return expression

    def _alternatives(self) -> Expression:
        """Read ``/w/ a b | /w/ c``."""
        weights, choices = [self._weight()], [self._sequence()]
        bar = self._peek()
        while self._peek().text == "|" and self._peek().kind == "sign":
            self._take()
            weights.append(self._weight())
            choices.append(self._sequence())
        total = sum(weights)
        if total <= 0.0:
            raise ParameterError(f"all weights are 0 before {bar.place}, so that this part accepts nothing")
        if len(choices) == 1:
            return choices[0]
        return Alternatives(tuple(choices), tuple(weight / total for weight in weights))

    def _weight(self) -> float:
        """Read a weight, 1 where none is given."""
        if self._peek().kind != "weight":
            return 1.0
        token = self._take()
        try:
            weight = float(token.text.strip("/"))
        except ValueError:
            weight = -1.0
        if not 0.0 <= weight < float("inf"):
            raise ParameterError(f"the weight {token.text} at {token.place} is not a number of at least 0")
        return weight

    def _sequence(self) -> Expression:
        """Read items up to the end of an alternative."""
        parts: list[Expression] = []
        while (token := self._peek()).kind != "end" and not (token.kind == "sign" and token.text in "|)]"):
            parts.append(self._repeated())
        if not parts:
            raise ParameterError(
                f"a word is missing before {quoted(token)} at {token.place}; "
                "what may be left out is written in square brackets"
            )
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self) -> Expression:
        """Read one item with the ``*`` and ``+`` behind it."""
        item = self._item()
        while self._peek().kind == "sign" and self._peek().text in "*+":
            item = Repeated(item, at_least_once=self._take().text == "+")
        return item

    def _item(self) -> Expression:
        """Read a word, a rule name, a group or an optional part."""
        token = self._take()
        if token.kind == "word":
            self._grammar.words.setdefault(token.text, token.place)
            return Word(token.text)
        if token.kind == "rule":
            return self._reference(token)
        if token.kind == "sign" and token.text in _CLOSING:
            return self._bracketed(token)
        raise ParameterError(f"the grammar has {quoted(token)} at {token.place}, where a word or '(' or '[' is needed")

    def _bracketed(self, opening: Token) -> Expression:
        """Read up to the closing bracket."""
        self._enter(opening)
        inside = self._alternatives()
        closing = self._take()
        if closing.text != _CLOSING[opening.text]:
            raise ParameterError(
                f"the {opening.text!r} at {opening.place} needs a {_CLOSING[opening.text]!r}, "
                f"but there is {quoted(closing)} at {closing.place}"
            )
        self._depth -= 1
        return inside if opening.text == "(" else Alternatives((inside, Sequence(())), (0.5, 0.5))

    def _reference(self, token: Token) -> Expression:
        """Return the expression of a rule that is used here."""
        if token.text == "<GARBAGE>":
            return Word(GARBAGE)
        rules = self._grammar.rules
        if token.text not in rules:
            raise ParameterError(
                f"the rule {token.text} at {token.place} is not defined; the grammar has {', '.join(rules)}"
            )
        if token.text in self._callers:
            way = " -> ".join([*self._callers[self._callers.index(token.text) :], token.text])
            raise ParameterError(
                f"the rule {token.text} at {token.place} leads back to itself ({way}); "
                "recursion is not possible, repeat with * or +"
            )
        self._enter(token)
        expression = self._grammar.expression(token.text, self._callers, self._depth)
        self._depth -= 1
        return expression

    def _enter(self, token: Token) -> None:
        """Go one level down, unless that is too deep."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ParameterError(f"the grammar is nested more than {MAX_DEPTH} levels deep at {token.place}")

    def _peek(self) -> Token:
        """Return the next token."""
        return self._tokens[self._next]

    def _take(self) -> Token:
        """Return the next token and go on."""
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token


def _rules(tokens: list[Token]) -> dict[str, _Rule]:
    """Return the rules by name in the order of the text; a single expression becomes one rule."""
    has_name = len(tokens) >= 3 and tokens[0].text == "grammar" and tokens[2].text == ";"
    if not has_name and not any(token.kind == "sign" and token.text == "=" for token in tokens):
        end = Token("end", "", "the end")
        body = tokens[:-1] if tokens[-1].text == ";" else tokens
        return {"<sentence>": _Rule(True, (*body, end))}
    rules: dict[str, _Rule] = {}
    for statement in _statements(tokens):
        if statement[0].text == "grammar" and len(statement) == 3:
            continue
        is_public = statement[0].kind == "word" and statement[0].text == "public"
        statement = statement[1:] if is_public else statement
        if len(statement) < 3 or statement[0].kind != "rule" or statement[1].text != "=":
            raise ParameterError(f"a rule is needed at {statement[0].place}, written '<name> = words;'")
        name = statement[0]
        if name.text in rules or name.text == "<GARBAGE>":
            raise ParameterError(f"the rule {name.text} at {name.place} is already defined; give it another name")
        rules[name.text] = _Rule(is_public, tuple(statement[2:]))
    if not rules:
        raise ParameterError("the grammar has no rule; write for example 'public <answer> = yes | no;'")
    return rules


def _statements(tokens: list[Token]) -> list[list[Token]]:
    """Split the tokens after each semicolon, which becomes the end token of its statement."""
    statements: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind == "sign" and token.text == ";":
            statements[-1].append(Token("end", ";", token.place))
            statements.append([])
        else:
            statements[-1].append(token)
    rest = statements.pop()
    if rest:
        raise ParameterError(f"the rule that begins at {rest[0].place} has no ';' at its end")
    return statements


def _check_vocabulary(words: Mapping[str, str], vocabulary: set[str]) -> None:
    """Name the words that have no model, each where it stands first."""
    unknown = [f"{word!r} ({place})" for word, place in words.items() if word not in vocabulary]
    if unknown:
        raise ParameterError(
            f"the grammar uses words without a model: {', '.join(unknown)}; known are {', '.join(sorted(vocabulary))}"
        )
