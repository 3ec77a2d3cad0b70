"""Shells without an editor of their own, and BusyBox's, which has a small one."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, HOME, LEFT, RETURN, RIGHT, TAB, UP, Line, Person, script


def work(person: Person) -> None:
    """What all of them do."""
    person.line("echo one two")
    person.line("/usr/bin/ls -d /", execs=["ls"])
    person.line("/usr/bin/seq 3 | /usr/bin/sort -r", execs=["seq", "sort"])
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("X=1")
    person.line("both() { /usr/bin/ls -d /; /usr/bin/date; }")
    person.line("both", execs=["ls", "date"])
    person.line("(/usr/bin/sleep 0.6; /usr/bin/date) & true", execs=["sleep", "date"])
    person.line("/usr/bin/id; wait", execs=["id"])
    person.line("for i in 1 2; do")
    person.keys("/usr/bin/ls -d /\r", line="/usr/bin/ls -d /", continues=True, execs=["ls", "ls"])
    person.keys("done\r", line="done", continues=True)
    person.line("/usr/bin/cat <<END", execs=["cat"])
    person.keys("text\r", line="text", continues=True)
    person.keys("END\r", line="END", continues=True)
    person.keys(RETURN, line=None)
    person.keys("echo dropped", CTRL["c"], line=None)
    person.line("read answer", until="\n")
    person.keys("yes\r", line="yes", role="input")
    person.say(
        Line("/usr/bin/sleep 0.3", person.cwd, person.user, ("sleep",)), Line("echo ahead", person.cwd, person.user)
    )
    person.press("/usr/bin/sleep 0.3\recho ahead\r")
    person.wait("ahead\n.*[#$] ")
    person.line("/usr/bin/sleep 60", execs=["sleep"], until="\n")
    person.keys(CTRL["c"], line=None)
    person.line("echo end")


@script("dash", "a shell's work")
def dash(person: Person) -> None:
    """In lines: the kernel is the editor."""
    work(person)


@script("dash", "the kernel's own editing")
def cooked(person: Person) -> None:
    """Backspace, ctrl-u, ctrl-w, and what is pasted."""
    person.keys("echo onf", BACKSPACE, "e", RETURN, line="echo one")
    person.keys("rm -rf /x", CTRL["u"], "echo two", RETURN, line="echo two")
    person.keys("echo a b", CTRL["w"], "c", RETURN, line="echo a c")
    person.keys("ec", CTRL["d"], "ho three", RETURN, line="echo three")
    person.say(*(Line(f"echo pasted {at}", person.cwd, person.user) for at in range(5)))
    person.press("".join(f"echo pasted {at}\r" for at in range(5)))
    person.line("echo äöü 日本")
    person.line("echo own")


@script("dash", "other prompts", setup=("PS1='\n$ # > '", "PS2='more> '"), prompt=r"\$ # > |^more> ")
def prompts(person: Person) -> None:
    """Of two lines, with marks in it."""
    person.line("echo one")
    person.line("if true; then")
    person.keys("/usr/bin/ls -d /\r", line="/usr/bin/ls -d /", continues=True, execs=["ls"])
    person.keys("fi\r", line="fi", continues=True)
    person.line("echo 'open")
    person.keys("closed'\r", line="closed'", continues=True)
    person.line("echo own")


@script("ash", "a shell's work")
def ash(person: Person) -> None:
    """With BusyBox's editor."""
    work(person)


@script("ash", "editing")
def editing(person: Person) -> None:
    """Backspace, kill, arrows, history, completion."""
    person.keys("echo onf", BACKSPACE, "e", RETURN, line="echo one")
    person.keys("rm -rf /x", CTRL["u"], "echo two", RETURN, line="echo two")
    person.keys("three", HOME, "echo ", RETURN, line="echo three")
    person.keys("echo fuxr", LEFT, LEFT, BACKSPACE, "o", RETURN, line="echo foxr")
    person.keys("echo a b", CTRL["w"], "c", RETURN, line="echo a c")
    person.keys("echo six 7", CTRL["a"], RIGHT, RIGHT, RIGHT, RIGHT, CTRL["k"], " 8", RETURN, line="echo 8")
    person.keys(UP, RETURN, line="echo 8")
    person.keys(UP, UP, " more", RETURN, line="echo a c more")
    person.line("/usr/bin/touch unique-name alpha-1 alpha-2", execs=["touch"])
    person.keys("/usr/bin/ls un", TAB, RETURN, line="/usr/bin/ls unique-name ", execs=["ls"])
    person.keys("/usr/bin/ls al", TAB, TAB, "2", RETURN, line="/usr/bin/ls alpha-2", execs=["ls"])


@script("ash", "beyond ASCII, and long", columns=40)
def long(person: Person) -> None:
    """UTF-8, and lines that wrap."""
    person.line("echo äöü")
    person.line("echo " + " ".join(f"word{at}" for at in range(15)))
    for width in (38, 39, 40, 41):
        person.line(("echo " + "x" * 60)[: width - len("root:~# ")])
    person.keys(UP, " end", RETURN, line=("echo " + "x" * 60)[: 41 - len("root:~# ")] + " end")


@script("ash", "a coloured prompt of two lines", setup=(r"PS1='\[\e[1;32m\]\u\[\e[0m\] \w\n\$ '",), prompt="^[#$] ")
def coloured(person: Person) -> None:
    """Only its last row is before the line."""
    person.line("echo one two")
    person.keys("/usr/bin/ls -d /x", BACKSPACE, RETURN, line="/usr/bin/ls -d /", execs=["ls"])
    person.keys("echo dropped", CTRL["c"], line=None)
    person.keys(UP, UP, RETURN, line="echo one two")


@script("ash", "several at once, and noise")
def pasted(person: Person) -> None:
    """A paste; something in the background writes."""
    person.say(*(Line(f"echo pasted {at}", person.cwd, person.user) for at in range(5)))
    person.press("".join(f"echo pasted {at}\r" for at in range(5)))
    person.line("(/usr/bin/sleep 0.6; echo noise) &", execs=["sleep"])
    person.press("echo he")
    person.wait("noise")
    person.keys("re", RETURN, line="echo here")
    person.line("/usr/bin/clear", execs=["clear"])
    person.line("echo own")


@script("ash", "programs that it is itself")
def applets(person: Person) -> None:
    """BusyBox runs its own commands without starting a program, or starts itself."""
    person.line("ls -d /")
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("echo one | cat", execs=["exe"])
    person.line("seq 3 | sort")
