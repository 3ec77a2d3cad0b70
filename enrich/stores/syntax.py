"""From a query's text to luqum's tree, or to the error that says what is wrong with it.

luqum leaves `&&`, `||` and `!` to words, so those three are turned into its own tokens on their way to its grammar.
"""

from __future__ import annotations

import json
import re
from typing import Any

import luqum.parser
from luqum.head_tail import TokenValue

from enrich.stores.query import QueryError, fail

MAX_LENGTH = 32_768
MAX_CLAUSES = 512
"""Words and phrases, which a range may have two of."""
MAX_DEPTH = 32
"""Levels of luqum's tree, which counts parentheses too. What can be built of them fits SQLite's parser stack."""

_DEEP = f"nested more than {MAX_DEPTH} deep: ask for fewer things at once"
_REFUSED = {
    "Fuzzy": "fuzzy search (~) is not supported; write * or ? for what you are not sure of, or \\~",
    "Proximity": "proximity (~) is not supported; write both words with AND between them",
    "Boost": "boosts (^) are not supported, since results go by time; leave it out, or write \\^",
}


def tree(text: str) -> Any:
    """The tree that luqum makes of a text that is not blank, with nothing in it that is refused. Raises QueryError."""
    if len(text) > MAX_LENGTH:
        message = f"the query has {len(text)} characters, {MAX_LENGTH} are allowed: ask for fewer things at once"
        raise QueryError(message)
    surrogate = re.search("[\ud800-\udfff]", text)
    if surrogate:
        fail(text, surrogate.start(), "half of a surrogate pair is no text: leave it out")
    tokens = _Tokens(text)
    try:
        root = luqum.parser.parser.parse(text, lexer=tokens.lexer, tokenfunc=tokens.next)
    except luqum.parser.IllegalCharacterError:
        fail(text, tokens.lexer.lexpos, _illegal(text[tokens.lexer.lexpos :]))
    except luqum.parser.ParseSyntaxError:
        fail(text, tokens.position(), _unexpected(text[tokens.position() :]))
    except QueryError:
        raise
    except (ArithmeticError, ValueError):  # luqum reads the number after ~ or ^ before anybody can refuse it
        fail(text, tokens.position(), "a number after ~ or ^, which are not supported: leave both out")
    _refuse(text, root)
    return root


class _Tokens:
    """luqum's tokens, with &&, || and ! among its operators."""

    def __init__(self, text: str) -> None:
        self.lexer = luqum.parser.lexer.clone()
        self._text = text
        self._last: Any = None

    def next(self) -> Any:
        """The next token, None at the end."""
        self._last = token = self.lexer.token()
        if token is None or token.type != "TERM":
            return token
        word: str = token.value.value
        if word in ("&&", "||"):
            self._operator(token, "AND_OP" if word == "&&" else "OR_OP", word)
        elif word.startswith("!"):
            if word.startswith("!" * MAX_DEPTH):  # luqum's lexer reads all that follows anew behind each
                fail(self._text, token.lexpos, _DEEP)
            self._operator(token, "NOT", "!")
            self.lexer.lexpos = token.lexpos + 1
        return token

    def _operator(self, token: Any, kind: str, sign: str) -> None:
        operator = TokenValue(sign)
        operator.head, operator.pos, operator.size = token.value.head, token.lexpos, len(sign)
        token.type, token.value = kind, operator

    def position(self) -> int:
        """Where the last token stands."""
        return len(self._text) if self._last is None else int(self._last.lexpos)


def _refuse(text: str, tree: Any) -> None:
    """Raise QueryError for a tree with something that is not supported in it, or too large for what comes after."""
    nodes, clauses = [(tree, 1)], 0
    while nodes:
        node, depth = nodes.pop()
        name = type(node).__name__
        if name == "Regex":
            fail(text, node.pos or 0, _path(text[node.pos or 0 :]))
        if name in _REFUSED:
            fail(text, node.pos or 0, _REFUSED[name])
        if depth > MAX_DEPTH:
            fail(text, node.pos or 0, _DEEP)
        clauses += name in ("Word", "Phrase")
        if clauses > MAX_CLAUSES:
            fail(text, node.pos or 0, f"more than {MAX_CLAUSES} clauses: ask for fewer things at once")
        nodes.extend((child, depth + 1) for child in reversed(node.children))


def _illegal(rest: str) -> str:
    match rest[0]:
        case "/":
            return _path(rest)
        case '"':
            return 'a quote that nothing closes: close it, or write \\"'
        case "\\":
            return "a backslash with nothing after it: write \\\\ for a backslash"
        case sign:
            return f"{sign!r} can't begin a word: put quotes around the word"


def _path(rest: str) -> str:
    path = json.dumps(re.split(r'[\s()"]', rest[:60])[0])
    return f"a / begins a regular expression, which is not supported; for a path write quotes: {path}"


def _unexpected(rest: str) -> str:
    if not rest:
        return "the query ends too early: a value, an operand or a closing parenthesis is missing"
    if rest.startswith(":"):
        return "a colon that follows no field: put quotes around a value with a colon in it"
    return "not expected here: if it belongs to a value, put quotes around that"
