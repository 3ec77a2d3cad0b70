"""What looks like a command's prompt, and what asks for more of a line that is not complete."""

from __future__ import annotations

import re

from enrich.lines.typed import Who

SHELLS = frozenset({"ash", "bash", "busybox", "dash", "fish", "ksh", "ksh93", "mksh", "rbash", "sh", "yash", "zsh"})
_OTHERS = (
    "bc dc erl ftp gawk gdb ghci guile iex ipython ipython3 irb jshell julia lftp lua mariadb mongo mongosh mysql node "
    "nodejs octave perl php psql pypy pypy3 python redis-cli ruby scala sftp smbclient sqlite sqlite3 tclsh telnet"
)
_INTERPRETERS = SHELLS | set(_OTHERS.split())
_PYTHON = re.compile(r"(?:i?python|pypy)[0-9.]*\Z")
_REMOTE = frozenset({"ssh", "slogin", "telnet", "mosh-client", "rlogin", "docker", "kubectl", "podman", "nerdctl"})
"""Programs that show what goes on elsewhere."""
_PROMPT = re.compile(r"[$#%>:?\u276f\u279c\u03bb\u00bb\])][ \t]?\Z")
_REMOTE_PROMPT = re.compile(r"[$#%>\u276f\u279c\u03bb\u00bb][ \t]?\Z")
_MORE = re.compile(
    r"> ?\Z"  # POSIX shells' PS2
    r"|(?:[a-z]+ )*(?:quote|dquote|bquote|heredoc|pipe|for|while|until|if|then|else|elif|case|select|repeat|function"
    r"|cmdsubst|mathsubst|braceparam|cmdand|cmdor|subsh|cursh|array|math|cond|always|foreach|string)> ?\Z"  # zsh's
    r"|\.\.\. ?\Z|\| ?\Z"  # Python, node
    r"| *\.{3,}: ?\Z"  # ipython
    r"| {3,}\.{3}> ?\Z|[(\"'/*;x0-9]+ *\.{3}> ?\Z"  # sqlite3
    r"|  *(?:-|'|\"|`|/\*)> ?\Z"  # mysql, mariadb
)
_SETS = re.compile(r"\b(?:PS[0-9]?|PROMPT\w*|prompt|source|exec|\.)(?=[=\s])")
_MASKED = re.compile(r"([*\u2022\u25cf\u2219\u25e6\u25a0\u2588])\1*")
_READS = re.compile(r"(?<![\w-])(?:read|vared|select)(?![\w-])")
_PYTHON_READS = re.compile(r"input\s*\(")
_PYTHON_PROMPT = re.compile(r"(?:>>>|\.\.\.|\(\w+\)|In \[\d+\]:| *\.{3,}:) ?\Z")
_PSQL = re.compile(r"(?P<name>.*?)(?P<state>[-'\"($*^!=])(?P<rights>[#>]) ?\Z")


def is_interpreter(name: str) -> bool:
    """Whether a program of this name takes commands."""
    return name in _INTERPRETERS or _PYTHON.match(name) is not None


def is_masked(line: str) -> bool:
    """Whether nothing is shown but what stands for keys of a secret."""
    return _MASKED.fullmatch(line) is not None


def is_remote(who: Who) -> bool:
    """Whether a program shows what goes on elsewhere: by its name, or at a terminal that it opened. Shells do not."""
    return who.name in _REMOTE or (who.passes and who.name not in SHELLS)


def looks_ready(text: str) -> bool:
    """Whether what stands left of the cursor looks like the prompt of a shell."""
    return _REMOTE_PROMPT.search(text) is not None


def looks_like_prompt(text: str) -> bool:
    """Whether an unfinished row looks as if something was asked."""
    return _PROMPT.search(text) is not None


def asks_for_more(prompt: str, primary: str) -> bool:
    """Whether a prompt other than the usual one asks for more of what was begun."""
    if prompt == primary:
        return False
    if _MORE.match(prompt):
        return True
    first, now = _PSQL.match(primary), _PSQL.match(prompt)
    return bool(
        first and now and first["state"] in "=^!" and now["state"] not in "=^!" and first["name"] == now["name"]
    )


def sets_prompt(name: str, line: str) -> bool:
    """Whether a line to a shell may have given it another prompt."""
    return name in SHELLS and _SETS.search(line) is not None


def is_answer(name: str, prompt: str) -> bool:
    """Whether a line of canonical mode is no command, though an interpreter reads it: `input()` of a program."""
    return _PYTHON.match(name) is not None and not _PYTHON_PROMPT.match(prompt)


def asks_for_data(name: str, line: str, prompt: str) -> bool:
    """Whether a command, when it runs, has lines edited that are no commands, and this prompt is not the usual one."""
    if name in SHELLS:
        return _READS.search(line) is not None
    return bool(_PYTHON.match(name) and _PYTHON_READS.search(line) and not _PYTHON_PROMPT.match(prompt))
