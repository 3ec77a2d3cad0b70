"""From luqum's tree of a query to ours: names checked, values typed, escapes gone."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from enrich.stores import values
from enrich.stores.query import (
    All,
    Exists,
    Gap,
    Query,
    QueryError,
    Range,
    Term,
    Text,
    Value,
    Wildcard,
    all_of,
    any_of,
    fail,
    negation,
)

_ATOMS = re.compile(r"\\(?P<escaped>.)|(?P<gap>[*?])|(?P<char>.)", re.DOTALL)


def parse(text: str) -> Query:
    """The query that the text says; the empty text is every document. Raises QueryError and nothing else."""
    if not text.strip():
        return All()
    from enrich.stores import syntax  # luqum: 20 ms that a query of ours does not need

    return _Builder(text).query(syntax.tree(text), None)


class _Builder:
    """Our tree from luqum's."""

    def __init__(self, text: str) -> None:
        self._text = text

    def query(self, node: Any, field: str | None) -> Query:
        """The query of a node, as part of the clause `field:…` or outside of any."""
        match type(node).__name__:
            case "SearchField":
                return self._search_field(node, field)
            case "Group" | "FieldGroup":
                return self.query(node.expr, field)
            case "AndOperation":
                return all_of(self.query(_without_plus(part), field) for part in node.operands)
            case "OrOperation":
                return any_of(self.query(self._optional(part), field) for part in node.operands)
            case "UnknownOperation":
                return self._side_by_side(node, field)
            case "Not" | "Prohibit":
                return negation(self.query(node.a, field))
            case "Plus":
                return self.query(node.a, field)
            case "Word" | "Phrase":
                return self._text_of(node) if field is None else self._value(node, field)
            case "Range" | "From" | "To":
                return self._range(node, field)
            case other:
                return self._fail(node, f"{other} is not supported: leave it out")

    def _fail(self, node: Any, what: str) -> NoReturn:
        fail(self._text, node.pos or 0, what)

    def _optional(self, node: Any) -> Any:
        if type(node).__name__ == "Plus":
            self._fail(node, "+ demands what OR leaves open: leave out the +, or write AND")
        return node

    def _side_by_side(self, node: Any, field: str | None) -> Query:
        for part in node.operands:
            if type(part).__name__ not in ("Plus", "Prohibit"):
                self._fail(node.operands[1], "two clauses side by side: write AND or OR between them")
        return all_of(self.query(part, field) for part in node.operands)

    def _search_field(self, node: Any, outer: str | None) -> Query:
        name = _literal(node.name)
        if outer is not None:
            self._fail(
                node, f"{name[:60]!r}: is within the value of {outer}: put quotes around a value with a colon in it"
            )
        if name == "*" and type(node.expr).__name__ == "Word" and node.expr.value == "*":
            return All()
        if name == "_exists_":
            if type(node.expr).__name__ not in ("Word", "Phrase"):
                self._fail(node, "_exists_ wants a field's name: write _exists_:process.name")
            quotes = slice(1, -1) if type(node.expr).__name__ == "Phrase" else slice(None)
            return Exists(self._known(node.expr, _literal(node.expr.value[quotes])))
        self._known(node, name)
        if type(node.expr).__name__ == "Prohibit":
            self._fail(
                node.expr, f"a value that begins with - wants quotes; for what {name} is not, write NOT {name}:…"
            )
        return self.query(node.expr, name)

    def _known(self, node: Any, name: str) -> str:
        try:
            values.field_type(name)
        except QueryError as error:
            self._fail(node, str(error))
        return name

    def _text_of(self, node: Any) -> Query:
        parts = self._parts(node)
        if parts == (Gap.MANY,):
            return All()
        if parts in ((), ("",)):
            self._fail(node, "an empty text is in every line: leave it out")
        if not isinstance(parts[0], str) or len(parts) > 1:
            self._fail(node, "* and ? need a field; a word alone is found anywhere in a line, so leave them out")
        return Text(parts[0])

    def _value(self, node: Any, field: str) -> Query:
        parts = self._parts(node)
        if parts and all(part is Gap.MANY for part in parts):
            return Exists(field)
        if any(isinstance(part, Gap) for part in parts):
            if values.field_type(field) not in ("keyword", "wildcard", "flattened"):
                self._fail(node, f"{field} is a {values.field_type(field)}, and * and ? need text: write a range")
            return Wildcard(field, parts)
        low, high = self._bounds(node, field)
        if values.field_type(field) in ("date", "date_nanos"):
            return Range(field, low, high, include_high=False)
        return Term(field, low)

    def _range(self, node: Any, field: str | None) -> Query:
        if field is None:
            self._fail(node, "a range needs a field: write process.pid:[1 TO 9] or process.pid:>=1")
        kind = values.field_type(field)
        if kind == "boolean":
            self._fail(node, f"{field} is a boolean and has no ranges: write {field}:true")
        lower, include_low, upper, include_high = _ends(node)
        low = None if lower is None or _open(lower) else self._bounds(lower, field)
        high = None if upper is None or _open(upper) else self._bounds(upper, field)
        if low is None and high is None:
            return Exists(field)
        if kind in ("date", "date_nanos"):
            start, end = low and low[0 if include_low else 1], high and high[1 if include_high else 0]
            return Range(field, start, end, include_high=False)
        return Range(field, low and low[0], high and high[0], include_low, include_high)

    def _bounds(self, node: Any, field: str) -> tuple[Value, Value]:
        """The value that a node names, twice; of a date, where it starts and where it ends."""
        sign, word = ("-", node.a) if type(node).__name__ == "Prohibit" else ("", node)
        parts = self._parts(word)
        if any(isinstance(part, Gap) for part in parts):
            self._fail(node, "* and ? are no bounds of a range: write them out, or * alone for an open end")
        return self._typed(node, field, sign + "".join(map(str, parts)))

    def _parts(self, node: Any) -> tuple[str | Gap, ...]:
        """What a word or phrase says, with the gaps of a word; backslashes are gone."""
        if type(node).__name__ == "Phrase":
            return (_literal(node.value[1:-1]),)
        if re.search(r'(?<!\\)(?:\\\\)*"', node.value):
            self._fail(node, 'a quote in the middle of a word: put quotes around all of it, or write \\"')
        return _atoms(node.value)

    def _typed(self, node: Any, field: str, text: str) -> tuple[Value, Value]:
        try:
            match values.field_type(field):
                case "long":
                    return (values.long(field, text),) * 2
                case "boolean":
                    return (values.boolean(field, text),) * 2
                case "date" | "date_nanos":
                    return values.date(field, text)
                case _:
                    return text, text
        except QueryError as error:
            self._fail(node, str(error))


def _without_plus(node: Any) -> Any:
    return node.a if type(node).__name__ == "Plus" else node


def _ends(node: Any) -> tuple[Any, bool, Any, bool]:
    """A range's lower bound and whether it is included, and the upper one; None where there is none."""
    match type(node).__name__:
        case "From":
            return node.a, node.include, None, True
        case "To":
            return None, True, node.a, node.include
        case _:
            return node.low, node.include_low, node.high, node.include_high


def _open(node: Any) -> bool:
    return type(node).__name__ == "Word" and node.value == "*"


def _literal(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _atoms(word: str) -> tuple[str | Gap, ...]:
    """A word's literal runs and its gaps."""
    parts: list[str | Gap] = []
    for atom in _ATOMS.finditer(word):
        gap = Gap(atom["gap"]) if atom["gap"] else None
        char = atom["escaped"] or atom["char"]
        if gap:
            parts.append(gap)
        elif parts and isinstance(parts[-1], str):
            parts[-1] += char
        else:
            parts.append(char)
    return tuple(parts)
