"""zsh and fish, whose editors paint more than was typed: suggestions, right prompts, menus, lines of several rows."""

from __future__ import annotations

from tests.fidelity.person import (
    BACKSPACE,
    CTRL,
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
    Person,
    script,
)

ALT_RIGHT = b"\x1b[1;3C"


@script(
    "zsh", "a right prompt that goes away when a line gets long", columns=50, setup=("RPROMPT='%F{red}<%~ $ ls%f'",)
)
def right_prompt(p: Person) -> None:
    p.line("cd /usr/share")
    p.cwd = "/usr/share"
    p.line("echo short")
    p.line("echo a line that gets so long that the right side is needed by it")
    p.keys(UP, BACKSPACE * 45, RETURN, line="echo a line that get")
    p.keys("echo x", CTRL["a"], "true ", CTRL["e"], "y" * 30, BACKSPACE * 30, RETURN, line="true echo x")


@script(
    "zsh",
    "a menu of completions, walked through and given up",
    setup=("autoload -Uz compinit; compinit -u", "zstyle ':completion:*' menu select"),
)
def menu(p: Person) -> None:
    p.line("mkdir m; cd m; touch apple.c apricot.c avocado.c banana.h", execs=["mkdir", "touch"])
    p.cwd += "/m"
    p.keys("ls a", TAB, TAB, TAB, RETURN, RETURN, line="ls apricot.c", execs=["ls"])
    p.press("cat a", TAB)
    p.wait("avocado")  # ctrl-c would end the completion alone, while that is at work
    p.keys(TAB, CTRL["g"], CTRL["c"], line=None)
    p.keys("echo ban", TAB, "; echo ap", TAB, TAB, DOWN, CTRL["g"], CTRL["u"], "true", RETURN, line="true")
    p.keys("ls -d ban", TAB, RETURN, line="ls -d banana.h", execs=["ls"])


@script("zsh", "functions, loops and quotes over several lines, and back from the history as one")
def several(p: Person) -> None:
    p.keys("for i in a b", RETURN, line="for i in a b", until="for> ")
    p.keys("do echo $i", RETURN, line="do echo $i", continues=True, until="for> ")
    p.keys("done", RETURN, line="done", continues=True)
    p.keys(UP, RETURN, line="for i in a b\ndo echo $i\ndone")
    p.keys("echo 'two", RETURN, line="echo 'two", until="quote> ")
    p.keys("rows'", RETURN, line="rows'", continues=True)
    p.keys(UP, BACKSPACE, " and more'", RETURN, line="echo 'two\nrows and more'")
    p.keys(UP, UP, UP, DOWN, CTRL["a"], CTRL["a"], "true ", RETURN, line="true echo 'two\nrows and more'")
    p.keys("if true", RETURN, line="if true", until="if> ")
    p.keys("then x", CTRL["c"], line=None)
    p.keys("one", ESCAPE + RETURN, "echo two", CTRL["a"], LEFT, BACKSPACE * 3, ":", RETURN, line=":\necho two")


@script("zsh", "undo, transposition, push-line, and a kill ring", setup=("bindkey -e",))
def zle(p: Person) -> None:
    p.keys("echo one", CTRL["w"], "two", b"\x1f", b"\x1f", b"\x1f", b"\x1f", RETURN, line="echo one")
    p.keys("echo later", ESCAPE + b"q", "echo now", RETURN, line="echo now", until="later")
    p.keys(" on", RETURN, line="echo later on")
    p.keys("ab cd", ESCAPE + b"t", CTRL["a"], "echo ", RETURN, line="echo cd ab")
    p.keys("echo x", CTRL["u"], "echo y", CTRL["u"], CTRL["y"], ESCAPE + b"y", RETURN, line="echo x")
    p.keys("echo quoted words", ESCAPE + b"'", CTRL["a"], "echo ", RETURN, line="echo 'echo quoted words'")
    p.keys("echo v", ESCAPE + b"3", "z", RETURN, line="echo vzzz")


