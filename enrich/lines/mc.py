"""Lines that Midnight Commander types to its subshell (src/subshell/common.c).

Who knows their form can type such a line too: it is told like any other, as data and no command.
"""

from __future__ import annotations

import re

_OWN = re.compile(
    r" ?(?:mc_print_command_buffer \(\) \{.*\}"
    r"|bind -x '\"\\e[_+]\":\"(?:mc_print_command_buffer|echo \$BASH_VERSINFO:\$READLINE_POINT >&[0-9]+)\"'"
    r"|PROMPT_COMMAND=\$\{PROMPT_COMMAND:\+\$PROMPT_COMMAND|\}'pwd>&[0-9]+;kill -STOP \$\$'"
    r"|mc_print_command_buffer *\(\) *\{ *echo [^;{}]*; *\}|bindkey '\^\[[_+]' mc_print_\w+|zle -N mc_print_\w+"
    r"|_?mc_?[a-z_]*(?: *\(\))? *\{[^{}]*>&[0-9]+[^{}]*\}(?:; ?precmd_functions\+=\(\w+\))?"
    r"|precmd\(\) \{ if \[ ! .*pwd>&[0-9]+; kill -STOP \$\$; \}; PRECMD=precmd; PS1='[^']*')"
)
_CD = re.compile(r" ?cd \"`printf '%b' '((?:[^'\\]|\\0[0-7]{3})*)'`\"")
_LONGEST = 4096
_OCTAL = re.compile(r"\\0([0-7]{3})")


def what_was_typed(line: str, cwd: bytes) -> tuple[str, bool]:
    """The line, and whether mc typed it by itself. A `cd` that was typed to mc, which writes it its own way, is that.

    `cwd` is where the shell is: mc also tells it to go where it is already.
    """
    if len(line) > _LONGEST or not line.startswith((" ", "cd", "precmd", "PROMPT", "mc_", "bind", "_mc", "}")):
        return line, False
    if _OWN.fullmatch(line):
        return line, True
    found = _CD.fullmatch(line)
    if found is None:
        return line, False
    to = _OCTAL.sub(lambda code: chr(int(code[1], 8) & 0xFF), found[1]).encode("latin-1", "replace")
    return (line, True) if to == cwd else (f"cd {to.decode(errors='replace')}", False)
