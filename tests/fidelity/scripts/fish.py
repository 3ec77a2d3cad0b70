"""Fish."""

from __future__ import annotations

from tests.fidelity.person import (
    BACKSPACE,
    CTRL,
    ESCAPE,
    LEFT,
    PASTE,
    PASTED,
    RETURN,
    RIGHT,
    TAB,
    UP,
    Line,
    Person,
    script,
)


@script("fish", "plain lines")
def plain(person: Person) -> None:
    """A program, a builtin, a pipeline, an abbreviation's like, a function."""
    person.line("echo one two")
    person.line("stat /", execs=["stat"])
    person.line("seq 3 | sort -r | head -1", execs=["seq", "sort", "head"])
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("pwd")
    person.line("true; and stat -c %n .", execs=["stat"])
    person.line("function both; stat -c %n /; date; end")
    person.line("both", execs=["stat", "date"])
    person.line("set x 1")


@script("fish", "typing and deleting")
def deleting(person: Person) -> None:
    """Backspace, kill and yank, line ends."""
    person.keys("echo onf", BACKSPACE, "e", RETURN, line="echo one")
    person.keys("rm -rf /x", CTRL["u"], "echo two", RETURN, line="echo two")
    person.keys("three", CTRL["a"], "echo ", RETURN, line="echo three")
    person.keys("echo fuxr", LEFT, LEFT, BACKSPACE, "o", RETURN, line="echo foxr")
    person.keys("cho five", CTRL["a"], "e", CTRL["e"], ".", RETURN, line="echo five.")
    person.keys("echo a b c", CTRL["w"], CTRL["w"], "d", CTRL["y"], RETURN, line="echo a db c")


@script("fish", "history and suggestions")
def history(person: Person) -> None:
    """Arrows; a suggestion that is taken, and one that is not."""
    person.line("echo first of all")
    person.line("echo second")
    person.keys(UP, RETURN, line="echo second")
    person.keys("echo fi", RIGHT, RETURN, line="echo first of all")
    person.keys("echo f", RETURN, line="echo f")
    person.keys("echo s", CTRL["c"], line=None)
    person.keys(UP, UP, RETURN, line="echo first of all")


@script("fish", "completion")
def completion(person: Person) -> None:
    """Unique, and with a list."""
    person.line("touch unique-name alpha-1 alpha-2", execs=["touch"])
    person.keys("stat -c %n un", TAB, RETURN, line="stat -c %n unique-name ", execs=["stat"])
    person.keys("stat -c %n alp", TAB, "2", RETURN, line="stat -c %n alpha-2", execs=["stat"])


@script("fish", "pastes")
def paste(person: Person) -> None:
    """In brackets, of one line and of several."""
    person.keys(PASTE + b"echo pasted" + PASTED, RETURN, line="echo pasted")
    person.keys(PASTE + b"echo a\recho b" + PASTED, RETURN, line="echo a\necho b")
    person.say(*(Line(f"echo pasted {at}", person.cwd, person.user) for at in range(3)))
    person.press("".join(f"echo pasted {at}\r" for at in range(3)))
    person.line("echo own")


@script("fish", "nothing is given")
def nothing(person: Person) -> None:
    """Empty lines and ctrl-c."""
    person.keys(RETURN, line=None)
    person.keys("echo dropped", CTRL["c"], line=None)
    person.keys(RETURN, line=None)
    person.line("echo kept")
    person.keys(RETURN, line=None)


@script("fish", "several rows")
def rows(person: Person) -> None:
    """An open quote and a block are one line of several rows; what fish indents them with is no part of it."""
    person.press("echo 'open\r")
    person.keys("closed'", RETURN, line="echo 'open\nclosed'")
    person.press("for i in 1 2\r", "stat -c %n /\r")
    person.keys("end", RETURN, line="for i in 1 2\nstat -c %n /\nend", execs=["stat", "stat"])
    person.line("echo after")


RIGHT_PROMPT = ("function fish_right_prompt; printf '[12:00]'; end",)


@script("fish", "a right prompt", setup=RIGHT_PROMPT)
def right(person: Person) -> None:
    """It is no part of the line."""
    person.line("echo one two")
    person.line("stat -c %n /", execs=["stat"])
    person.keys("echo thref", BACKSPACE, "e", RETURN, line="echo three")
    person.line("echo " + "long " * 20)