@script("zsh", "vi mode with counts", setup=("bindkey -v", "KEYTIMEOUT=1"))
def zsh_vi(p: Person) -> None:
    p.keys(
        "echo one two three", ESCAPE, "0", "2w", "i", "X", ESCAPE, "A", " four", RETURN, line="echo one Xtwo three four"
    )
    p.keys("echo a b c d", ESCAPE, "3h", "2x", "u", "$", "3X", RETURN, line="echo a bd")
    p.keys(ESCAPE, "2k", "cc", "echo changed", RETURN, line="echo changed")
    p.keys("echo long", ESCAPE, "byw", "$", "a", " ", ESCAPE, "p", RETURN, line="echo long long")


@script(
    "zsh",
    "suffix and global aliases, autocd, =(…), corrections",
    setup=("setopt autocd correct", "alias -g L='| wc -l'"),
)
def zsh_names(p: Person) -> None:
    p.line("/tmp")
    p.cwd = "/tmp"
    p.line("seq 3 L", execs=["seq", "wc"])
    p.line("cat =(uname)", execs=["uname", "cat"])
    p.line("print -r -- **/no(N) {1..3}")
    p.line("unaem -m", until="\\?")
    p.keys("n", line=None)
    p.line("ls -d /(etc|tmp) | while read x; do id -u; done", execs=["ls", "id", "id"])
    p.line("echo $(date +%Y) > year; < year cat", execs=["date", "cat"])
    p.line("(uname; ls -d .) &; wait", execs=["uname", "ls"])
    p.line("=ls -d / ; echo =ls", execs=["ls"])


@script("zsh", "no line end in the output, wide characters and a window of 24 columns", columns=24)
def zsh_narrow(p: Person) -> None:
    p.line("printf 'no line end'")
    p.line("echo 漢字漢字漢字漢字漢字漢字")
    p.keys(
        "echo abc defg hij klmn", CTRL["a"], RIGHT * 5, "字", CTRL["e"], "ü", RETURN, line="echo 字abc defg hij klmnü"
    )
    p.keys(UP, UP, CTRL["a"], RIGHT * 7, BACKSPACE, "x", RETURN, line="echo 漢x漢字漢字漢字漢字漢字")
    p.press("echo to be")
    p.resize(24, 18)
    p.keys(" or not to be", RETURN, line="echo to be or not to be")
    p.resize(24, 80)
    p.line("echo wide again")


@script(
    "zsh",
    "incremental search, history by beginning, a paste of lines",
    setup=("bindkey '^[p' history-beginning-search-backward",),
)
def zsh_history(p: Person) -> None:
    p.line("echo alpha beta")
    p.line("true alpha")
    p.line("echo gamma")
    p.keys(CTRL["r"], "alp", CTRL["r"], RETURN, line="echo alpha beta")
    p.keys("true", ESCAPE + b"p", " again", RETURN, line="true again alpha")
    p.keys(CTRL["r"], "gam", CTRL["e"], " ray", RETURN, line="echo gamma ray")
    p.keys(CTRL["r"], "zzz", CTRL["g"], "echo none", RETURN, line="echo none")
    p.keys(PASTE + b"echo p1\necho p2" + PASTED, " p3", RETURN, line="echo p1\necho p2 p3")
    p.keys("echo ", ESCAPE + b".", RETURN, line="echo p3")
    p.line("!echo:s/p3/p4")


@script("fish", "suggestions are there, and taken only now and then", history=False)
def suggestions(p: Person) -> None:
    p.line("echo suggested words that are many")
    p.keys("ec", RETURN, line="ec")
    p.keys("echo sugg", RIGHT, RETURN, line="echo suggested words that are many")
    p.keys("echo sugg", ALT_RIGHT, RETURN, line="echo suggested")
    p.keys(
        "echo suggested words that", CTRL["e"], BACKSPACE * 4, "few", RETURN, line="echo suggested words that are few"
    )
    p.keys("echo s", RETURN, line="echo s")
    p.keys("echo suggested w", CTRL["c"], line=None)
    p.keys("echo x", UP, RETURN, line="echo x")


