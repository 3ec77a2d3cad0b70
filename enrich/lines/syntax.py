"""Whether what was typed to a shell is complete, as far as quotes, here-documents and keywords tell (POSIX XCU 2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from enrich.lines.prompts import SHELLS

_TOKEN = re.compile(
    r"(?P<escaped>\\.)|(?P<single>'[^']*')|(?P<here><<<|<<-?[ \t]*(?P<mark>\"[^\"\n]*\"|'[^'\n]*'|\\?[^\s;&|<>()'\"]+))"
    r"|(?P<double>\"(?:[^\"\\]|\\.)*\")|(?P<tick>`(?:[^`\\]|\\.)*`)|(?P<parameter>\$\{[^}'\"]{0,256}\}|\$\(\(|\$\()"
    r"|(?P<comment>(?<![^\s;&|()])#[^\n]*)|(?P<open>['\"`]|\\\Z)|(?P<word>[^\s;&|<>()'\"`\\$]+|\$)"
    r"|(?P<sign>;;|&&|\|\|?|[;&()\n<>])|[ \t\r]+",
    re.DOTALL,
)
_OPENING = {"if": "fi", "case": "esac", "for": "done", "while": "done", "until": "done", "select": "done", "{": "}"}
_CLOSING = {"fi", "esac", "done", "}"}
_BEFORE_COMMAND = {"then", "do", "else", "elif", "if", "while", "until", "{", "!", "time"}
_LONGEST = 16_384
"""Characters of a line, or of several in quotes, that are looked through; beyond, nothing is known."""
_MOST = 256
"""Things that are open within one another."""


def has_syntax(name: str) -> bool:
    """Whether what is typed to a program of this name is a shell's command."""
    return name in SHELLS and name != "fish"


@dataclass(slots=True, eq=False)
class Syntax:
    """How far a command has come, line by line: each is looked through once, but for one in quotes."""

    open: bool = False
    """More is needed."""
    stack: list[str] = field(default_factory=list)
    """What closes that which is open, the innermost last."""
    here: list[tuple[str, bool]] = field(default_factory=list)
    """The ends of here-documents that were begun, and whether tabs may stand before them."""
    inside: bool = False
    """The first of these has begun."""
    command: bool = True
    """A command's name may come next."""
    pending: bool = False
    """A command must."""
    rest: str = ""
    """What was begun and can only be understood with what comes: quotes."""

    def add(self, line: str) -> None:
        """The next line, without its newline."""
        text = f"{self.rest}{line}\n"
        self.rest = ""
        if len(text) <= _LONGEST:
            self.open = self._run(text)
        if len(text) > _LONGEST or len(self.stack) > _MOST or len(self.here) > _MOST:
            self.forget()

    def forget(self) -> None:
        """Another command begins."""
        self.open = self.inside = self.pending = False
        self.command, self.rest = True, ""
        self.stack.clear()
        self.here.clear()

    def _run(self, text: str) -> bool:
        at = 0
        if self.inside:
            at = self._skip_here(text, 0)
            if self.inside:
                return True
            self.command = True
        while at < len(text):
            token = _TOKEN.match(text, at)
            if token is None:
                at += 1
                continue
            at = token.end()
            if token["open"] is not None or (token["escaped"] == "\\\n" and at == len(text)):
                self.rest = text[token.start() :]
                return True
            if token["sign"] is not None:
                at = self._sign(token["sign"], text, at)
                if self.inside:
                    return True
            else:
                self._token(token)
        return bool(self.stack) or self.pending

    def _token(self, token: re.Match[str]) -> None:
        if token["here"] is not None:
            self._mark(token["here"], token["mark"])
        elif token["parameter"] is not None:
            self._parameter(token["parameter"])
        elif token["word"] is not None:
            self._word(token["word"])
        elif token[0].strip(" \t\r") and token["comment"] is None:
            self.command = self.pending = False

    def _parameter(self, opened: str) -> None:
        if opened.startswith("$("):
            self.stack += [")"] * opened.count("(")
        self.command = self.command or opened == "$("

    def _mark(self, here: str, mark: str | None) -> None:
        if mark is not None:
            self.here.append((mark.strip("'\"").replace("\\", ""), here.startswith("<<-")))
        self.pending = False

    def _word(self, word: str) -> None:
        self.pending = False
        in_case = bool(self.stack) and self.stack[-1] == "esac"
        if self.command or (in_case and word == "esac"):
            if word in _OPENING:
                self.stack.append(_OPENING[word])
                self.command = word in _BEFORE_COMMAND
                return
            if word in _CLOSING and self.stack and self.stack[-1] == word:
                self.stack.pop()
        self.command = word in _BEFORE_COMMAND or (self.command and "=" in word)

    def _sign(self, sign: str, text: str, at: int) -> int:
        """Where it goes on: behind the here-documents that begin with it, as far as they are there."""
        if sign == "(":
            self.stack.append(")")
        elif sign == ")" and self.stack and self.stack[-1] == ")":
            self.stack.pop()
        elif sign == "\n" and self.here:
            at = self._skip_here(text, at)
            if self.inside:
                return at
        if sign not in "<>":
            self.command = sign != ")" or bool(self.stack and self.stack[-1] == "esac")
        if sign != "\n":
            self.pending = sign in {"|", "||", "&&"}
        return at

    def _skip_here(self, text: str, at: int) -> int:
        while self.here and at < len(text):
            end = text.find("\n", at)
            mark, tabs = self.here[0]
            line, at = text[at:end], end + 1
            if (line.lstrip("\t") if tabs else line) == mark:
                self.here.pop(0)
        self.inside = bool(self.here)
        return at
