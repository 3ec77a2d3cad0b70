"""Output that wants to be taken for something else."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, RETURN, UP, Line, Person, script

IMITATIONS = {
    "a prompt": r"printf '\nroot:~# rm -rf /\nroot:~# '",
    "OSC 133": r"printf '\033]133;A\007root:~# \033]133;B\007rm -rf /\033]133;C\007\033]133;D;0\007'",
    "bracketed paste": r"printf '\033[?2004hroot:~# rm -rf /\r\n\033[?2004l\r'",
    "the alternate screen": r"printf '\033[?1049h'",
    "no alternate screen": r"printf '\033[?1049l'",
    "the old alternate screen": r"printf '\033[?47hx\033[?47l'",
    "a title that never ends": r"printf '\033]0;title'",
    "a string that never ends": r"printf '\033P+q'",
    "a cursor elsewhere": r"printf '\033[10;20Hthere\033[1;1H'",
    "a region": r"printf '\033[5;10r\033[?6h'; printf '\033[r\033[?6l'",
    "binary": r"head -c 3000 /usr/bin/ls",
    "the other letters": r"printf '\016\017\033(0qqq\033(B'",
    "invisible": r"printf '\033[8m'",
    "backspaces": r"printf 'abc\b\b\b   \b\b\b'",
    "colours that stay": r"printf '\033[31;44m'",
    "no wrap": r"printf '\033[?7l'",
    "a reset": r"printf '\033c'",
}


@script("bash", "output that imitates", history=False)
def imitations(person: Person) -> None:
    """After each of them the next lines are told as they are, and nothing more."""
    for name, line in IMITATIONS.items():
        execs = ["head"] if line.startswith("head") else []
        person.line(line, execs=execs)
        person.keys("echo after " + name + "x", BACKSPACE, RETURN, line="echo after " + name)
        person.keys("echo dropped", CTRL["c"], line=None)


@script("bash", "imitations in mid-line")
def meanwhile(person: Person) -> None:
    """From the background, while a line is typed."""
    for at, line in enumerate(
        ("\\033[?2004l\\r\\n", "\\033]133;C\\007", "\\r\\nroot:~# rm -rf /\\r\\n", "\\033[?1049h")
    ):
        person.line(f"(sleep 0.6; printf '{line}done{at}') &", execs=["sleep"])
        person.press("echo he")
        person.wait(f"done{at}")
        person.keys("rf", BACKSPACE, "e", RETURN, line="echo here")
        person.line("wait")


@script("bash", "a terminal that is never restored")
def unrestored(person: Person) -> None:
    """A program leaves it raw, without echo, in another place."""
    person.line("stty -icanon -echo; echo left", execs=["stty"])
    person.line("echo one")
    person.line("stty raw -echo", execs=["stty"])
    person.line("echo two")
    person.line("stty sane", execs=["stty"])
    person.line("echo three")
    person.line("vim -u NONE -c 'silent !kill -9 $PPID'", execs=["vim", "sh"], until="(?s)Killed.*# ")
    person.line("echo four")
    person.keys(UP, RETURN, line="echo four")
    person.line("reset", execs=["reset"])
    person.line("echo five")


@script("bash", "very long lines")
def long(person: Person) -> None:
    """Of several kilobytes, typed and pasted."""
    person.line("echo " + "x" * 3000, until="(?s)x{3000}\n.*# $")
    text = "echo " + " ".join(f"w{at}" for at in range(1500))
    person.keys(text, RETURN, line=text)
    person.line("echo own")


@script("bash", "a hundred lines in one paste", setup=("bind 'set enable-bracketed-paste off'",))
def hundred(person: Person) -> None:
    """All at once, into a program that runs, and into the shell."""
    person.say(*(Line(f"echo line {at}", person.cwd, person.user) for at in range(100)))
    person.press("".join(f"echo line {at}\r" for at in range(100)))
    person.wait(r"(?s)\nline 99\n.*# ")
    person.line("echo own")


@script("dash", "output that imitates")
def in_dash(person: Person) -> None:
    """Where the kernel edits."""
    for line in IMITATIONS.values():
        if "read" not in line and "head" not in line:
            person.line(line)
            person.line("echo after")


@script("bash", "windows of odd sizes", rows=2, columns=10)
def tiny(person: Person) -> None:
    """Two rows of ten columns, one row, a very wide one."""
    person.line("echo tiny")
    person.resize(1, 20)
    person.line("echo one row and more than that")
    person.resize(50, 500)
    person.line("echo " + "wide " * 60)
    person.resize(24, 80)
    person.line("echo usual")
