"""A terminal behind a terminal, somebody else's shell, another machine's."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, RETURN, UP, Person, script


def work(person: Person) -> None:
    """Some lines of a shell."""
    person.line("echo one two")
    person.line("ls -d /", execs=["ls"])
    person.keys("echo thref", BACKSPACE, "e", RETURN, line="echo three")
    person.keys(UP, RETURN, line="echo three")
    person.keys("echo dropped", CTRL["c"], line=None)
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("id -un", execs=["id"])


@script("bash", "su, sudo and back", alone=True)
def others(person: Person) -> None:
    """Sudo makes a terminal of its own for its shell."""
    person.enter("su", "su - alice", execs=["su", "bash"], user="alice", cwd="/home/alice")
    work(person)
    person.enter("sudo", "sudo -i", execs=["sudo", "bash"], user="root", cwd="/root")
    work(person)
    person.leave("exit")
    person.line("sudo id -u", execs=["sudo", "id"])
    person.line("sudo -u root ls -d /", execs=["sudo", "ls"])
    person.leave(CTRL["d"])
    person.line("id -un", execs=["id"])


@script("bash", "a password for su", user="alice")
def password(person: Person) -> None:
    """It is asked for, and wrong, and asked for again."""
    person.line("echo before")
    person.secret(b"copper-meadow-4412")
    person.line("su", execs=["su"], until="Password: ")
    person.keys("copper-meadow-4412\r", line=None)
    person.line("su - root", execs=["su"], until="Password: ")
    person.press(*"copper-meadow-4412")
    person.keys(RETURN, line=None)
    person.secret(b"willow-quartz-9035")
    person.line("read -s word", until="\n")
    person.keys("willow-quartz-9035\r", line=None)
    person.line("echo ${#word}")


@script("script", "a recording of one's own")
def typescript(person: Person) -> None:
    """Script has a terminal for its shell; each line is told once."""
    work(person)


@script("tmux", "one window")
def tmux(person: Person) -> None:
    """Its client paints; the shell behind it has the lines."""
    work(person)


@script("tmux", "two windows")
def windows(person: Person) -> None:
    """Each has a shell."""
    person.line("echo first")
    person.press(CTRL["b"], "c")
    person.line("echo second")
    person.press(CTRL["b"], "p")
    person.line("ls -d /", execs=["ls"])
    person.press(CTRL["b"], "p")
    person.keys(CTRL["d"], line=None)


@script("screen", "one window")
def screen(person: Person) -> None:
    """As tmux."""
    work(person)
