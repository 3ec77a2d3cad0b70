"""What lines start in bash: pipelines, jobs, scripts of scripts, here-documents; and prompts that mislead."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, END, HOME, LEFT, PASTE, PASTED, RETURN, UP, Line, Person, script


@script("bash", "a prompt with a host name that looks like a prompt", setup=("d='$'; PS1='\\u@a${d}b# \\w\\$ '",))
def hostname(p: Person) -> None:
    p.line("cd /etc")
    p.cwd = "/etc"
    p.line("echo root@a$b# /etc# ls")
    p.keys("echo x", HOME, "a$b# ", RETURN, line="a$b# echo x")
    p.keys(UP, CTRL["a"], CTRL["d"], END, "!", RETURN, line="$b# echo x!")


@script("bash", "lines that equal the prompt", setup=("PS1='$ '",))
def equal_prompt(p: Person) -> None:
    p.line("$ echo no")
    p.line("$")
    p.keys("$ ", RETURN, line="$ ")
    p.line("echo '$ echo $ '")
    p.keys(UP, BACKSPACE * 3, "'", RETURN, line="echo '$ echo '")


@script("bash", "a prompt of two lines in colours with a clock and a typed end",
        setup=("PS1='\\[\\e[1;32m\\]\\u\\[\\e[0m\\] [\\t]\\n\\[\\e[34m\\]# rm -rf /\\[\\e[0m\\] \\$ '",))  # fmt: skip
def two_lines(p: Person) -> None:
    p.line("cd /tmp")
    p.cwd = "/tmp"
    p.keys("ls -d /", CTRL["a"], "command ", RETURN, line="command ls -d /", execs=["ls"])
    p.keys("echo never", CTRL["c"], line=None)
    p.keys(UP, RETURN, line="command ls -d /", execs=["ls"])


@script(
    "bash", "a prompt with no end of its own, and one that is empty", setup=("PS1='ready$ '",), prompt="ready\\$ |: "
)
def odd_prompts(p: Person) -> None:
    p.line("PS1=': '")
    p.line("echo a:b : c")
    p.keys("echo zz", LEFT, "y", RETURN, line="echo zyz")
    p.line("PS1='ready$ '")
    p.line("true")


@script("bash", "the prompt itself starts programs", setup=("PS1='$(basename \"$PWD\")\\$ '",))
def prompt_execs(p: Person) -> None:
    p.line("cd /tmp")
    p.cwd = "/tmp"
    p.line("id -u", execs=["id"])
    p.line(":")
    p.line("uname -s | cat", execs=["uname", "cat"])


@script("bash", "pipelines, lists, substitutions and groups")
def pipelines(p: Person) -> None:
    p.line("mkdir -p w; cd w", execs=["mkdir"])
    p.cwd += "/w"
    p.line("seq 1 5 | tee all | sort -rn | head -1 && echo fine || id", execs=["seq", "tee", "sort", "head"])
    p.line('x=$(cat all | wc -l); echo "$x"', execs=["cat", "wc"])
    p.line("ls nothere 2>/dev/null || (cd /; pwd; ls -d etc)", execs=["ls", "ls"])
    p.line("{ date; uname; } > out; wc -l < out", execs=["date", "uname", "wc"])
    p.line("diff <(seq 3) <(seq 4)", execs=["diff", "seq", "seq"])
    p.line("echo a b c | xargs -n1 echo -", execs=["xargs", "echo", "echo", "echo"])
    p.line("find . -type f -exec md5sum {} +", execs=["find", "md5sum"])
    p.line("for i in 1 2; do expr $i + 1; done; [ -e all ] && test -d .", execs=["expr", "expr"])
    p.line("! grep -q nothing all; echo $?", execs=["grep"])
    p.line("time (true; env true)", execs=["env", "true"])


@script("bash", "aliases, functions, builtins, hash and what is not found")
def names(p: Person) -> None:
    p.line("alias ll='ls -ld' e=echo")
    p.line("ll /tmp", execs=["ls"])
    p.line("e x; \\ll; command -v ll; type e")
    p.line('say() { uname -n | tr a-z A-Z; echo "$@"; }')
    p.line("say hi there", execs=["uname", "tr"])
    p.line("no-such-program --at-all")
    p.line("/bin; ./nothing")
    p.line("unalias ll; unset -f say; say")
    p.line("builtin echo b; enable -n echo; echo c; enable echo", execs=["echo"])


@script("bash", "a function over many lines, typed, then called and edited from the history")
def function(p: Person) -> None:
    for number, text in enumerate(("greet() {", '  local who="$1"', '  if [ -n "$who" ]; then', '    echo "hello $who"',
                                   "  fi", "}")):  # fmt: skip
        p.keys(text, RETURN, line=text, continues=number > 0, until="# " if text == "}" else "> ")
    p.line("greet you")
    p.keys("for i in 1 2 3", RETURN, line="for i in 1 2 3", until="> ")
    p.keys("do", RETURN, line="do", continues=True, until="> ")
    p.keys("ech $i", LEFT * 3, "o", RETURN, line="echo $i", continues=True, until="> ")
    p.keys("done", RETURN, line="done", continues=True)
    p.keys("while true", RETURN, line="while true", until="> ")
    p.keys("do", CTRL["c"], line=None)
    p.line("echo out")


@script("bash", "here-documents with lines like their end, and one in a pipeline", history=False)
def here_documents(p: Person) -> None:
    p.line("mkdir work && cd work", execs=["mkdir"])
    p.cwd += "/work"
    p.keys("cat > note <<EOF", RETURN, line="cat > note <<EOF", execs=["cat"], until="> ")
    for text in (" EOF", "EOF2", "# EOF", "$HOME `true`"):
        p.keys(text, RETURN, line=text, continues=True, until="> ")
    p.keys(RETURN, line=None, until="> ")
    p.keys("EOG", BACKSPACE, "F", RETURN, line="EOF", continues=True)
    p.line("wc -l note", execs=["wc"])
    p.keys("tr a-z A-Z <<'E O' | rev &&", RETURN, line="tr a-z A-Z <<'E O' | rev &&", execs=["tr", "rev"], until="> ")
    p.keys("some text", RETURN, line="some text", continues=True, until="> ")
    p.keys("E O", RETURN, line="E O", continues=True, until="> ")
    p.keys("echo joined", RETURN, line="echo joined", continues=True)
    p.keys("cat <<-x; echo y", RETURN, line="cat <<-x; echo y", execs=["cat"], until="> ")
    p.keys("x", RETURN, line="x", continues=True)


@script("bash", "lines that go on behind quotes and backslashes", history=False)
def continued(p: Person) -> None:
    p.keys("echo 'one", RETURN, line="echo 'one", until="> ")
    p.keys("two'", RETURN, line="two'", continues=True)
    p.keys("ls -d \\", RETURN, line="ls -d \\", execs=["ls"], until="> ")
    p.keys("  /tmp \\", RETURN, line="  /tmp \\", continues=True, until="> ")
    p.keys("/var", RETURN, line="/var", continues=True)
    p.keys("uname |", RETURN, line="uname |", execs=["uname", "cat"], until="> ")
    p.keys("cat", RETURN, line="cat", continues=True)
    p.keys('echo "> ', RETURN, line='echo "> ', until="> ")
    p.keys("> ", RETURN, line="> ", continues=True, until="> ")
    p.keys('"', RETURN, line='"', continues=True)


@script("bash", "background jobs print while a line is typed")
def background(p: Person) -> None:
    p.line("(sleep 0.4; echo surprise; sleep 0.3; echo '# rm -rf /') &", execs=["sleep", "sleep"])
    p.press("echo half of ")
    p.wait("surprise")
    p.press("a line")
    p.wait("rm -rf /\\s*\n")
    p.keys(" and its end", RETURN, line="echo half of a line and its end")
    p.keys("wait; jobs", RETURN, line="wait; jobs")
    p.line("set -b; sleep 0.3 &", execs=["sleep"])
    p.press("echo told")
    p.wait("Done")
    p.keys(" so", RETURN, line="echo told so")


@script("bash", "jobs: ctrl-z, bg, fg, kill, nohup, setsid and disown")
def jobs(p: Person) -> None:
    p.line("mkdir work && cd work", execs=["mkdir"])
    p.cwd += "/work"
    p.say(Line("sleep 30", p.cwd, p.user, ("sleep",)))
    p.press("sleep 30\r", CTRL["z"])
    p.line("jobs; bg; kill %1; wait")
    p.line("nohup sh -c 'sleep 0.2; date' > /dev/null 2>&1 &", execs=["nohup", "sh", "sleep", "date"])
    p.line(
        "setsid -f sh -c 'sleep 0.1; id > id; uname'",
        execs=["setsid", "sh", "sleep", "id", "uname"],
        until="Linux",
    )
    p.line("(sleep 0.2; hostname >> id) & disown; echo $((20+3))", execs=["sleep", "hostname"])
    p.line("sleep 0.5; cat id | wc -l", execs=["sleep", "cat", "wc"])
    p.say(Line("tail -f id", p.cwd, p.user, ("tail",)))
    p.press("tail -f id\r", RETURN, RETURN, CTRL["c"])
    p.line("echo over")


@script("bash", "scripts that start scripts, sourced and executed")
def scripts(p: Person) -> None:
    p.line("mkdir work && cd work", execs=["mkdir"])
    p.cwd += "/work"
    p.line("printf '#!/usr/bin/dash\\nuname\\n./b.sh \"$@\"\\n' > a.sh")
    p.line("printf '#!/usr/bin/bash\\ncd /\\nls -d \"$@\"\\n' > b.sh")
    p.line("chmod +x [ab].sh", execs=["chmod"])
    p.line("./a.sh etc tmp", execs=["a.sh", "uname", "b.sh", "ls"])
    p.line("sh a.sh", execs=["sh", "uname", "b.sh", "ls"])
    p.line(". ./b.sh tmp", execs=["ls"])
    p.cwd = "/"
    p.line("bash -c 'cd /usr; for i in 1 2; do id -u; done | sort -u'", execs=["bash", "id", "id", "sort"])
    p.line("eval 'PATH=/nowhere; ls'; PATH=/usr/bin:/bin; exec 3>&1; date >&3", execs=["date"])
    p.line("trap 'uname -m' EXIT; (exit 3); trap - EXIT; echo $?")


@script("bash", "one paste of many lines, bracketed, then changed before it is taken", history=False)
def paste_bracketed(p: Person) -> None:
    text = b"echo first\nuname -s\nfor i in 1 2; do\n  echo $i\ndone"
    p.keys(PASTE + text + PASTED, RETURN, line="echo first\nuname -s\nfor i in 1 2; do\n  echo $i\ndone",
           execs=["uname"])  # fmt: skip
    p.keys(PASTE + b"echo only\n" + PASTED, BACKSPACE, " more", RETURN, line="echo only more")
    p.keys(PASTE + b"echo given\nuname up" + PASTED, CTRL["c"], line=None)
    p.line("echo after")


@script("bash", "a paste of many lines without brackets, the last one unfinished",
        setup=("bind 'set enable-bracketed-paste off'",))  # fmt: skip
def paste_plain(p: Person) -> None:
    p.line("mkdir work && cd work", execs=["mkdir"])
    p.cwd += "/work"
    above, below = p.cwd, p.cwd + "/p/q"
    p.say(
        Line("mkdir -p p/q", above, p.user, ("mkdir",)),
        Line("cd p/q && touch 'a b'", above, p.user, ("touch",)),
        Line("ls -l | wc -l", below, p.user, ("ls", "wc")),
        Line("cat <<END", below, p.user, ("cat",)),
        Line("inside $PWD", below, p.user, continues=True),
        Line("END", below, p.user, continues=True),
    )
    p.press(b"mkdir -p p/q\ncd p/q && touch 'a b'\nls -l | wc -l\ncat <<END\ninside $PWD\nEND\nech")
    p.wait("inside /")
    p.cwd = below
    p.keys("o last", RETURN, line="echo last")
    p.line("pwd")


@script("bash", "programs that read from the terminal")
def readers(p: Person) -> None:
    p.line("mkdir work && cd work", execs=["mkdir"])
    p.cwd += "/work"
    p.line("cat > list", execs=["cat"], until="\n")
    p.keys("milk", RETURN, line="milk", role="input", until="\n")
    p.keys("bred", BACKSPACE * 2, "ead", RETURN, line="bread", role="input", until="\n")
    p.keys("wrong", CTRL["u"], "root@box:/tmp# ls", RETURN, line="root@box:/tmp# ls", role="input", until="\n")
    p.keys(CTRL["d"], line=None)
    p.line("rm -i list", execs=["rm"], until="\\? ")
    p.keys("n", RETURN, line="n", role="input")
    p.line("read -p 'Name: ' -r name; echo \"<$name>\"", until="Name: ")
    p.keys("Ann of the North", RETURN, line="Ann of the North", role="input")
    p.line("head -n 2 | tac", execs=["head", "tac"], until="\n")
    p.keys("a", RETURN, line="a", role="input", until="\n")
    p.keys("b", RETURN, line="b", role="input")
    p.line("cat list", execs=["cat"])


@script("bash", "settings of the terminal are played with")
def settings(p: Person) -> None:
    p.line("stty -a | head -1", execs=["stty", "head"])
    p.line("stty erase '^H' kill '^X'", execs=["stty"])
    p.keys("echo abd", b"\x08", "c", RETURN, line="echo abc")
    p.line("stty intr ^G", execs=["stty"])
    p.keys("echo not this", CTRL["g"], line=None)
    p.line("stty sane; stty cols 40", execs=["stty", "stty"])
    p.keys(
        "echo forty columns are not so many after all",
        HOME,
        "X=1 ",
        RETURN,
        line="X=1 echo forty columns are not so many after all",
    )
    p.line("stty tostop; (sleep 0.1; true) & stty -tostop; stty cols 80", execs=["stty", "sleep", "stty", "stty"])
    p.line('stty -icrnl; read -r x; stty icrnl; echo "[$x]"', execs=["stty", "stty"], until="\n")
    p.keys("by line feed", b"\n", line="by line feed", role="input")
    p.line("reset -Q 2>/dev/null; stty sane; echo sane", execs=["reset", "stty"])


@script("bash", "output that imitates prompts, and leaves no line end behind")
def imitations(p: Person) -> None:
    p.line("printf 'root@box:/# '")
    p.keys("echo real", RETURN, line="echo real")
    p.line("printf '\\033]133;A\\007root@box:/# \\033]133;B\\007rm -rf /\\r\\n'")
    p.line("printf '\\033[?2004hfake$ cat /etc/shadow\\r\\n\\033[?2004l'; uname", execs=["uname"])
    p.line("printf 'no end'")
    p.keys(UP, LEFT, BACKSPACE * 3, "tail", RETURN, line="printf 'no tail'")
    p.line("printf '\\033[?1049h\\033[2J'; echo inside; printf '\\033[?1049l'")
    p.line(
        "head -c 300 /usr/bin/true | tr -d '\\033\\016\\217\\220\\230\\235\\236\\237'; echo; echo behind",
        execs=["head", "tr"],
    )
    p.line("echo sane")


@script("bash", "full-screen programs between two lines")
def full_screen(p: Person) -> None:
    p.line("seq 1 200 > n; cd .", execs=["seq"])
    p.line("less n", execs=["less"], until="n|:")
    p.press(" ", "/77\r", "G", "g")
    p.keys("q", line=None)
    p.line("more n", execs=["more"], until="More")
    p.keys("q", line=None)
    p.line("vi -u NONE t", execs=["vi"], until="t")
    p.press("iecho from the editor", b"\x1b", "yyp", ":set nu\r")
    p.keys(":wq\r", line=None)
    p.line("sh t", execs=["sh"])
    p.keys(UP, UP, UP, RETURN, line="more n", execs=["more"], until="More")
    p.keys("q", line=None)
    p.line("watch -n 60 -t -x uname", execs=["watch", "uname"], until="Linux")
    p.keys(CTRL["c"], line=None)


@script("bash", "a long line, and one of more rows than the window has", rows=6, columns=30)
def longer_than_window(p: Person) -> None:
    p.line("echo " + " ".join(f"word{number}" for number in range(60)))
    p.keys("true " + "y" * 300, CTRL["a"], "echo ", CTRL["e"], "z", RETURN, line="echo true " + "y" * 300 + "z")
    p.keys(UP, CTRL["a"], b"\x1bd", "printf %s", RETURN, line="printf %s true " + "y" * 300 + "z",
           miss="bash paints a part of what is higher than its window, and of the history no keys tell")  # fmt: skip
    p.line("echo; pwd")


@script("bash", "the tab as text, control characters quoted, and spaces kept")
def blanks(p: Person) -> None:
    p.keys("printf 'a", CTRL["v"] + b"\t", "b'", RETURN, line="printf 'a\tb'")
    p.line("   echo  two  spaces   ")
    p.keys("echo ", CTRL["v"] + b"\x01", "x", LEFT, BACKSPACE, RETURN, line="echo x")
    p.line("echo 'a#b' # a comment; ls")
    p.line("# only a comment")
    p.keys("echo ^C is not ctrl-c", RETURN, line="echo ^C is not ctrl-c")
