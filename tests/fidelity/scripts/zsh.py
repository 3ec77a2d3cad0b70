"""Zsh."""

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

COMPLETION = ("autoload -U compinit", "compinit -u -d $HOME/.zcompdump")


@script("zsh", "plain lines")
def plain(person: Person) -> None:
    """A program, a builtin, a pipeline, an alias, a function."""
    person.line("echo one two")
    person.line("ls /", execs=["ls"])
    person.line("seq 3 | sort -r | head -1", execs=["seq", "sort", "head"])
    person.line("cd /usr")
    person.cwd = "/usr"
    person.line("pwd")
    person.line("alias d='ls -d'")
    person.line("d .", execs=["ls"])
    person.line("both() { ls -d /; date; }")
    person.line("both", execs=["ls", "date"])
    person.line("(sleep 0.6; date) & true", execs=["sleep", "date"])
    person.line("wait; id", execs=["id"])


@script("zsh", "typing and deleting")
def deleting(person: Person) -> None:
    """Backspace, kill and yank, line ends, words."""
    person.keys("echo onf", BACKSPACE, "e", RETURN, line="echo one")
    person.keys("rm -rf /x", CTRL["u"], "echo two", RETURN, line="echo two")
    person.keys("three", CTRL["a"], "echo ", RETURN, line="echo three")
    person.keys("echo a b c", CTRL["w"], CTRL["w"], "d", CTRL["y"], RETURN, line="echo a db c")
    person.keys("echo fuxr", LEFT, LEFT, BACKSPACE, "o", RETURN, line="echo foxr")
    person.keys("cho five", CTRL["a"], "e", CTRL["e"], ".", RETURN, line="echo five.")
    person.keys("echo six seven", CTRL["a"], RIGHT, RIGHT, RIGHT, RIGHT, CTRL["k"], " 8", RETURN, line="echo 8")
    person.keys("echo alpha beta", ESCAPE + b"b", ESCAPE + b"u", RETURN, line="echo alpha BETA")


@script("zsh", "history")
def history(person: Person) -> None:
    """Arrows and ctrl-r."""
    person.line("echo first")
    person.line("echo second and a longer one")
    person.keys(UP, RETURN, line="echo second and a longer one")
    person.keys(UP, UP, UP, " again", RETURN, line="echo first again")
    person.keys(CTRL["r"], "first", RETURN, line="echo first again")
    person.keys(CTRL["r"], "second", CTRL["r"], RETURN, line="echo second and a longer one")


@script("zsh", "completion", setup=COMPLETION)
def completion(person: Person) -> None:
    """Unique, with a list, and with a menu."""
    person.line("touch unique-name alpha-1 alpha-2", execs=["touch"])
    person.keys("ls un", TAB, RETURN, line="ls unique-name ", execs=["ls"])
    person.keys("ls al", TAB, TAB, "2", RETURN, line="ls alpha-2", execs=["ls"])
    person.keys("ls -d alp", TAB, BACKSPACE, BACKSPACE, "*", RETURN, line="ls -d alph*", execs=["ls"])


@script("zsh", "pastes")
def paste(person: Person) -> None:
    """In brackets, of one line and of several."""
    person.keys(PASTE + b"echo pasted" + PASTED, RETURN, line="echo pasted")
    person.keys("echo ", PASTE + b"in the middle" + PASTED, " end", RETURN, line="echo in the middle end")
    person.keys(PASTE + b"echo a\recho b\rls -d /" + PASTED, RETURN, line="echo a\necho b\nls -d /", execs=["ls"])


@script("zsh", "a paste without brackets", setup=("unset zle_bracketed_paste",))
def unbracketed(person: Person) -> None:
    """Each of its lines is one."""
    person.say(*(Line(f"echo pasted {at}", person.cwd, person.user) for at in range(4)))
    person.press("".join(f"echo pasted {at}\r" for at in range(4)))
    person.wait("pasted 3\n.*[#$] ")
    person.line("echo own")


