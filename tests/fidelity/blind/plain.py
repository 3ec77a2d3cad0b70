"""dash, which leaves the line to the terminal, and busybox's ash, with an editor of its own."""

from __future__ import annotations

from tests.fidelity.person import (
    BACKSPACE,
    CTRL,
    DELETE,
    DOWN,
    END,
    HOME,
    LEFT,
    RETURN,
    RIGHT,
    TAB,
    UP,
    Line,
    Person,
    script,
)


@script("dash", "the terminal's own keys: backspace, ctrl-u, ctrl-w, ctrl-v and an escape sequence that stays in")
def kernel_keys(p: Person) -> None:
    p.keys("echo abcd", BACKSPACE * 2, "z", RETURN, line="echo abz")
    p.keys("rm -rf /", CTRL["u"], "echo two words", CTRL["w"], "more", RETURN, line="echo two more")
    p.keys("echo lit", CTRL["v"], CTRL["u"], "x", RETURN, line="echo lit\x15x")
    p.keys("echo given up", CTRL["c"], line=None)
    p.keys("echo redrawn", CTRL["r"], " line", RETURN, line="echo redrawn line")
    p.line("stty iutf8", execs=["stty"])
    p.keys("echo é漢", BACKSPACE, "e", RETURN, line="echo ée")
    p.keys("echo\ttab", RETURN, line="echo\ttab")
    p.keys(RETURN, line=None)
    p.keys("echo sto", CTRL["s"], "pped", CTRL["q"], RETURN, line="echo stopped")


@script("dash", "lines that go on, here-documents, and one that is sent in two parts by ctrl-d")
def dash_further(p: Person) -> None:
    p.keys("for i in 1 2", RETURN, line="for i in 1 2", execs=["uname", "uname"], until="> ")
    p.keys("do uname", RETURN, line="do uname", continues=True, until="> ")
    p.keys("done", RETURN, line="done", continues=True)
    p.keys("cat << EOF", RETURN, line="cat << EOF", execs=["cat"], until="> ")
    p.keys("  EOF ", RETURN, line="  EOF ", continues=True, until="> ")
    p.keys("EOF", RETURN, line="EOF", continues=True)
    p.press("echo in two ", CTRL["d"])
    p.keys("parts", RETURN, line="echo in two parts")
    p.keys("echo 'a", RETURN, line="echo 'a", until="> ")
    p.keys("$ b'", RETURN, line="$ b'", continues=True)
    p.keys("x() {", RETURN, line="x() {", until="> ")
    p.keys("nope", CTRL["c"], line=None)
    p.line("echo out")


@script("dash", "pipelines, jobs and readers", alone=True)
def dash_starts(p: Person) -> None:
    p.line("mkdir d; cd d", execs=["mkdir"])
    p.cwd += "/d"
    p.line("ls -d /etc | cat; (cd /; ls -d tmp) && id -u || date", execs=["ls", "cat", "ls", "id"])
    p.line('read x; echo "[$x]"', until="\n")
    p.keys("an answer", RETURN, line="an answer", role="input")
    p.line("nohup sleep 0.2 >/dev/null 2>&1 & wait; uname", execs=["nohup", "sleep", "uname"])
    p.line("cat > f", execs=["cat"], until="\n")
    p.keys("# ls", RETURN, line="# ls", role="input", until="\n")
    p.keys("la", BACKSPACE, "ast", RETURN, line="last", role="input", until="\n")
    p.keys(CTRL["d"], line=None)
    p.line("set -m; sleep 20 & kill %1", execs=["sleep"])
    p.line("exec 2>&1; sh -c 'ls -d .'", execs=["sh", "ls"])


@script("dash", "a paste of many lines at once")
def dash_paste(p: Person) -> None:
    here = p.cwd
    p.say(*[Line(f"echo line {number} $(expr {number} + 1)", here, p.user, ("expr",)) for number in range(30)])
    p.press("".join(f"echo line {number} $(expr {number} + 1)\r" for number in range(30)))
    p.wait("line 29 30")
    p.line("echo last")


# Debian's busybox runs its own applets: `cat` is /proc/self/exe, `mkdir` not even that.


