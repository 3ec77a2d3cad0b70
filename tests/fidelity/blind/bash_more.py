"""More of bash: prompts that people copy from each other, traces, menus, completions that start programs, alice."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, END, HOME, LEFT, RETURN, RIGHT, TAB, UP, Line, Person, script


@script("bash", "a right prompt by saved cursors, a window title, PS0 and a PS2 of its own", columns=70, setup=(
        "PS1='\\[\\e]0;\\u@\\h: \\w\\a\\]\\[\\e7\\e[58C[\\A] #\\e8\\]\\u \\w\\$ '",
        "PS0='\\e[2m-- $((1+1)) --\\e[0m\\n'", "PS2='more# '"))  # fmt: skip
def copied(p: Person) -> None:
    p.line("echo short")
    p.line("echo a line that is long enough to run over what stands at the right")
    p.keys(
        UP, CTRL["w"], CTRL["w"], "end", RETURN, line="echo a line that is long enough to run over what stands at end"
    )
    p.keys("echo 'x", RETURN, line="echo 'x", until="more# ")
    p.keys("more# y'", RETURN, line="more# y'", continues=True)
    p.keys("ls -d / |", RETURN, line="ls -d / |", execs=["ls", "cat"], until="more# ")
    p.keys("cta", BACKSPACE * 2, "at", RETURN, line="cat", continues=True)


@script("bash", "a trace that looks like prompts, and verbose input", setup=("PS4='# '",))
def traced(p: Person) -> None:
    p.line("set -x")
    p.line("uname; echo a b", execs=["uname"])
    p.keys("for i in 1 2; do ech $i; done", LEFT * 9, "o", RETURN, line="for i in 1 2; do echo $i; done")
    p.line("set +x; set -v")
    p.line("echo twice")
    p.keys(UP, UP, RETURN, line="set +x; set -v")
    p.line("set +v")


@script("bash", "select, read -e, mapfile and python's input", history=False)
def answers(p: Person) -> None:
    p.line('select x in tea coffee; do echo "<$x>"; break; done', until=r"#\? ")
    p.keys("2", RETURN, line="2", role="input")
    p.line("mapfile -t -n 2 a; echo ${#a[@]} ${a[1]}", until="\n")
    p.keys("first", RETURN, line="first", role="input", until="\n")
    p.keys("secnd", BACKSPACE * 2, "ond", RETURN, line="second", role="input")
    p.line("python3 -c 'print(input(\"in$ \")[::-1])'", execs=["python3"], until=r"in\$ ")
    p.keys("ls -l", RETURN, line="ls -l", role="input")
    p.line("no-such-bc <<< 6*7 2>/dev/null || awk 'BEGIN { print 6 * 7 }'", execs=["awk"])
    p.line("awk '{ print \"> \" $1; exit }'", execs=["awk"], until="\n")
    p.keys("# whoami", RETURN, line="# whoami", role="input")


@script("bash", "completions that start programs, and keys bound to commands", setup=(
        '_hosts() { COMPREPLY=($(compgen -W "$(seq 100 103)" -- "$2")); }; complete -F _hosts true',
        "bind -x '\"\\C-xh\": uname'", "bind '\"\\C-xl\": \"ls -d /\\C-m\"'",
        "bind '\"\\C-xw\": \"who are you\"'"))  # fmt: skip
def bound(p: Person) -> None:
    p.keys("true 10", TAB, TAB, "2", RETURN, line="true 102")
    p.keys("echo ", CTRL["x"] + b"h", "after", RETURN, line="echo after")
    p.keys(CTRL["x"] + b"l", line="ls -d /", execs=["ls"],
           miss="the kernel tells the directory with a Return, and this line is taken by a letter")  # fmt: skip
    p.keys("echo ", CTRL["x"] + b"w", "?", RETURN, line="echo who are you?")
    p.line("id -u", execs=["id"])


@script("bash", "the screen is cleared and reset in all the ways there are", rows=8)
def wiped(p: Person) -> None:
    p.line("seq 20", execs=["seq"])
    p.line("printf '\\033c'; echo fresh")
    p.keys("echo at the to", CTRL["l"], "p", RETURN, line="echo at the top")
    p.line("printf '\\033[8;1Hbottom'")
    p.keys("echo a line at the bottom that wraps, and so the window scrolls while it is typed, twice if it is long",
           HOME, RIGHT * 5, "X", END, ".", RETURN,
           line="echo Xa line at the bottom that wraps, and so the window scrolls while it is typed, twice if it"
           " is long.")  # fmt: skip
    p.line("clear; seq 3", execs=["clear", "seq"])
    p.line("printf '\\033[3J\\033[H\\033[2J'; tput cols", execs=["tput"])
    p.keys(UP, LEFT * 4, CTRL["k"], "rows; echo $?", RETURN,
           line="printf '\\033[3J\\033[H\\033[2J'; tput rows; echo $?", execs=["tput"])  # fmt: skip
    p.line("printf '\\033[2;5r'; seq 9; printf '\\033[r'", execs=["seq"])
    p.line("echo still here")


@script("bash", "alice, who is not root, tries what she may not", user="alice")
def alice(p: Person) -> None:
    p.line("cat /etc/shadow; id -un", execs=["cat", "id"])
    p.line("cd /nowhere || cd /usr")
    p.cwd = "/usr"
    p.line("sudo id -u; ls -d /root | sudo tee /dev/null", execs=["sudo", "id", "ls", "sudo", "tee"])
    p.enter("sudo", "sudo -s", execs=["sudo", "bash"], user="root")
    p.line("id -u", execs=["id"])
    p.keys("ls /ro", TAB, BACKSPACE * 5, "tmp -d", RETURN, line="ls /tmp -d", execs=["ls"])
    p.leave("exit")
    p.line("umask 077; touch ~/mine && rm ~/mine", execs=["touch", "rm"])


@script("bash", "many short lines at once, some of them empty, one that changes the prompt")
def burst(p: Person) -> None:
    here = p.cwd
    p.say(
        Line("true 1", here, p.user),
        Line("PS1='new\\$ '", here, p.user),
        Line("true 2", here, p.user),
        Line("uname", here, p.user, ("uname",)),
        Line("cd /usr", here, p.user),
        Line("echo end $((40+2))", "/usr", p.user),
    )
    p.press("true 1\r\r\rPS1='new\\$ '\rtrue 2\runame\rcd /usr\r\recho end $((40+2))\r")
    p.wait("end 42")
    p.cwd = "/usr"
    p.keys("eho", LEFT * 2, "c", RETURN, line="echo")


@script("bash", "a line of many thousand characters, typed and pasted")
def very_long(p: Person) -> None:
    text = "echo " + " ".join(f"n{number:04}" for number in range(600))
    p.keys(text, RETURN, line=text)
    p.keys(b"\x1b[200~" + text.encode() + b" z\x1b[201~", RETURN, line=text + " z")
    p.keys("echo short", RETURN, line="echo short")
