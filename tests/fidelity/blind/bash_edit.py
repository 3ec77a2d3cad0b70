"""Lines that are edited in bash before they are taken, as people with other habits do."""

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

META = {letter: b"\x1b" + letter.encode() for letter in "abcdefghijklmnopqrstuvwxyzUL.*?#-0123456789<>"}
CTRL_LEFT, CTRL_RIGHT = b"\x1b[1;5D", b"\x1b[1;5C"
UNDO = b"\x1f"


@script("bash", "a wrapped line is edited in its middle, then others come from the history", columns=40)
def wrapped_middle(p: Person) -> None:
    p.line("cd /tmp")
    p.cwd = "/tmp"
    p.line("echo first of all the lines that were typed here today")
    long = "echo the quick brown fox jumps over the lazy dog and then some more of it"
    p.keys(
        *(long, LEFT * 20, "really ", CTRL["a"], RIGHT * 5, "X", RETURN),
        line="echo Xthe quick brown fox jumps over the lazy dog and really then some more of it",
    )
    p.keys(UP, UP, RETURN, line="echo first of all the lines that were typed here today")
    p.keys(
        *(UP, UP, UP, DOWN, CTRL["e"], BACKSPACE * 2, "em", HOME, DELETE * 4, "printf", END, RETURN),
        line="printf Xthe quick brown fox jumps over the lazy dog and really then some more of em",
    )
    p.line("pwd")


@script("bash", "history while a line that wraps is half typed, and back to it", columns=30)
def stash(p: Person) -> None:
    p.line("true --one")
    p.line("true --two and something that is longer than one row of this")
    p.keys(
        *("echo half of a line that goes on and on", UP, UP, UP, DOWN, DOWN, DOWN, " to its end", RETURN),
        line="echo half of a line that goes on and on to its end",
    )
    p.keys(UP, UP, CTRL["k"], CTRL["a"], CTRL["k"], "true --three", RETURN, line="true --three")
    p.keys(META["<"], RETURN, line="true --one")


@script("bash", "a completion list, given up with ctrl-c, and lists asked for in the middle of words")
def completion_given_up(p: Person) -> None:
    p.line("mkdir -p c && cd c", execs=["mkdir"])
    p.cwd += "/c"
    p.line("touch alpha.txt alphabet.txt 'al pha.log' beta.txt", execs=["touch"])
    p.keys("cat al", TAB, TAB, CTRL["c"], line=None)
    p.keys("cat alphab", TAB, RETURN, line="cat alphabet.txt ", execs=["cat"])
    p.keys("ls -l al", TAB, TAB, "\\ ", TAB, RETURN, line="ls -l al\\ pha.log ", execs=["ls"])
    p.keys("wc -c alph.txt", LEFT * 4, TAB, TAB, END, RETURN, line="wc -c alpha.txt", execs=["wc"])
    p.keys("echo b", META["*"], RETURN, line="echo beta.txt ")
    p.keys("echo be", META["?"], CTRL["u"], "echo nothing", RETURN, line="echo nothing")


@script("bash", "a completion list longer than the screen, its question answered no, then yes and q", rows=8)
def completion_query(p: Person) -> None:
    p.line("mkdir many; cd many", execs=["mkdir"])
    p.cwd += "/many"
    p.line("for i in {100..260}; do : > some-file-$i; done")
    p.press("ls so", TAB, TAB, TAB)
    p.keys("n", "200", RETURN, line="ls some-file-200", execs=["ls"])
    p.press("ls some-file-2", TAB, TAB, "q")
    p.keys("01", RETURN, line="ls some-file-201", execs=["ls"])


@script("bash", "paste, then kill, yank and yank-pop")
def paste_then_yank(p: Person) -> None:
    p.keys(PASTE + b"echo pasted words here" + PASTED, CTRL["w"], CTRL["w"], "and ", CTRL["y"], RETURN,
           line="echo pasted and words here")  # fmt: skip
    p.keys("echo one", CTRL["u"], "echo two", CTRL["u"], CTRL["y"], META["y"], RETURN, line="echo one")
    p.keys("echo a", PASTE + b" b\tc" + PASTED, CTRL["a"], CTRL["k"], CTRL["y"], CTRL["y"], RETURN,
           line="echo a b\tcecho a b\tc")  # fmt: skip
    p.keys(PASTE + b"ls /nowhere" + PASTED, LEFT * 7, META["d"], CTRL["u"], PASTE + b"true " + PASTED, RETURN,
           line="true ")  # fmt: skip


@script("bash", "words are transposed, upcased, deleted and undone")
def words(p: Person) -> None:
    p.keys("echo one two", META["t"], RETURN, line="echo two one")
    p.keys("echo ab", CTRL["t"], META["b"], META["u"], " x", RETURN, line="echo BA x")
    p.keys("echo gone", META["b"], META["d"], UNDO, END, "!", RETURN, line="echo gone!")
    p.keys("ehco typo", HOME, RIGHT * 2, CTRL["t"], CTRL["d"], CTRL["e"], RETURN, line="ech typo")
    p.keys("echo /usr/share/doc", b"\x1b\x7f", b"\x1b\x7f", "lib", RETURN, line="echo /usr/lib")
    p.keys("echo a-b-c", CTRL_LEFT, CTRL_LEFT, "Z", CTRL_RIGHT, "Y", RETURN, line="echo a-ZbY-c")
    p.keys("echo keep this", META["b"], META["c"], META["b"], META["l"], RETURN, line="echo keep this")


