"""Bash."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, END, HOME, LEFT, RETURN, RIGHT, TAB, UP, Line, Person, script


@script("bash", "plain lines")
def plain(person: Person) -> None:
    """A program, a builtin, a pipeline."""
    person.line("echo one two")
    person.line("ls /", execs=["ls"])
    person.line("seq 3 | sort -r | head -1", execs=["seq", "sort", "head"])
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("pwd")
    person.line("true; false && ls; ls -d .", execs=["ls"])


@script("bash", "typing and deleting")
def deleting(person: Person) -> None:
    """Backspace, kill and yank, words, line ends."""
    person.keys("echo onf", BACKSPACE, "e", RETURN, line="echo one")
    person.keys("rm -rf /x", CTRL["u"], "echo two", RETURN, line="echo two")
    person.keys("three", CTRL["a"], "echo ", RETURN, line="echo three")
    person.keys("echo a b c", CTRL["w"], CTRL["w"], "d", CTRL["y"], RETURN, line="echo a db c")
    person.keys("echo fuxr", LEFT, LEFT, BACKSPACE, "o", RETURN, line="echo foxr")
    person.keys("cho five", HOME, "e", END, "!", RETURN, line="echo five!")
    person.keys("echo six seven", CTRL["a"], RIGHT, RIGHT, RIGHT, RIGHT, CTRL["k"], " 8", RETURN, line="echo 8")
    person.keys("echo", TAB, " nine", CTRL["b"], CTRL["d"], "E", RETURN, line="echo  ninE")


@script("bash", "history")
def history(person: Person) -> None:
    """Arrows and ctrl-r."""
    person.line("echo first")
    person.line("echo second")
    person.keys(UP, RETURN, line="echo second")
    person.keys(UP, UP, UP, " again", RETURN, line="echo first again")
    person.keys(CTRL["r"], "sec", RETURN, line="echo second")
    person.keys(CTRL["r"], "first", CTRL["r"], END, " more", RETURN, line="echo first more")


@script("bash", "nothing is given")
def nothing(person: Person) -> None:
    """Empty lines and ctrl-c."""
    person.keys(RETURN, line=None)
    person.keys("echo dropped", CTRL["c"], line=None)
    person.keys(RETURN, RETURN, line=None)
    person.line("echo kept")


@script("bash", "further lines")
def further(person: Person) -> None:
    """PS2 and a here-document."""
    person.line("for i in 1 2; do")
    person.keys("echo $i", RETURN, line="echo $i", continues=True)
    person.keys("done", RETURN, line="done", continues=True)
    person.line("cat <<END", execs=["cat"])
    person.keys("text", RETURN, line="text", continues=True)
    person.keys("END", RETURN, line="END", continues=True)


@script("bash", "typed ahead")
def ahead(person: Person) -> None:
    """While a program runs."""
    person.say(Line("sleep 0.3", person.cwd, person.user, ("sleep",)), Line("echo ahead", person.cwd, person.user))
    person.press("sleep 0.3\recho ahead\r")
    person.wait("ahead\n.*[$#] ")


@script("bash", "somebody else")
def su(person: Person) -> None:
    """Su, and back."""
    person.enter("su", "su alice", execs=["su", "bash"], user="alice")
    person.line("id -un", execs=["id"])
    person.leave("exit")
    person.line("id -un", execs=["id"])