TWO = ("function fish_prompt; printf '%s\\n> ' (set_color green)(prompt_pwd)(set_color normal); end",)


@script("fish", "a coloured prompt of two lines", setup=TWO, prompt="^> ")
def two_lines(person: Person) -> None:
    """Only its last row is before the line."""
    person.line("echo one two")
    person.line("cd /usr")
    person.cwd = "/usr"
    person.keys("stat -c %n .x", BACKSPACE, RETURN, line="stat -c %n .", execs=["stat"])


@script("fish", "beyond ASCII")
def unicode(person: Person) -> None:
    """UTF-8, wide letters among them."""
    person.line("echo äöüß €")
    person.line("echo 日本語")
    person.keys("echo 日本", LEFT, "x", RETURN, line="echo 日x本")


@script("fish", "longer than a row", columns=40)
def wrap(person: Person) -> None:
    """Lines that reach the edge and beyond, and are edited there."""
    long = "echo " + " ".join(f"word{at}" for at in range(20))
    person.line(long)
    person.keys(
        long + "x", BACKSPACE, CTRL["a"], RIGHT, RIGHT, RIGHT, RIGHT, " y", RETURN, line=long.replace("o ", "o y ", 1)
    )
    for width in (38, 39, 40, 41):
        person.line(("echo " + "x" * 60)[: width - len("fish:~> ")])


@script("fish", "another size in mid-line")
def resize(person: Person) -> None:
    """Wider, and narrower than the line."""
    person.press("echo one two")
    person.resize(24, 60)
    person.keys(" three", RETURN, line="echo one two three")
    person.press("echo a longer line that is typed at sixty columns")
    person.resize(30, 30)
    person.keys(" and more", RETURN, line="echo a longer line that is typed at sixty columns and more")


@script("fish", "something writes in mid-line; typed ahead; ctrl-z")
def meanwhile(person: Person) -> None:
    """Neither is part of a line."""
    person.line("fish -Nc 'sleep 0.6; echo noise' &", execs=["fish", "sleep"])
    person.press("echo he")
    person.wait("noise")
    person.keys("re", RETURN, line="echo here")
    person.say(Line("sleep 0.3", person.cwd, person.user, ("sleep",)), Line("echo ahead", person.cwd, person.user))
    person.press("sleep 0.3\recho ahead\r")
    person.wait("ahead\n.*> ")
    person.line("sleep 60", execs=["sleep"], until="\n")
    person.keys(CTRL["z"], line=None)
    person.line("fg", until="sleep 60")
    person.keys(CTRL["c"], line=None)


@script("fish", "vi mode", setup=("fish_vi_key_bindings",), prompt="fish:[^>]*> ")
def vi(person: Person) -> None:
    """Insert and command mode."""
    person.keys("echo onw", ESCAPE, "r", "e", "A", RETURN, line="echo one")
    person.line("stat -c %n /", execs=["stat"])


@script("fish", "programs of a prompt", setup=("function fish_prompt; printf 'fish:%s> ' (date +%S); end",))
def prompted(person: Person) -> None:
    """What a prompt starts was not typed."""
    person.keys(RETURN, line=None)
    person.line("true")
    person.line("stat -c %n /", execs=["stat"])
    person.line("echo x")


@script("fish", "lines for a program")
def taken(person: Person) -> None:
    """What read and cat take is input."""
    person.line("cat", execs=["cat"], until="\n")
    person.keys("hello there\r", line="hello there", role="input", until="hello there\n")
    person.keys(CTRL["d"], line=None)
    person.line("echo done")


@script("fish", "sizes again and again")
def sizes(person: Person) -> None:
    """A line of several rows, of which there are more and fewer while it is typed, and edited in its middle."""
    text = "echo " + " ".join(f"word{at}" for at in range(12))
    person.press(text)
    for columns in (60, 40, 33, 20, 50, 100):
        person.resize(24, columns)
    person.keys(" end", RETURN, line=text + " end")
    person.press(UP)
    person.resize(24, 45)
    person.press(CTRL["a"], RIGHT, RIGHT, RIGHT, RIGHT)
    person.resize(24, 35)
    person.keys(" begin", RETURN, line=text.replace("echo", "echo begin") + " end")
    person.resize(24, 80)
    person.line("echo own")
