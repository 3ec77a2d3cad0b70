"""Reads a secret behind its anchor: how far it goes, and whether it is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from enrich.secrets.anchors import Place
from enrich.secrets.rules import Rule, pattern

HELD = 4096
"""Characters of a secret that are held; of a longer one only the length is kept."""
HELD_LINES = 16384
"""The same of one with several lines."""
_BLANKS = 64
_LEAST = 10
"""Of what has so many characters at the least, a part at a text's very end is taken for one that was cut."""
_BARE = r"[^\s\x00'\"\\;&|<>()`]"
_QUOTED = r"""'[^'\r\n\x00]*'|"(?:[^"\\\r\n\x00]|\\[^\r\n\x00])*\""""
_WORD = pattern(
    rf"""(?:{_BARE}|\\[^\r\n\x00]|{_QUOTED})*(?:'[^'\r\n\x00]*|"(?:[^"\\\r\n\x00]|\\[^\r\n\x00])*\\?|\\)?""",
    longest=True,
)
_WHOLE_WORD = pattern(rf"(?:{_BARE}|\\[^\r\n\x00]|{_QUOTED})*")
_IN_QUOTES = {
    b"'": pattern(r"[^'\r\n\x00]*", longest=True),
    b'"': pattern(r'(?:[^"\\\r\n\x00]|\\[^\r\n\x00])*\\?', longest=True),
}
_ARGUMENT = pattern(r"[^\x00]*", longest=True)
_REFERENCE = pattern(r"""["']?(?:\$(?:\w*|\{[^}]*\}|\(.*\)?|[?*#@!$-])|`.*`?)["']?|["']{2}|<[^>]*>|\*+|\.\.\.""")
_MASK = pattern(r"""["']?\[[a-z0-9-]+:\d+\]["']?""")
_SCRIPT = pattern(r"(?:^|\x00)-[a-z]*c\z")
_COMMANDS = pattern(r"[;&|\r]")
_SKIM = {
    "": pattern(_BARE + "*"),
    "'": pattern(r"[^'\r\n\x00]*"),
    '"': pattern(r'[^"\r\n\x00]*'),
    "\0": _ARGUMENT,
}


@dataclass(frozen=True, slots=True)
class Undecided:
    """More has to come before it is known."""


@dataclass(frozen=True, slots=True)
class Secret:
    """From here to there."""

    start: int
    end: int
    length: int
    """Characters, without quotes around all of it."""


@dataclass(frozen=True, slots=True)
class Long:
    """It began here, is more than can be held, and is known up to there; `mode`: how it ends."""

    start: int
    end: int
    mode: str


UNDECIDED: Final = Undecided()
Found = Undecided | Secret | Long | None


def read(place: Place, text: bytes, *, final: bool) -> Found:
    """What is behind an anchor: None where it is no secret. `final`: nothing comes behind the text."""
    rule = place.rule
    start = _start(place, text)
    if start is None or (rule.space == "must" and start == place.at < len(text)):
        return None
    mode = _mode(place, text, start)
    most = HELD_LINES if rule.value.until else HELD
    part = text[start : start + most]
    end = start + (_lines(rule, part) if mode == "\n" else _run(rule, mode, place.quote, part))
    if not ends(rule, part[end - start :]):
        if rule.value.max and (len(part) == most or end - start > rule.value.max):
            return None
        if len(part) == most:
            return Long(start, end, mode if mode != "w" else _opened(part))
        if not final:
            return UNDECIDED
    return _checked(rule, mode, text, start, end)


def ends(rule: Rule, behind: bytes) -> bool:
    """Whether what is behind a value ends it, whatever comes; a space may be a row's wrap."""
    until = rule.value.until.encode("latin-1", "replace")
    return behind not in {b"", b" "} and (behind == until or not until.startswith(behind))


def skim(rule: Rule, mode: str, text: bytes) -> int:
    """How far a long secret goes on."""
    if mode == "\n":
        return _lines(rule, text)
    if mode == "c":
        return int(rule.compiled.chars.match(text).end())
    return int(_SKIM[mode].match(text).end())


def _start(place: Place, text: bytes) -> int | None:
    at = place.at
    if place.rule.space == "no":
        return at
    if text[at : at + 1] == b"\0":
        return at + 1
    most = at + _BLANKS
    while at < len(text) and text[at] in b" \t":
        at += 1
        if at > most:
            return None
    return at


def _mode(place: Place, text: bytes, start: int) -> str:
    """What it is made of: c its characters, \\n lines, a quote what is up to it, \\0 an argument, w a shell's word."""
    value = place.rule.value
    if value.chars:
        return "\n" if value.until else "c"
    if place.quote:
        return place.quote.decode()
    begin = text.rfind(b"\0", 0, start)
    if begin < 0 or any(blank in text[begin + 1 : start] for blank in (b" ", b"\t", b"\r")):
        return "w"
    if place.rule.assignment:
        end = text.find(b"\0", start)
        rest = text[start : len(text) if end < 0 else end]
        if _COMMANDS.search(rest) or _SCRIPT.search(text[max(begin - 16, 0) : begin]):
            return "w"
    return "\0"


def _run(rule: Rule, mode: str, quote: bytes, part: bytes) -> int:
    if mode == "c":
        return int(rule.compiled.chars.match(part).end())
    if quote:
        return int(_IN_QUOTES[quote].match(part).end())
    return int((_ARGUMENT if mode == "\0" else _WORD).match(part).end())


def _lines(rule: Rule, part: bytes) -> int:
    """Up to what ends it, or to a character that can't be in it."""
    run = int(rule.compiled.chars.match(part).end())
    until = rule.value.until.encode("latin-1", "replace")
    found = part.find(until, 0, run)
    if found >= 0:
        return found
    if run == len(part):
        for length in range(min(len(until) - 1, run), 0, -1):
            if part.endswith(until[:length]):
                return run - length
    return run


def _opened(part: bytes) -> str:
    """The quote that is open at the end of a word's beginning."""
    return next((quote for quote in ("", "'", '"') if _WHOLE_WORD.fullmatch(part + quote.encode())), '"')


def _checked(rule: Rule, mode: str, text: bytes, start: int, end: int) -> Secret | None:
    value, compiled = text[start:end], rule.compiled
    cut = end == len(text) and mode == "c" and rule.value.min >= _LEAST  # of a token, half of it is one
    if len(value) < (rule.value.min // 2 if cut else rule.value.min) or (
        rule.value.max and len(value) > rule.value.max
    ):
        return None
    if mode in {"w", "'", '"'} and _REFERENCE.fullmatch(value):
        return None
    if compiled.unless is not None and compiled.unless.fullmatch(value):
        return None
    if compiled.check is not None:
        match = compiled.check.fullmatch(value)
        if match is None:
            return None
        if compiled.secret is not None:
            start, end = start + match.start(compiled.secret), start + match.end(compiled.secret)
            value = text[start:end]
    if _MASK.fullmatch(value):
        return None
    quoted = mode == "w" and len(value) >= 2 and value[0] == value[-1] and value[:1] in b"'\""
    return Secret(start, end, len(value) - 2 * quoted) if value else None
