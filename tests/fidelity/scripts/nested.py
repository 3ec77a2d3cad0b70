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


@script("bash", "ssh to elsewhere", history=False)
def far(person: Person) -> None:
    """What goes on there is not recorded; the client's screen says what was typed."""
    person.enter("ssh", "ssh far", execs=["ssh", "sh", "python3"])
    person.line("echo one two")
    person.line("ls -d /")
    person.keys("echo thref", BACKSPACE, "e", RETURN, line="echo three")
    person.keys(UP, RETURN, line="echo three")
    person.keys("echo dropped", CTRL["c"], line=None)
    person.line("cd /usr")
    person.line("id -un")
    person.leave("exit")
    person.line("ls -d /", execs=["ls"])


@script("ssh", "elsewhere")
def ssh(person: Person) -> None:
    """Not from a shell."""
    person.line("echo one two")
    person.line("ls -d /")
    person.line("echo three")


@script("cat", "lines")
def cat(person: Person) -> None:
    """What it gets is no command."""
    person.keys("one two\r", line="one two", role="input", until="one two\n")
    person.keys("rm -rf /\r", line="rm -rf /", role="input", until="/\n")
    person.keys("typo", BACKSPACE, "e\r", line="type", role="input", until="type\n")
    person.keys("dropped", CTRL["u"], "kept\r", line="kept", role="input", until="kept\n")
    person.keys("äö\r", line="äö", role="input", until="äö\n")


@script("mc", "its command line")
def commander(person: Person) -> None:
    """What is typed below its panels reaches the shell behind it."""
    person.line("echo one two")
    person.line("ls -d /", execs=["ls"])
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("id -un", execs=["id"])


@script("bash", "ssh to the container itself", alone=True, history=False, mirrored=True)
def inside(person: Person) -> None:
    """Both sides are in it: each line is told where it arrives, and once more, with little trust, by the client."""
    person.line("/usr/sbin/sshd", execs=["sshd", "sshd"])
    person.enter("login", "ssh inside", execs=["ssh"], user="alice", cwd="/home/alice")
    work(person)
    person.leave("exit")
    person.line("ls -d /", execs=["ls"])


@script("bash", "a password that is right", user="alice")
def admitted(person: Person) -> None:
    """Su asks for it, and lets alice in."""
    person.enter("su", "su", execs=["su", "bash"], user="root", password=b"marble-orchid-2291")
    work(person)
    person.leave("exit")
    person.line("id -un", execs=["id"])
