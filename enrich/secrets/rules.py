"""Rules that say where secrets stand, read from TOML; docs/secrets.md says how to write one."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import re2

BUILTIN = Path(__file__).parent / "builtin.toml"
MAX_FILE = 1 << 20
"""Bytes of a rule file."""
_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ASSERTION = re.compile(r"\\[bBz]|(?<!\\)\$(?![^\[]*\])")
"""What looks at what follows: what follows an anchor may not have been shown yet."""


class RulesError(ValueError):
    """A rule file that can't be used; the message names the file, the rule, the value and what would be right."""


class Value(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a secret is made of: `chars`, a class of characters; else a shell's word, quotes and all."""

    chars: str = ""
    min: int = 1
    max: int = 0
    """What is longer is no secret; 0: any length is."""
    until: str = ""
    """Text that ends it, for what has several lines."""


class Case(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A text, or the arguments of a program, and what becomes of it; without `masked`, it stays as it is."""

    text: str = ""
    args: tuple[str, ...] = ()
    masked: str | tuple[str, ...] = ()

    @property
    def expected(self) -> str | tuple[str, ...]:
        """What is to become of it."""
        return self.masked or self.args or self.text


class Rule(msgspec.Struct, forbid_unknown_fields=True, frozen=True, dict=True):
    """One rule, as it is written."""

    id: str
    kind: str
    description: str
    anchor: str
    """What stands before the secret; it is shown. A group named `quote` is a quote that it opened."""
    keywords: tuple[str, ...]
    """Words of which one is in everything that the rule matches, in any case: text without them is not looked at."""
    cases: tuple[Case, ...]
    value: Value = Value()
    command: str = ""
    """Names of programs: the anchor counts only among the arguments of one of them."""
    not_anchor: str = ""
    """Anchors that are none."""
    space: Literal["no", "may", "must"] = "no"
    """Whether blanks stand between anchor and secret."""
    check: str = ""
    """What the whole value must match; of a group named `secret`, only that is masked."""
    unless: str = ""
    """Values that are no secrets."""
    assignment: bool = False
    """It is an assignment, as a shell's line may begin with: an argument that is such a line is more than a value."""

    @cached_property
    def compiled(self) -> Compiled:
        """Its patterns; raises re2.error where one is none."""
        anchor, check = pattern(self.anchor), pattern(self.check) if self.check else None
        return Compiled(
            anchor=anchor,
            command=pattern(_COMMAND % self.command) if self.command else None,
            not_anchor=pattern(self.not_anchor) if self.not_anchor else None,
            check=check,
            unless=pattern(self.unless) if self.unless else None,
            chars=pattern(f"(?:{self.value.chars})*", longest=True) if self.value.chars else None,
            keywords=tuple(word.lower().encode("latin-1", "replace") for word in self.keywords),
            quote=anchor.groupindex.get(b"quote"),
            secret=check.groupindex.get(b"secret") if check else None,
        )


_COMMAND = r"""(?:^|[\s\x00/;&|("'`\\])(?:%s)['"]?(?:\x00(?s:.*)|[ \t](?:[^;&|'"]|'[^']*'|"[^"]*")*['"]?)?\z"""
"""A program's name, and its arguments up to where the pattern ends."""


@dataclass(slots=True)
class Compiled:
    """A rule's patterns."""

    anchor: Any
    command: Any
    not_anchor: Any
    check: Any
    unless: Any
    chars: Any
    keywords: tuple[bytes, ...]
    quote: int | None
    """The anchor's group of this name."""
    secret: int | None
    """The check's."""


@dataclass(frozen=True)
class Rules:
    """Rules in the order in which they are tried."""

    rules: tuple[Rule, ...]

    @cached_property
    def hash(self) -> str:
        """Changes with everything that a rule says."""
        return hashlib.blake2b(msgspec.json.encode(self.rules), digest_size=16).hexdigest()

    @cached_property
    def prefilter(self) -> Any:
        """Any rule's keyword."""
        words = sorted({word.lower() for rule in self.rules for word in rule.keywords})
        return pattern("(?i)" + "|".join(map(re2.escape, words)) if words else r"[^\x00-\xff]")

    @cached_property
    def words(self) -> list[tuple[bytes, list[int]]]:
        """Each keyword, and the places of the rules that have it."""
        words: dict[bytes, list[int]] = {}
        for place, rule in enumerate(self.rules):
            for word in rule.compiled.keywords:
                words.setdefault(word, []).append(place)
        return list(words.items())

    @cached_property
    def index(self) -> dict[str, int]:
        """Where each stands."""
        return {rule.id: place for place, rule in enumerate(self.rules)}


@lru_cache(maxsize=1)
def builtin() -> Rules:
    """The rules that come with cgtrail."""
    return load()


def load(files: Iterable[str | Path] = (), disable: Collection[str] = ()) -> Rules:
    """The built-in rules and those of `files`, which are tried first; without those in `disable`. Raises RulesError."""
    found: dict[str, tuple[Path, Rule]] = {}
    for path in [*map(Path, files), BUILTIN]:
        for rule in read(path):
            if rule.id in found:
                raise RulesError(f"{path}: rule {rule.id!r} is in {found[rule.id][0]} too: give it another id")
            found[rule.id] = path, rule
    for name in disable:
        if name not in found:
            raise RulesError(f"secrets.disable has {name!r}, which no rule is called: `cgtrail secrets list` has them")
    return Rules(tuple(rule for name, (_, rule) in found.items() if name not in disable))


def read(path: Path) -> list[Rule]:
    """The rules of one file. Raises RulesError."""
    try:
        if path.exists() and not path.is_file():
            raise RulesError(f"{path}: it is no file: name one that has rules")
        with path.open("rb") as file:
            raw = file.read(MAX_FILE + 1)
        if len(raw) > MAX_FILE:
            raise RulesError(f"{path}: it has more than {MAX_FILE:,} bytes: split it")
        tree = tomllib.loads(raw.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RulesError(f"{path}: {error}: a rule file is TOML, see docs/secrets.md") from error
    written = tree.pop("rule", [])
    if tree or not isinstance(written, list):
        what = next(iter(tree), "rule")
        raise RulesError(f"{path}: {what!r} is not expected here: a rule begins with [[rule]]")
    return [_rule(path, number, each) for number, each in enumerate(written, 1)]


def _rule(path: Path, number: int, written: Any) -> Rule:
    name = written.get("id") if isinstance(written, dict) else None
    place = f"{path}: rule {name if isinstance(name, str) else number!r}"
    try:
        rule = msgspec.convert(written, Rule)
    except msgspec.ValidationError as error:
        raise RulesError(f"{place}: {error}: docs/secrets.md has what a rule says") from error
    wrong = _wrong(rule)
    if wrong:
        raise RulesError(f"{place}: {wrong}")
    return rule


def _wrong(rule: Rule) -> str:
    """What is wrong with a rule, or nothing."""
    value = rule.value
    for key in ("id", "kind"):
        if not _NAME.fullmatch(getattr(rule, key)) or len(getattr(rule, key)) > 64:
            return f"{key} is {getattr(rule, key)!r}: it must be small letters and digits, with single hyphens between"
    if not 1 <= value.min <= 4096 or not (value.max == 0 or value.min <= value.max <= 4096):
        return f"value.min is {value.min}, value.max {value.max}: from 1 to 4096, the lesser first; max 0 is no bound"
    if value.until and not value.chars:
        return f"value.until is {value.until!r}, without value.chars: give the characters that may stand before it"
    if not rule.keywords or any(len(word) < 2 or not word.isascii() for word in rule.keywords):
        return f"keywords is {list(rule.keywords)!r}: at least one is needed, each of two ASCII characters or more"
    if not any(case.masked for case in rule.cases):
        return "cases has none that is masked: give one with `text` or `args`, and `masked`"
    for case in rule.cases:
        if bool(case.text) == bool(case.args) or (case.masked and isinstance(case.masked, str) != bool(case.text)):
            return f"a case is {case.text or case.args!r}: it has `text` or `args`, and `masked` in the same form"
    return _wrong_patterns(rule)


def _wrong_patterns(rule: Rule) -> str:
    looks = _ASSERTION.search(rule.anchor)
    if looks:
        return f"anchor has {looks[0]!r}: it can't look at what follows, which may not have been shown yet"
    for key in ("anchor", "command", "not_anchor", "check", "unless"):
        try:
            pattern(getattr(rule, key))
        except (re2.error, UnicodeEncodeError) as error:
            return f"{key} is {getattr(rule, key)!r}, which is no RE2 pattern in Latin-1: {_said(error)}"
    if pattern(rule.anchor).search(b""):
        return f"anchor is {rule.anchor!r}, which matches nothing at all: let it match at least one character"
    if not rule.value.chars:
        return ""
    try:
        chars = pattern(rule.value.chars)
    except (re2.error, UnicodeEncodeError) as error:
        return f"value.chars is {rule.value.chars!r}, which is no RE2 pattern in Latin-1: {_said(error)}"
    if chars.fullmatch(b"\0") or (not rule.value.until and chars.search(b"\n")):
        return f"value.chars is {rule.value.chars!r}: it may not have NUL, and line breaks only with value.until"
    if any(chars.fullmatch(two) for two in (b"", b"ab", b"..", b"--")):
        return f"value.chars is {rule.value.chars!r}: it must match one character, as [0-9a-f] does"
    return ""


def pattern(text: str, *, longest: bool = False) -> Any:
    """An RE2 pattern for bytes in Latin-1: one byte is one character. Raises re2.error."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.longest_match = longest
    return re2.compile(text.encode("latin-1"), options)


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def described(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """What people ask of rules: id, kind, description, keywords, how many cases."""
    return [
        {"id": r.id, "kind": r.kind, "description": r.description, "keywords": r.keywords, "cases": len(r.cases)}
        for r in rules
    ]
