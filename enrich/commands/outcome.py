"""What the words of a line tell: which programs it may name, and whose exit code would be its own."""

from __future__ import annotations

import posixpath
import re

_LOOKED = 4096
"""Characters of a line that are looked at."""
_NAMES = 64
_WORD = re.compile(r"[^\s|&;()<>`'\"$={}\\]+")
# What a shell's grammar joins or nests commands with (POSIX.1, Shell Command Language), outside of quotes.
_TOKEN = re.compile(
    r"'[^']*'|\"(?:[^\"\\`$]|\\.|\$(?!\())*\"|\\.|&>>?|[<>]&|\|&?(?!\|)|\|\||[;&\n(){}`!]|\$\(|[^\s]|\s+", re.DOTALL
)
_NOT_SIMPLE = frozenset((";", "&", "||", "\n", "(", ")", "{", "}", "`", "!", "$(", "'", '"'))
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_REDIRECTION = re.compile(r"\d*[<>]")


def names(line: str) -> tuple[str, ...]:
    """The last parts of a line's words as paths: what a program that it names would be called."""
    words = dict.fromkeys(posixpath.basename(word) for word in _WORD.findall(line[:_LOOKED]))
    words.pop("", None)
    return tuple(words)[:_NAMES]


def last_program(line: str) -> str:
    """The name of the program that decides the exit code of a line, if it is one simple pipeline; else empty.

    A shell's exit code of a pipeline is its last command's (POSIX.1, 2.9.2). Lists, groups, compound commands and
    substitutions are not looked into: what they end with is not known without running them.
    """
    if len(line) > _LOOKED:
        return ""
    words, word = [], ""
    for token in _TOKEN.findall(line.strip()):
        if token in _NOT_SIMPLE:
            return ""
        if token.isspace() or token in ("|", "|&"):
            words += [word] if word else []
            word = ""
            if not token.isspace():
                words.clear()
        else:
            word += token
    return _command([*words, word] if word else words)


def _command(words: list[str]) -> str:
    """The command's name among the words of a simple command."""
    target = False
    for word in words:
        if target:
            target = False
        elif _REDIRECTION.match(word):
            target = word[-1] in "<>&"
        elif not _ASSIGNMENT.match(word):
            plain = word.replace("\\", "").strip("'\"")
            return posixpath.basename(plain)
    return ""
