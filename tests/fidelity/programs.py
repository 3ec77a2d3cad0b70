"""The programs that people type to: how each is started, what its prompts look like, how it is left.

All of them are this machine's, in a container that has its /usr (tests/kernel/furnished.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.fidelity.person import CTRL

HOME = "/home/{number}"
"""A script's own folder: its home, and where it begins."""
WITH = "%SETUP%"
"""Where a script's own lines go in a start-up file."""


@dataclass(frozen=True)
class Program:
    """How to sit down in front of a program."""

    argv: tuple[str, ...]
    prompt: str
    """A regular expression for the last row of its prompt, without control sequences."""
    further: str = "$^"
    """The same for its prompt in mid-command (PS2)."""
    files: tuple[tuple[str, str], ...] = ()
    """Start-up files: path in the script's folder → content."""
    leave: bytes = CTRL["d"]
    """What ends it when it is at its prompt."""
    history: str = ""
    """How its own history is read (history.py); empty: it has none."""
    environment: tuple[tuple[str, str], ...] = ()
    alone: bool = False
    elsewhere: bool = False
    """What it shows goes on at another terminal, or another machine: whose leader there is no looking at from here."""
    own: str = ""
    """A regular expression for lines that it types itself to a shell of its own: neither typed nor invented."""
    painted: bool = False
    """It paints the whole window: its prompt need not be what was shown last."""


BASH = r"""PS1='\u:\w\$ '
HISTFILE= ; [ $SHLVL -gt 1 ] || HISTFILE=~/.truth
HISTSIZE=5000 HISTTIMEFORMAT='%s ' HISTCONTROL=
shopt -s cmdhist lithist histappend
bind 'set bell-style none'
%SETUP%
"""
ZSH = r"""PROMPT='%n:%~%# '
HISTFILE=~/.truth HISTSIZE=5000 SAVEHIST=5000
setopt inc_append_history extended_history no_beep
bindkey -e
%SETUP%
"""
FISH = r"""function fish_greeting; end
function fish_prompt; printf 'fish:%s> ' (prompt_pwd); end
function fish_right_prompt; end
%SETUP%
"""
MC = r" mc_print_command_buffer| bind -x| PROMPT_COMMAND=|\}'pwd>&| cd \"`printf"
"""How mc makes its shell tell it where it is, and tells it where to go."""
PSQL = str(max(Path("/usr/lib/postgresql").glob("*/bin/psql"), default="psql"))
"""The program itself, not Debian's wrapper of it."""
SHELL_PROMPT = r"[^\r\n]*[#$] "
"""Of shells whose PS1 is ours."""
PROGRAMS: dict[str, Program] = {
    "bash": Program(("bash",), SHELL_PROMPT, r"> ", ((".bashrc", BASH),), history="bash"),
    "dash": Program(
        ("dash", "-i"),
        SHELL_PROMPT,
        r"> ",
        ((".shrc", "PS1='dash$ '\n%SETUP%\n"),),
        environment=(("ENV", "{home}/.shrc"),),
    ),
    "ash": Program(
        ("/bin/busybox", "ash"),
        SHELL_PROMPT,
        r"> ",
        ((".shrc", "PS1='\\u:\\w\\$ '\ntrap 'history >~/.truth' EXIT\n%SETUP%\n"),),
        environment=(("ENV", "{home}/.shrc"), ("HISTSIZE", "500")),
        history="ash",
    ),
    "zsh": Program(
        ("zsh",),
        r"[^\r\n]*[#%$] ",
        r"[a-z ]*> ",
        ((".zshrc", ZSH),),
        environment=(("ZDOTDIR", "{home}"),),
        history="zsh",
    ),
    "fish": Program(
        ("fish",),
        r"fish:[^\r\n]*> ",
        r"fish:[^\r\n]*> (?s:.*)",
        ((".config/fish/config.fish", FISH), (".local/share/fish/generated_completions/none", "")),
        environment=(("XDG_DATA_HOME", "{home}/.local/share"), ("XDG_CONFIG_HOME", "{home}/.config")),
        history="fish",
    ),
    "python": Program(
        ("/usr/bin/python3", "-q"),
        r">>> ",
        r"\.\.\. ",
        ((".pythonrc", "%SETUP%\n"),),
        environment=(("PYTHONSTARTUP", "{home}/.pythonrc"),),
        history="python",
    ),
    "ipython": Program(
        ("/usr/bin/ipython3", "--no-banner", "--TerminalInteractiveShell.confirm_exit=False"),
        r"(In \[\d+\]|\.\.\.): *(\n|$)",
        files=((".ipython/profile_default/startup/00.py", "%SETUP%\n"),),
        history="ipython",
        painted=True,
    ),
    "node": Program(
        ("node",), r"> ", r"(\.\.\.|\|) *", environment=(("NODE_REPL_HISTORY", "{home}/.truth"),), history="node"
    ),
    "sqlite3": Program(
        ("sqlite3", "data.db"), r"sqlite> ", r" *(\.\.\.|[('\"])[^\r\n]*> ", ((".sqliterc", "%SETUP%\n"),)
    ),
    "psql": Program(
        (PSQL, "-h", "/home/servers", "-U", "postgres", "postgres"),
        r"postgres=[#>] ",
        r"postgres[-('\"*$^][#>] ",
        ((".psqlrc", "\\pset pager off\n%SETUP%\n"),),
        environment=(("PSQLRC", "{home}/.psqlrc"), ("PSQL_HISTORY", "{home}/.truth")),
        history="psql",
    ),
    "mysql": Program(
        ("/usr/bin/mariadb", "-u", "root", "--socket=/home/servers/mysql.sock"),
        r"MariaDB \[[^\r\n]*\]> ",
        r" +[-'\"`*/]*> ",
        environment=(("MYSQL_HISTFILE", "{home}/.truth"),),
        history="mysql",
    ),
    "cat": Program(("cat",), r"", leave=CTRL["d"]),
    "mc": Program(
        ("mc", "-d"),
        r"[^\r\n]*[#$]",
        r"> ",
        ((".bashrc", BASH),),
        leave=b"\x1b0",
        painted=True,
        alone=True,
        elsewhere=True,
        own=MC,
    ),
    "tmux": Program(
        ("tmux", "new", "bash"),
        SHELL_PROMPT,
        r"> ",
        ((".bashrc", BASH), (".tmux.conf", "set -g status off\nset -g default-command bash\n%SETUP%\n")),
        alone=True,
        painted=True,
        elsewhere=True,
    ),
    "screen": Program(
        ("screen", "-c", "/dev/null", "bash"), SHELL_PROMPT, r"> ", ((".bashrc", BASH),), alone=True, elsewhere=True
    ),
    "script": Program(
        ("script", "-q", "/dev/null", "-c", "bash"), SHELL_PROMPT, r"> ", ((".bashrc", BASH),), elsewhere=True
    ),
    "sudo": Program(("sudo", "-i"), SHELL_PROMPT, r"> ", elsewhere=True),
    "su": Program(("su",), SHELL_PROMPT, r"> "),
    "login": Program(("ssh", "inside"), SHELL_PROMPT, r"> ", elsewhere=True),
    "ssh": Program(("ssh", "far"), r"far:[^\r\n]*\$ ", r"> ", elsewhere=True),
}
"""By the name that scripts use. Also what `Person.enter` may name: then only the prompts and `leave` count."""