@script("ash", "history, edits in a wrapped line, home, end and delete", columns=30)
def ash_edit(p: Person) -> None:
    p.line("echo some words that do not fit into one row")
    p.keys(UP, LEFT * 7, BACKSPACE * 3, "a single", RETURN, line="echo some words that do not fit ina singleone row")
    p.keys(UP, UP, HOME, DELETE * 4, "true", END, "!", RETURN, line="true some words that do not fit into one row!")
    p.keys("echo", RIGHT, " x", CTRL["a"], CTRL["k"], "/usr/bin/id -u", RETURN, line="/usr/bin/id -u", execs=["id"])
    p.keys("echo gone", CTRL["w"], "here", CTRL["u"], "true", RETURN, line="true")
    p.keys("half", CTRL["c"], line=None)
    p.keys(UP, UP, DOWN, RETURN, line="true")
    p.keys("echo b", HOME, CTRL["d"] * 5, "echo a", RETURN, line="echo ab")


@script("ash", "completion: unique, with a list, of a command")
def ash_complete(p: Person) -> None:
    p.line("mkdir t; cd t")
    p.cwd += "/t"
    p.line("touch report.one report.two memo")
    p.keys("cat mem", TAB, RETURN, line="cat memo ", execs=["exe"])
    p.keys("cat rep", TAB, TAB, "t", TAB, RETURN, line="cat report.two ", execs=["exe"])
    p.keys("cat rep", TAB, TAB, CTRL["c"], line=None)
    p.keys("ls -d .", TAB, BACKSPACE, CTRL["u"], "pwd", RETURN, line="pwd")


@script("ash", "ctrl-r, which it has not, here-documents, functions and quotes")
def ash_further(p: Person) -> None:
    p.line("echo find me")
    p.line("true other")
    p.keys(CTRL["r"], "find", RETURN, line="find")
    p.keys("cat <<E", RETURN, line="cat <<E", execs=["exe"], until="> ")
    p.keys("text", LEFT, "s", RETURN, line="texst", continues=True, until="> ")
    p.keys("E", RETURN, line="E", continues=True)
    p.keys("f() {", RETURN, line="f() {", until="> ")
    p.keys("  /usr/bin/id -u", RETURN, line="  /usr/bin/id -u", continues=True, until="> ")
    p.keys("}", RETURN, line="}", continues=True)
    p.line("f; f | cat", execs=["id", "id", "exe"])
    p.keys('echo "a', RETURN, line='echo "a', until="> ")
    p.keys('b"', RETURN, line='b"', continues=True)


@script("ash", "wide characters, 20 columns and a resize", columns=20)
def ash_narrow(p: Person) -> None:
    p.line("echo 漢字漢字漢字漢字漢字漢字漢字")
    p.keys(UP, LEFT * 3, "x", BACKSPACE, "é", RETURN, line="echo 漢字漢字漢字漢字漢字漢é字漢字",
           miss="ash shows ? for wide characters, and of its history no keys tell")  # fmt: skip
    p.press("echo one two three four")
    p.resize(24, 60)
    p.keys(" five", RETURN, line="echo one two three four five")
    p.line("cd /usr/share/doc")
    p.cwd = "/usr/share/doc"
    p.line("echo in a long folder")


@script("ash", "keys that it does not know, readers, jobs and scripts")
def ash_starts(p: Person) -> None:
    p.line("mkdir s; cd s")
    p.cwd += "/s"
    p.keys("echo one two", b"\x1b[1;5D", "x", RETURN, line="echo one xtwo")
    p.line('read -r x; echo "[$x]"', until="\n")
    p.keys("an ansewr", BACKSPACE * 3, "wer", RETURN, line="an answer", role="input")
    p.line("printf '#!/bin/sh\\n/usr/bin/uname\\n' > u; chmod +x u; ./u", execs=["u", "uname"])
    p.line("/usr/bin/seq 3 | /usr/bin/sort -r & wait", execs=["seq", "sort"])
    p.line("read -s -p 'Key: ' k; echo; echo ${#k}", until="Key: ")
    p.secret(b"Quittung-4711")
    p.keys("Quittung-4711", RETURN, line=None)
    p.line("/usr/bin/env /usr/bin/id -u && cd .. || date", execs=["env", "id"])
    p.cwd = p.cwd.removesuffix("/s")
    p.line("pwd")