@script("zsh", "nothing is given")
def nothing(person: Person) -> None:
    """Empty lines and ctrl-c."""
    person.keys(RETURN, line=None)
    person.keys("echo dropped", CTRL["c"], line=None)
    person.keys(RETURN, line=None)
    person.line("echo kept")
    person.keys("echo x", UP, CTRL["c"], line=None)
    person.line("echo kept again")


@script("zsh", "further lines")
def further(person: Person) -> None:
    """PS2 and a here-document."""
    person.line("for i in 1 2; do")
    person.keys("ls -d /", RETURN, line="ls -d /", continues=True, execs=["ls", "ls"])
    person.keys("done", RETURN, line="done", continues=True)
    person.line("cat <<END", execs=["cat"])
    person.keys("text", RETURN, line="text", continues=True)
    person.keys("END", RETURN, line="END", continues=True)
    person.line("echo 'open")
    person.keys("closed'", RETURN, line="closed'", continues=True)
    person.line("echo after")


@script("zsh", "a right prompt", setup=("RPROMPT='%F{green}[%D{%H:%M}]%f'",))
def right(person: Person) -> None:
    """It is no part of the line, also where the line reaches it."""
    person.line("echo one two")
    person.line("ls -d /", execs=["ls"])
    person.keys("echo thref", BACKSPACE, "e", RETURN, line="echo three")
    person.line("echo " + "long " * 12)
    person.line("echo " + "long " * 20)
    person.keys("echo dropped", CTRL["c"], line=None)
    person.keys(UP, RETURN, line="echo " + "long " * 20)


@script("zsh", "a coloured prompt of two lines", setup=("PROMPT=$'%F{blue}%~%f at %m\\n%B%#%b '",), prompt="^[%#] ")
def two_lines(person: Person) -> None:
    """With colours."""
    person.line("echo one two")
    person.line("cd /usr")
    person.cwd = "/usr"
    person.keys("ls -d .x", BACKSPACE, RETURN, line="ls -d .", execs=["ls"])
    person.keys(UP, UP, UP, RETURN, line="echo one two")


@script("zsh", "beyond ASCII")
def unicode(person: Person) -> None:
    """UTF-8, wide letters among them."""
    person.line("echo äöüß €")
    person.line("echo 日本語 中文")
    person.keys("echo 日本", LEFT, "x", RETURN, line="echo 日x本")
    person.line("echo e\u0301x")


@script("zsh", "longer than a row", columns=40)
def wrap(person: Person) -> None:
    """Lines that reach the edge, exactly and beyond, and are edited there."""
    long = "echo " + " ".join(f"word{at}" for at in range(20))
    person.line(long)
    person.keys(long, CTRL["a"], RIGHT, RIGHT, RIGHT, RIGHT, " start", RETURN, line=long.replace("echo", "echo start"))
    for width in (38, 39, 40, 41):
        person.line(("echo " + "x" * 60)[: width - len("root:~# ")])
    person.keys(long, *[BACKSPACE] * 30, RETURN, line=long[:-30])


@script("zsh", "another size in mid-line")
def resize(person: Person) -> None:
    """Wider, and narrower than the line."""
    person.press("echo one two")
    person.resize(24, 60)
    person.keys(" three", RETURN, line="echo one two three")
    person.press("echo a longer line that is typed at sixty columns")
    person.resize(30, 30)
    person.keys(" and more", RETURN, line="echo a longer line that is typed at sixty columns and more")


@script("zsh", "vi mode", setup=("bindkey -v", "KEYTIMEOUT=1"))
def vi(person: Person) -> None:
    """Insert and command mode."""
    person.keys("echo onw", ESCAPE, "re", RETURN, line="echo one")
    person.keys("echo two three", ESCAPE, "b", "D", "a", "2", RETURN, line="echo two 2")
    person.keys(ESCAPE, "k", "k", "A", " again", RETURN, line="echo one again")


@script("zsh", "something writes in mid-line")
def noise(person: Person) -> None:
    """A job in the background is no part of the line."""
    person.line("(sleep 0.6; echo noise) &!", execs=["sleep"])
    person.press("echo he")
    person.wait("noise")
    person.keys("re", RETURN, line="echo here")


