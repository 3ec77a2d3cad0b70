"""Bash: prompts as people have them."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, HOME, LEFT, RETURN, UP, Person, script


def lines(person: Person) -> None:
    """What is typed behind each of them."""
    person.line("echo one two")
    person.keys("ls -d /x", BACKSPACE, RETURN, line="ls -d /", execs=["ls"])
    person.keys("cho three", HOME, "e", RETURN, line="echo three")
    person.keys(UP, " four", RETURN, line="echo three four")
    person.keys("echo dropped", CTRL["c"], line=None)
    person.line("cd /usr")
    person.cwd = "/usr"
    person.keys(CTRL["r"], "one", RETURN, line="echo one two")
    person.line("echo " + "long " * 30)
    person.keys("echo x z", LEFT, "y ", RETURN, line="echo x y z")


COLOURS = r"PS1='\[\e[1;32m\]\u@\h\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '"


@script("bash", "a coloured prompt", setup=(COLOURS,))
def coloured(person: Person) -> None:
    """As Debian has it."""
    lines(person)


@script("bash", "a prompt of two lines", setup=(r"PS1='\n[\u in \w]\n\$ '",), prompt=r"^[#$] ")
def two_lines(person: Person) -> None:
    """Only its last row is before the line."""
    lines(person)


@script("bash", "a prompt with $ and # in it", setup=(r"PS1='$ # \W $# > '",), prompt=r"\$ # [^ ]+ 0 > ")
def marks(person: Person) -> None:
    """These marks are not its end."""
    lines(person)


@script("bash", "a prompt like a line", setup=(r"PS1='root# ls -l /tmp ; '",), prompt=r"root# ls -l /tmp ; ")
def like_a_line(person: Person) -> None:
    """Text in it looks as if it had been typed."""
    lines(person)


@script("bash", "no prompt at all", setup=("PS1=",), prompt="^$")
def without(person: Person) -> None:
    """The line begins at the left edge."""
    person.line("echo one two")
    person.line("ls -d /", execs=["ls"])
    person.keys("echo thre", "f", BACKSPACE, "e", RETURN, line="echo three")


@script("bash", "a title and marks", setup=(r"PS1='\[\e]0;\u: \w\a\e]133;A\a\]\w \$ \[\e]133;B\a\]'",))
def titled(person: Person) -> None:
    """OSC 0 and OSC 133."""
    lines(person)


@script("bash", "marks that are not marked", setup=(r"PS1='\e[31m\w\e[0m\$ '",))
def unmarked(person: Person) -> None:
    """Without \\[ and \\] bash counts colours as letters: it is wrong of the column, and wraps early."""
    person.line("echo one two")
    person.keys("ls -d /x", BACKSPACE, RETURN, line="ls -d /", execs=["ls"])
    person.line("echo " + "long " * 20)


@script("bash", "a right prompt", setup=(r"PS1='\[\e7\e[60C12:00\e8\]\w \$ '",))
def right(person: Person) -> None:
    """Painted with a saved cursor."""
    lines(person)


@script("bash", "a clock in the prompt", setup=(r"PS1='\t \# \! \$ '",))
def clock(person: Person) -> None:
    """It is another one each time."""
    lines(person)


@script("bash", "a wide prompt", setup=(r"PS1='→ 日本 \w » '",), prompt="» ")
def wide(person: Person) -> None:
    """Letters of two columns, and no $."""
    lines(person)


@script("bash", "other further prompts", setup=(r"PS2='... '",), prompt=r"[#$] |^\.\.\. ")
def ps2(person: Person) -> None:
    """PS2 is somebody's own."""
    person.line("for i in 1; do")
    person.keys("ls -d /", RETURN, line="ls -d /", continues=True, execs=["ls"])
    person.keys("done", RETURN, line="done", continues=True)
    person.line("echo own")


@script("bash", "a line that goes on", history=False)
def goes_on(person: Person) -> None:
    """Behind a backslash; the history has it as one line."""
    person.line("echo one \\")
    person.keys("two", RETURN, line="two", continues=True)
    person.line("ls \\", execs=["ls"])
    person.keys("-d \\", RETURN, line="-d \\", continues=True)
    person.keys("/", RETURN, line="/", continues=True)
    person.line("echo own")