@script("bash", "arguments with a count, negative ones too")
def counts(p: Person) -> None:
    p.keys("echo ", META["1"] + b"2", "x", RETURN, line="echo xxxxxxxxxxxx")
    p.keys("echo abcdef", META["3"], LEFT, "|", BACKSPACE, "-", RETURN, line="echo abc-def")
    p.keys("echo 1 2 3 4", META["2"], META["b"], META["-"], META["d"], RETURN, line="echo 1 3 4")
    p.keys("echo ", META["5"], CTRL["v"] + TAB, "e", RETURN, line="echo \t\t\t\t\te",
           miss="tabs are shown as blanks, and keys with a count are not counted")  # fmt: skip


@script("bash", "ctrl-r: again, too far, edited, given up, taken at once")
def search(p: Person) -> None:
    for text in ("echo red apple", "echo green apple", "echo green pear", "true banana"):
        p.line(text)
    p.keys(CTRL["r"], "apple", CTRL["r"], RETURN, line="echo red apple")
    p.keys(CTRL["r"], "green", CTRL["a"], RIGHT * 5, "dark ", RETURN, line="echo dark green pear")
    p.keys("true kept", CTRL["r"], "banana", CTRL["g"], RETURN, line="true kept")
    p.keys(CTRL["r"], "nothing like it", CTRL["c"], line=None)
    p.keys(CTRL["r"], "pea", BACKSPACE, BACKSPACE, "ear", CTRL["f"], RETURN, line="echo dark green pear")
    p.keys(CTRL["r"], "banana", END, " split", RETURN, line="true banana split")
    p.keys(CTRL["r"], "red", CTRL["o"], line="echo red apple", until="echo dark")
    p.keys(CTRL["u"], "true end", RETURN, line="true end")


@script("bash", "ctrl-o takes one line of the history after another")
def operate(p: Person) -> None:
    p.line("true a")
    p.line("true b")
    p.line("true c")
    p.keys(UP, UP, UP, CTRL["o"], line="true a", until="true b")
    p.keys(CTRL["o"], line="true b", until="true c")
    p.keys("c", RETURN, line="true cc")


@script("bash", "the last argument comes with alt-. , again and with counts")
def last_argument(p: Person) -> None:
    p.line("mkdir -p /tmp/very/deep", execs=["mkdir"])
    p.keys("cd ", META["."], RETURN, line="cd /tmp/very/deep")
    p.cwd = "/tmp/very/deep"
    p.line("echo some thing")
    p.keys("echo ", META["."], META["."], " x", RETURN, line="echo /tmp/very/deep x")
    p.keys("ls ", META["."], BACKSPACE, ".", RETURN, line="ls .", execs=["ls"])


@script("bash", "vi mode: counts, changes, repeats, search and the hash")
def vi(p: Person) -> None:
    p.line("set -o vi")
    p.keys("echo one two three four", ESCAPE, "3b", "2dw", "A", " five", RETURN, line="echo one four five")
    p.keys("echo aaa bbb ccc", ESCAPE, "0w", "cwxxx", ESCAPE, "w", ".", RETURN, line="echo xxx xxx ccc")
    p.keys(ESCAPE, "k", "k", "0", "f4", ESCAPE, "$", "r6", "a", "7", RETURN, line="echo one four fiv67")
    p.keys("echo gone", ESCAPE, "dd", "itrue x", ESCAPE, "3x", "u", RETURN, line="true x")
    p.keys(ESCAPE, "/ccc" + "\r", "~", "$", "3~", RETURN, line="Echo xxx xxx ccC")
    p.keys("echo a b c", ESCAPE, "bD", "p", "0P", RETURN, line="b cecho a b c")
    p.keys("echo commented", ESCAPE, "#", line="#echo commented")


@script("bash", "vi mode on a line that wraps", columns=24)
def vi_wrapped(p: Person) -> None:
    p.line("set -o vi")
    p.keys(
        *(
            "echo a line that is much longer than the window",
            ESCAPE,
            "0",
            "4w",
            "i",
            "VERY ",
            ESCAPE,
            "$",
            "5X",
            "a",
            ".",
        ),
        *(ESCAPE, "^", "x", "i", "e", RETURN),
        line="echo a line that VERY is much longer than the w.",
    )
    p.keys(ESCAPE, "k", "3w", "D", RETURN, line="echo a line ")


