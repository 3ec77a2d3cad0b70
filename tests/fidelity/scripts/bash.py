"""Bash: how a line comes about."""

from __future__ import annotations

from tests.fidelity.person import (
    BACKSPACE,
    CTRL,
    DELETE,
    DOWN,
    END,
    ESCAPE,
    HOME,
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
    person.keys("cho five", HOME, "e", END, ".", RETURN, line="echo five.")
    person.keys("echo six seven", CTRL["a"], RIGHT, RIGHT, RIGHT, RIGHT, CTRL["k"], " 8", RETURN, line="echo 8")
    person.keys("echo", " nine", CTRL["b"], CTRL["d"], "E", RETURN, line="echo ninE")
    person.keys("echo tne", LEFT, CTRL["t"], RETURN, line="echo ten")


@script("bash", "moving by words")
def words(person: Person) -> None:
    """Alt and control with arrows and letters; transpose, undo, delete."""
    person.keys("echo alpha beta gamma", ESCAPE + b"b", ESCAPE + b"b", ESCAPE + b"d", RETURN, line="echo alpha  gamma")
    person.keys("echo lower", ESCAPE + b"b", ESCAPE + b"u", RETURN, line="echo LOWER")
    person.keys("echo xabc", HOME, RIGHT, RIGHT, RIGHT, RIGHT, RIGHT, DELETE, RETURN, line="echo abc")
    person.keys("echo 1 2 3", b"\x1b[1;5D", b"\x1b[1;5D", "9", RETURN, line="echo 1 92 3")
    person.keys("a b c d e f g", CTRL["u"], "echo ", CTRL["y"], RETURN, line="echo a b c d e f g")


@script("bash", "history")
def history(person: Person) -> None:
    """Arrows and ctrl-r."""
    person.line("echo first")
    person.line("echo second and a longer one")
    person.keys(UP, RETURN, line="echo second and a longer one")
    person.keys(UP, UP, UP, " again", RETURN, line="echo first again")
    person.keys(CTRL["r"], "sec", RETURN, line="echo second and a longer one")
    person.keys(CTRL["r"], "first", CTRL["r"], END, " more", RETURN, line="echo first more")
    person.keys(CTRL["r"], "nowhere", CTRL["g"], "echo left it", RETURN, line="echo left it")
    person.keys("echo half", UP, UP, DOWN, DOWN, " done", RETURN, line="echo half done")
    person.keys(CTRL["p"], CTRL["p"], CTRL["n"], RETURN, line="echo half done")
    person.keys("echo ", ESCAPE + b".", RETURN, line="echo done")


@script("bash", "completion")
def completion(person: Person) -> None:
    """Unique, and with a list."""
    person.line("touch unique-name alpha-1 alpha-2", execs=["touch"])
    person.keys("ls un", TAB, RETURN, line="ls unique-name ", execs=["ls"])
    person.keys("ls al", TAB, TAB, TAB, "2", RETURN, line="ls alpha-2", execs=["ls"])
    person.keys("ls -d alpha", TAB, TAB, BACKSPACE, "*", RETURN, line="ls -d alpha*", execs=["ls"])


@script("bash", "a paste in brackets")
def paste(person: Person) -> None:
    """One line, and several at once."""
    person.keys(PASTE + b"echo pasted" + PASTED, RETURN, line="echo pasted")
    person.keys("echo ", PASTE + b"in the middle" + PASTED, " end", RETURN, line="echo in the middle end")
    person.keys(PASTE + b"echo a\recho b\rls -d /" + PASTED, RETURN, line="echo a\necho b\nls -d /", execs=["ls"])
    person.keys(PASTE + b"for i in 1 2; do\r  echo $i\rdone" + PASTED, RETURN, line="for i in 1 2; do\n  echo $i\ndone")


@script("bash", "a paste without brackets", setup=("bind 'set enable-bracketed-paste off'",))
def unbracketed(person: Person) -> None:
    """Each of its lines is one."""
    person.say(*(Line(f"echo pasted {at}", person.cwd, person.user) for at in range(5)))
    person.press("".join(f"echo pasted {at}\r" for at in range(5)))
    person.say(Line("ls -d /", person.cwd, person.user, ("ls",)), Line("echo last", person.cwd, person.user))
    person.press("ls -d /\recho last\r")
    person.line("echo own")


@script("bash", "nothing is given")
def nothing(person: Person) -> None:
    """Empty lines and ctrl-c."""
    person.keys(RETURN, line=None)
    person.keys("echo dropped", CTRL["c"], line=None)
    person.keys(RETURN, line=None)
    person.keys(RETURN, line=None)
    person.keys("   ", CTRL["c"], line=None)
    person.line("echo kept")
    person.keys("echo x", UP, CTRL["c"], line=None)
    person.line("echo kept again")


@script("bash", "further lines")
def further(person: Person) -> None:
    """PS2, in quotes, and a here-document."""
    person.line("for i in 1 2; do")
    person.keys("echo $i", RETURN, line="echo $i", continues=True)
    person.keys("done", RETURN, line="done", continues=True)
    person.line("cat <<END", execs=["cat"])
    person.keys("text", RETURN, line="text", continues=True)
    person.keys(RETURN, line=None)
    person.keys("more $HOME", RETURN, line="more $HOME", continues=True)
    person.keys("END", RETURN, line="END", continues=True)
    person.line("echo 'open")
    person.keys("closed'", RETURN, line="closed'", continues=True)
    person.line("if true; then")
    person.keys("echo dropped", CTRL["c"], line=None)
    person.line("echo after")


@script("bash", "typed ahead")
def ahead(person: Person) -> None:
    """While a program runs."""
    person.say(Line("sleep 0.3", person.cwd, person.user, ("sleep",)), Line("echo ahead", person.cwd, person.user))
    person.press("sleep 0.3\recho ahead\r")
    person.wait("ahead\n.*[$#] ")
    person.line("sleep 0.5", execs=["sleep"], until="\n")
    person.keys("ls -d /\r", line="ls -d /", execs=["ls"])


@script("bash", "beyond ASCII")
def unicode(person: Person) -> None:
    """UTF-8: wide letters, combining marks, and editing among them."""
    person.line("echo äöüß €")
    person.line("echo 日本語 中文")
    person.line("echo e\u0301a\u0308")
    person.keys("echo 日本", LEFT, "x", RETURN, line="echo 日x本")
    person.keys("echo äö", BACKSPACE, "ü", RETURN, line="echo äü")
    person.keys("echo 🐧 ok", LEFT, LEFT, LEFT, BACKSPACE, "🐢", RETURN, line="echo 🐢 ok")


@script("bash", "longer than a row", columns=40)
def wrap(person: Person) -> None:
    """Lines that reach the edge, exactly and beyond, and are edited there."""
    long = "echo " + " ".join(f"word{at}" for at in range(20))
    person.line(long)
    person.keys(long, HOME, RIGHT, RIGHT, RIGHT, RIGHT, " start", RETURN, line=long.replace("echo", "echo start"))
    for width in (37, 38, 39, 40, 41, 42):
        text = ("echo " + "x" * 60)[: width - len("root:~# ")]
        person.line(text)
    person.keys(long, *[BACKSPACE] * 30, RETURN, line=long[:-30])
    person.keys(UP, UP, " end", RETURN, line=f"{text} end")
    person.line("echo " + "日本" * 20)


@script("bash", "another size in mid-line")
def resize(person: Person) -> None:
    """Wider, narrower than the line, and back."""
    person.press("echo one two")
    person.resize(24, 60)
    person.keys(" three", RETURN, line="echo one two three")
    person.press("echo a longer line that is typed at sixty columns")
    person.resize(30, 30)
    person.keys(" and more", RETURN, line="echo a longer line that is typed at sixty columns and more")
    person.press("echo short")
    person.resize(24, 100)
    person.keys(" x", BACKSPACE, "y", RETURN, line="echo short y")
    person.line("echo " + "z" * 90)


@script("bash", "vi mode", setup=("set -o vi",))
def vi(person: Person) -> None:
    """Insert and command mode."""
    person.keys("echo onw", ESCAPE, "re", RETURN, line="echo one")
    person.keys("echo two three", ESCAPE, "bd$", "a", "2", RETURN, line="echo two 2")
    person.keys("cho", ESCAPE, "0", "i", "e", ESCAPE, "A", " four", RETURN, line="echo four")
    person.keys(ESCAPE, "k", "k", "A", " again", RETURN, line="echo two 2 again")
    person.keys(ESCAPE, "/four", RETURN, RETURN, line="echo four")
    person.keys("echo x y", ESCAPE, "b", "x", "u", RETURN, line="echo x y")


@script("bash", "a clear screen")
def clear(person: Person) -> None:
    """Clear, and ctrl-l in mid-line."""
    person.line("clear", execs=["clear"])
    person.keys("echo top", CTRL["l"], " of it", RETURN, line="echo top of it")
    person.line("echo here")


@script("bash", "quoting what comes next")
def quoted(person: Person) -> None:
    """ctrl-v, a tab in a line, an editor that is called."""
    person.keys("echo a", CTRL["v"], TAB, "b", RETURN, line="echo a\tb")
    person.keys("echo one", CTRL["x"] + CTRL["u"], "echo two", RETURN, line="echo two")
    person.keys("# a remark", RETURN, line="# a remark")
    person.keys("echo stays", ESCAPE + b"#", line="#echo stays")
