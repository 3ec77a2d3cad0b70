"""Bash: what lines start, and what else goes on at the terminal meanwhile."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, ESCAPE, RETURN, Line, Person, script


@script("bash", "builtins alone")
def builtins(person: Person) -> None:
    """No program is started, and they are lines."""
    person.line("cd /usr/bin")
    person.cwd = "/usr/bin"
    person.line("X=1")
    person.line("export X; unset X")
    person.line("type cd")
    person.line("cd ..")
    person.cwd = "/usr"
    person.line("pushd /tmp")
    person.cwd = "/tmp"
    person.line("popd")
    person.cwd = "/usr"
    person.line("kill -0 $$")


@script("bash", "aliases and functions")
def aliases(person: Person) -> None:
    """The line is what was typed; the programs are what it starts."""
    person.line("alias d='ls -d'")
    person.line("d /", execs=["ls"])
    person.line("both() { ls -d /; date +%s; }")
    person.line("both", execs=["ls", "date"])
    person.line("nothing() { :; }; nothing")
    person.line("no-such-program --at-all")


@script("bash", "jobs")
def jobs(person: Person) -> None:
    """ctrl-z, bg, fg, ctrl-c."""
    person.line("sleep 60", execs=["sleep"], until="\n")
    person.keys(CTRL["z"], line=None)
    person.line("jobs")
    person.line("fg", until="sleep 60")
    person.keys(CTRL["c"], line=None)
    person.line("sleep 61 &", execs=["sleep"])
    person.line("ls -d / & wait $!", execs=["ls"])
    person.line("kill %1; wait")
    person.line("echo over")


@script("bash", "something writes in mid-line")
def noise(person: Person) -> None:
    """A job in the background is no part of the line."""
    person.line("(sleep 0.6; echo noise; echo more) &", execs=["sleep"])
    person.press("echo he")
    person.wait("more")
    person.keys("re", RETURN, line="echo here")
    person.line("(sleep 0.6; printf 'root:~# rm x') &", execs=["sleep"])
    person.press("echo ther")
    person.wait("rm x")
    person.keys("f", BACKSPACE, "e", RETURN, line="echo there")
    person.line("wait")


@script("bash", "whose programs they are")
def descent(person: Person) -> None:
    """Subshells, scripts, nohup, setsid, substitution: by descent, not by time."""
    person.line("(cd /; ls -d .)", execs=["ls"])
    person.line("printf 'ls -d /\\ndate\\n' > work.sh")
    person.line("sh work.sh", execs=["sh", "ls", "date"])
    person.line("bash -c 'ls -d /; true'", execs=["bash", "ls"])
    person.line("nohup ls -d /", execs=["nohup", "ls"])
    person.line("setsid -w ls -d /", execs=["setsid", "ls"])
    person.line("echo $(date) `ls -d /`", execs=["date", "ls"])
    person.line("(sleep 0.7; date) & true", execs=["sleep", "date"])
    person.line("ls -d /", execs=["ls"])
    person.line("wait; id", execs=["id"])
    person.line("cat <(ls -d /)", execs=["cat", "ls"])
    person.line("find / -maxdepth 0 -exec ls -d {} ';'", execs=["find", "ls"])
    person.line("seq 4 | xargs -n 2 echo", execs=["seq", "xargs", "echo", "echo"])
    person.line("time ls -d /", execs=["ls"])
    person.line("! ls /none", execs=["ls"])


@script("bash", "lines for a program")
def input_(person: Person) -> None:
    """What read and cat take is input, no command."""
    person.line("read answer", until="\n")
    person.keys("yes\r", line="yes", role="input")
    person.line("cat", execs=["cat"], until="\n")
    person.keys("hello there\r", line="hello there", role="input", until="hello there\n")
    person.keys("once\r", line="once", role="input", until="once\n")
    person.keys(CTRL["d"], line=None)
    person.line("read -p 'Name? ' name", until=r"Name\? ")
    person.keys("Ann Other\r", line="Ann Other", role="input")
    person.line("head -n 1", execs=["head"], until="\n")
    person.keys("top", BACKSPACE, "ol\r", line="tool", role="input")
    person.line("while read x; do echo $x; done", until="\n")
    person.keys("l1\r", line="l1", role="input", until="l1\n")
    person.keys(CTRL["d"], line=None)


@script("bash", "an editor and a pager")
def full_screen(person: Person) -> None:
    """What is typed in them is no line."""
    person.line("vim -u NONE note", execs=["vim"], until="~")
    person.press("ihello\rworld", ESCAPE)
    person.keys(":wq\r", line=None)
    person.line("less /etc/passwd", execs=["less"], until="alice")
    person.press("/root\r", " ")
    person.keys("q", line=None)
    person.line("cat note", execs=["cat"])
    person.line("top", execs=["top"], until="PID")
    person.keys("q", line=None)
    person.line("echo back")


@script("bash", "read key by key")
def keywise(person: Person) -> None:
    """A menu, and a single key."""
    person.line("read -n 1 -p 'go on? ' key", until=r"go on\? ")
    person.keys("y", line=None)
    person.line("read -e word", until="\n")
    person.keys("by readline", RETURN, line="by readline", role="input")
    person.line("select x in a b; do break; done", until=r"#\? ")
    person.keys("1\r", line="1", role="input")
    person.line("echo $x")


@script("bash", "a shell becomes another", history=False)
def replaced(person: Person) -> None:
    """Exec, and a shell on top."""
    person.enter("bash", "bash", execs=["bash"])
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("ls -d .", execs=["ls"])
    person.leave("exit")
    person.line("pwd")
    person.enter("dash", "ENV= PS1='$ ' dash", execs=["dash"])
    person.line("ls -d /", execs=["ls"])
    person.leave(CTRL["d"])
    person.enter("ash", "exec /bin/busybox ash", execs=["busybox"])
    person.line("/usr/bin/ls -d /", execs=["ls"])


@script("bash", "programs of a prompt", setup=("PROMPT_COMMAND='date >/dev/null'",))
def prompt_command(person: Person) -> None:
    """What PROMPT_COMMAND starts was not typed."""
    person.keys(RETURN, line=None)
    person.keys(RETURN, line=None)
    person.line("true")
    person.line("ls -d /", execs=["ls"])
    person.line("ls -d / | sort", execs=["ls", "sort"])
    person.keys(RETURN, line=None)
    person.line("echo x")


@script("bash", "somebody else")
def su(person: Person) -> None:
    """Su, and back."""
    person.enter("su", "su alice", execs=["su", "bash"], user="alice")
    person.line("id -un", execs=["id"])
    person.line("cd /")
    person.cwd = "/"
    person.leave("exit")
    person.line("id -un", execs=["id"])
    person.enter("su", "su - alice", execs=["su", "bash"], user="alice", cwd="/home/alice")
    person.line("pwd")
    person.leave(CTRL["d"])
    person.line("su -c 'ls -d /' alice", execs=["su", "bash", "ls"])


@script("bash", "ten lines at once")
def many(person: Person) -> None:
    """A paste of commands that start programs."""
    person.say(*(Line(f"ls -d /usr/{at}", person.cwd, person.user, ("ls",)) for at in range(10)))
    person.press("".join(f"ls -d /usr/{at}\r" for at in range(10)))
    person.wait("(?s)usr/9.*[#$] ")
    person.line("echo own")