@script(
    "bash", "the mark, overwriting, a comment, characters searched for", setup=("bind '\"\\C-xo\": overwrite-mode'",)
)
def rarer_keys(p: Person) -> None:
    p.keys("echo hello world", b"\x1d", "o", RETURN, line="echo hello world")
    p.keys(
        "echo hello world", META["b"], b"\x00", END, CTRL["x"] + CTRL["x"], "big ", RETURN, line="echo hello big world"
    )
    p.keys("echo $HOME/x ~", b"\x1b\x05", CTRL["a"], CTRL["k"], "true", RETURN, line="true")
    p.keys("echo not yet", META["#"], line="#echo not yet")
    p.keys("echo overwritten", HOME, CTRL["x"] + b"o", "true", END, RETURN, line="true overwritten")


@script("bash", "the line goes to an editor with ctrl-x ctrl-e", history=False, setup=("export EDITOR=~/.editor",
        "printf '#!/usr/bin/dash\\nsed -i s/before/after/ $1\\n' > ~/.editor; chmod +x ~/.editor"))  # fmt: skip
def editor(p: Person) -> None:
    p.keys("echo before", CTRL["x"] + CTRL["e"], line="echo after", execs=[".editor", "sed"],
           miss="the line is written in an editor, and bash shows it as output")  # fmt: skip
    p.line("echo behind")


@script("bash", "ctrl-l and ctrl-c in the middle, ctrl-d that deletes, empty lines")
def clears(p: Person) -> None:
    p.keys("echo abc", CTRL["l"], "def", LEFT * 3, CTRL["l"], "-", RETURN, line="echo abc-def")
    p.keys("rm -rf /important", CTRL["c"], line=None)
    p.keys(RETURN, line=None)
    p.keys("   ", RETURN, line=None)
    p.keys("echo xyz", LEFT * 2, CTRL["d"], CTRL["d"], RETURN, line="echo x")
    p.line("clear", execs=["clear"])
    p.keys(CTRL["c"], line=None)
    p.keys("echo a\\", CTRL["c"], line=None)
    p.line("echo done")


@script("bash", "lines recalled by ! and ^", history=False)
def expansion(p: Person) -> None:
    p.line("echo one two")
    p.line("!!")
    p.line("echo !$ three")
    p.line("^three^four")
    p.line("!ec:p")
    p.keys("echo !:1", b"\x1b^", RETURN, line="echo two")


@script("bash", "a window of 20 columns and a long prompt", columns=20, setup=("PS1='\\u@some-box:\\w\\$ '",))
def narrow(p: Person) -> None:
    p.line("cd /usr/share/doc")
    p.cwd = "/usr/share/doc"
    p.line("echo this wraps several times in so little room")
    p.keys("echo abcdefghij", HOME, RIGHT * 5, "0123456789", END, "k", RETURN, line="echo 0123456789abcdefghijk")
    p.keys(UP, HOME, META["d"], "true", RETURN, line="true 0123456789abcdefghijk")
    p.keys(UP, UP, CTRL["w"], BACKSPACE * 3, RETURN, line="ec")
    p.keys("true ends at the edge", BACKSPACE * 12, "x" * 40, BACKSPACE * 38, RETURN, line="true endsxx")


@script("bash", "wide and combining characters at the edge", columns=20, setup=("PS1='$ '",))
def wide_edge(p: Person) -> None:
    p.line("echo 漢字漢字漢字漢字漢字")
    p.line("echo x漢字漢字漢字漢字漢字")
    p.keys("echo 1234567890ab", "漢", "字", LEFT, BACKSPACE, "語", RETURN, line="echo 1234567890ab語字")
    p.line("echo e\u0301te\u0301 nai\u0308ve")
    p.keys("echo caf", "é", " 🎉🎉 ", "où", BACKSPACE, BACKSPACE, "x", RETURN, line="echo café 🎉🎉 x")
    p.keys(UP, UP, UP, HOME, RIGHT * 5, "漢", RETURN, line="echo 漢1234567890ab語字")


@script("bash", "a resize between two keys of a line that wraps", columns=60)
def resized(p: Person) -> None:
    p.press("echo a line that is about to be squeezed in")
    p.resize(24, 30)
    p.keys(
        " the middle of it", LEFT * 6, "X", RETURN, line="echo a line that is about to be squeezed in the middleX of it"
    )
    p.press("echo another one that now gets more room than it")
    p.resize(30, 100)
    p.keys(" had", HOME, DELETE * 4, "true", RETURN, line="true another one that now gets more room than it had")
    p.resize(24, 80)
    p.line("echo calm")


@script("bash", "typed ahead while a program runs")
def ahead(p: Person) -> None:
    p.say(Line("sleep 0.6", p.cwd, p.user, ("sleep",)), Line("echo ahead $((40+2))", p.cwd, p.user))
    p.press("sleep 0.6\r", "echo ahead $((40+2))")
    p.press(RETURN)
    p.wait("ahead 42")
    p.say(Line("sleep 0.5; echo a", p.cwd, p.user, ("sleep",)), Line("echo rest $((6*7))", p.cwd, p.user))
    p.press("sleep 0.5; echo a\r")
    p.press("ecHo", BACKSPACE * 2, "ho re", BACKSPACE, "est $((6*7))", RETURN)
    p.wait("rest 42")
    p.line("echo quiet")