@script(
    "fish",
    "blocks of several lines are one, with the prompt that fish comes with",
    columns=60,
    setup=("functions -e fish_prompt",),
    prompt="[>#] ",
)
def blocks(p: Person) -> None:
    p.keys(
        "for i in 1 2",
        RETURN,
        "uname",
        RETURN,
        "end",
        RETURN,
        line="for i in 1 2\nuname\nend",
        execs=["uname", "uname"],
    )
    p.keys("function f", RETURN, "echo in f $argv", RETURN, "end", RETURN, line="function f\necho in f $argv\nend")
    p.line("f a b")
    p.keys(
        UP,
        UP,
        UP,
        BACKSPACE * 3,
        "end | sort",
        RETURN,
        line="for i in 1 2\nuname\nend | sort",
        execs=["uname", "uname", "sort"],
    )
    p.keys("echo 'a", RETURN, "b'", RETURN, line="echo 'a\nb'")
    p.keys("begin", RETURN, "echo 1", CTRL["c"], line=None)
    p.keys("echo one", ESCAPE + RETURN, "echo two", RETURN, line="echo one\necho two")


@script("fish", "the pager of completions, filtered and left")
def pager(p: Person) -> None:
    p.line("mkdir f; cd f; touch one.a one.b one.c two.d", execs=["mkdir", "touch"])
    p.cwd += "/f"
    p.keys("cat one", TAB, TAB, TAB, RETURN, RETURN, line="cat one.b", execs=["cat"])
    p.keys("cat one", TAB, TAB, ESCAPE, CTRL["u"], "true", RETURN, line="true", execs=[])
    p.keys("command ls tw", TAB, RETURN, line="command ls two.d", execs=["ls"])
    p.keys("ls on", TAB, CTRL["c"], line=None)


@script("fish", "abbreviations, and (…), and jobs", setup=("abbr -a gx 'echo expanded to'",))
def fish_names(p: Person) -> None:
    p.line("cd /tmp")
    p.cwd = "/tmp"
    p.keys("gx", " ", "this", RETURN, line="echo expanded to this")
    p.line("set x (uname -s); and echo $x", execs=["uname"])
    p.line("command ls -d / | command cat; or id", execs=["ls", "cat"])
    p.line("env true; not env false; echo $status", execs=["env", "true", "env", "false"])
    p.line("sleep 0.2 & ; wait", execs=["sleep"])
    p.line("/usr")
    p.cwd = "/usr"
    p.line("pwd")


@script(
    "fish",
    "wide characters, an edit in the middle, narrow window, undo and words",
    columns=30,
    setup=("function fish_right_prompt; echo '<right'; end"),
)
def fish_narrow(p: Person) -> None:
    p.keys(
        "echo 漢字 and some more text here",
        HOME,
        RIGHT * 5,
        "é",
        END,
        "!",
        RETURN,
        line="echo é漢字 and some more text here!",
    )
    p.keys(UP, ESCAPE + b"b", CTRL["k"], "there", RETURN, line="echo é漢字 and some more text there")
    p.keys("echo abc", CTRL["w"], CTRL["z"], RETURN, line="echo abc")
    p.keys(PASTE + b"echo pasted\necho twice" + PASTED, RETURN, line="echo pasted\necho twice")
    p.keys("echo a b", LEFT * 2, CTRL["t"], RETURN, line="echo  ab")
    p.keys(CTRL["r"], "pas", RETURN, RETURN, line="echo pasted\necho twice")


@script("fish", "fish in vi mode", setup=("fish_vi_key_bindings", "function fish_mode_prompt; end"))
def fish_vi(p: Person) -> None:
    p.keys("echo one two", ESCAPE, "0", "w", "i", "X", ESCAPE, "0", "x", "i", "e", RETURN, line="echo Xone two")
    p.keys("echo three", ESCAPE, "dd", "itrue", RETURN, line="true")
    p.keys(ESCAPE, "k", "k", "A", "s", RETURN, line="echo Xone twos")