@script("zsh", "typed ahead, jobs, a clear screen")
def ahead(person: Person) -> None:
    """While a program runs; ctrl-z; clear and ctrl-l."""
    person.say(Line("sleep 0.3", person.cwd, person.user, ("sleep",)), Line("echo ahead", person.cwd, person.user))
    person.press("sleep 0.3\recho ahead\r")
    person.wait("ahead\n.*[#$] ")
    person.line("sleep 60", execs=["sleep"], until="\n")
    person.keys(CTRL["z"], line=None)
    person.line("kill %1")
    person.line("clear", execs=["clear"])
    person.keys("echo top", CTRL["l"], " of it", RETURN, line="echo top of it")


@script("zsh", "push-line and lines on two rows")
def pushed(person: Person) -> None:
    """ctrl-q puts a line aside; alt-return makes a row more."""
    person.keys("echo later", ESCAPE + b"q", "echo now", RETURN, line="echo now")
    person.keys(" and more", RETURN, line="echo later and more")
    person.keys("echo a", ESCAPE + b"\r", "echo b", RETURN, line="echo a\necho b")


HIGHLIGHT = (
    "zle -N self-insert paint",
    'paint() { zle .self-insert; region_highlight=("0 $#BUFFER fg=yellow"); }',
)


@script("zsh", "colours as it is typed, and a suggestion", setup=HIGHLIGHT)
def painted(person: Person) -> None:
    """A widget repaints the line at each key."""
    person.line("echo one two")
    person.keys("ls -d /x", BACKSPACE, RETURN, line="ls -d /", execs=["ls"])


SUGGEST = (
    "zle -N self-insert suggest",
    "suggest() { zle .self-insert; POSTDISPLAY=' --suggested rest'; }",
    "zle -N accept-line take",
    "take() { POSTDISPLAY=; zle .accept-line; }",
)


@script("zsh", "a suggestion behind the line", setup=SUGGEST)
def suggested(person: Person) -> None:
    """As zsh-autosuggestions paints it, and takes it away at Return."""
    person.line("echo one two")
    person.keys("ls -d /", RETURN, line="ls -d /", execs=["ls"])
    person.keys("echo dropped", CTRL["c"], line=None)
    person.line("echo three")


@script("zsh", "programs of a prompt", setup=("precmd() { date >/dev/null; }",))
def precmd(person: Person) -> None:
    """What precmd starts was not typed."""
    person.keys(RETURN, line=None)
    person.line("true")
    person.line("ls -d /", execs=["ls"])
    person.keys(RETURN, line=None)
    person.line("echo x")


@script("zsh", "lines for a program")
def taken(person: Person) -> None:
    """What vared, read and cat take is input."""
    person.line("read answer", until="\n")
    person.keys("yes\r", line="yes", role="input")
    person.line("cat", execs=["cat"], until="\n")
    person.keys("hello there\r", line="hello there", role="input", until="hello there\n")
    person.keys(CTRL["d"], line=None)
    person.line("echo done")


PLUGINS = (
    "source /usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh",
    "source /usr/share/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh",
)


@script("zsh", "zsh-autosuggestions and zsh-syntax-highlighting", setup=PLUGINS)
def plugins(person: Person) -> None:
    """A suggestion that is left, one that is taken, one that is taken in part; colours at each key."""
    person.line("echo first of all")
    person.line("echo second")
    person.keys("echo f", RETURN, line="echo f")
    person.keys("echo first", RIGHT, RETURN, line="echo first of all")
    person.keys("echo s", ESCAPE + b"f", " more", RETURN, line="echo second more")
    person.keys("echo f", CTRL["c"], line=None)
    person.keys("ls -d /x", BACKSPACE, RETURN, line="ls -d /", execs=["ls"])
    person.keys("echo 'quoted $HOME' && l", BACKSPACE, "true", RETURN, line="echo 'quoted $HOME' && true")


@script("zsh", "sizes again and again")
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
