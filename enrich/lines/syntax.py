"""Whether what was typed to a shell is complete, as far as quotes, here-documents and keywords tell (POSIX XCU 2)."""

from __future__ import annotations

import re

from enrich.lines.prompts import SHELLS

_TOKEN = re.compile(
    r"(?P<escaped>\\.)|(?P<single>'[^']*')|(?P<here><<<|<<-?[ \t]*(?P<mark>\"[^\"\n]*\"|'[^'\n]*'|\\?[^\s;&|<>()'\"]+))"
    r"|(?P<double>\"(?:[^\"\\]|\\.)*\")|(?P<tick>`(?:[^`\\]|\\.)*`)|(?P<parameter>\$\{[^}'\"]*\}|\$\(\(|\$\()"
    r"|(?P<comment>(?<![^\s;&|()])#[^\n]*)|(?P<open>['\"`]|\\\Z)|(?P<word>[^\s;&|<>()'\"`\\$]+|\$)"
    r"|(?P<mark2>;;|&&|\|\|?|[;&()\n<>])|[ \t\r]+",
    re.DOTALL,
)
_OPENING = {"if": "fi", "case": "esac", "for": "done", "while": "done", "until": "done", "select": "done", "{": "}"}
_CLOSING = {"fi", "esac", "done", "}"}
_BEFORE_COMMAND = {"then", "do", "else", "elif", "if", "while", "until", "{", "!", "time"}


def is_open(name: str, block: str) -> bool:
    """Whether a shell of this name needs more than these lines, each with its newline. False where that is unknown."""
    return name in SHELLS and name != "fish" and _Scan(block).open


class _Scan:
    def __init__(self, block: str) -> None:
        self._stack: list[str] = []
        self._here: list[tuple[str, bool]] = []
        self._text, self._at = block, 0
        self._command, self._pending = True, False
        self.open = self._run()

    def _run(self) -> bool:
        while self._at < len(self._text):
            token = _TOKEN.match(self._text, self._at)
            if token is None:
                self._at += 1
                continue
            self._at = token.end()
            if token["open"] is not None or (token["escaped"] == "\\\n" and self._at == len(self._text)):
                return True
            if token["here"] is not None:
                self._mark(token["here"], token["mark"])
            elif token["parameter"] is not None:
                self._stack += (
                    [")", ")"] if token["parameter"] == "$((" else [")"] if token["parameter"] == "$(" else []
                )
                self._command = self._command or token["parameter"] == "$("
            elif token["word"] is not None:
                self._word(token["word"])
            elif token["mark2"] is not None and self._sign(token["mark2"]):
                return True
            elif token["mark2"] is None and token[0].strip(" \t\r") and token["comment"] is None:
                self._command = self._pending = False
        return bool(self._stack) or self._pending

    def _mark(self, here: str, mark: str | None) -> None:
        if mark is not None:
            self._here.append((mark.strip("'\"").replace("\\", ""), here.startswith("<<-")))
        self._pending = False

    def _word(self, word: str) -> None:
        self._pending = False
        in_case = bool(self._stack) and self._stack[-1] == "esac"
        if self._command or (in_case and word == "esac"):
            if word in _OPENING:
                self._stack.append(_OPENING[word])
                self._command = word in _BEFORE_COMMAND
                return
            if word in _CLOSING and self._stack and self._stack[-1] == word:
                self._stack.pop()
        self._command = word in _BEFORE_COMMAND or (self._command and "=" in word)

    def _sign(self, sign: str) -> bool:
        """True where a here-document has no end."""
        if sign == "(":
            self._stack.append(")")
        elif sign == ")" and self._stack and self._stack[-1] == ")":
            self._stack.pop()
        elif sign == "\n" and self._here and self._skip_here():
            return True
        if sign not in "<>":
            self._command = sign != ")" or bool(self._stack and self._stack[-1] == "esac")
        if sign != "\n":
            self._pending = sign in {"|", "||", "&&"}
        return False

    def _skip_here(self) -> bool:
        for mark, tabs in self._here:
            while True:
                if self._at >= len(self._text):
                    return True
                end = self._text.find("\n", self._at)
                end = len(self._text) if end < 0 else end
                line = self._text[self._at : end]
                self._at = end + 1
                if (line.lstrip("\t") if tabs else line) == mark:
                    break
        self._here.clear()
        return False
