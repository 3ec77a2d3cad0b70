"""Shells in shells: other users, other hosts, other terminals; and what is typed in secret on the way."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, END, HOME, LEFT, RETURN, RIGHT, TAB, UP, Person, script

HOST_KEY = "ssh-keygen -q -t ed25519 -N '' -f ~/.host; ssh-keygen -q -t ed25519 -N '' -f ~/.me"
AUTHORIZED = (
    "mkdir -p /root/.ssh; cp ~/.me.pub /root/.ssh/authorized_keys; chmod 700 /root /root/.ssh; chmod 600 /root/.ssh/*"
)
SERVER = "/usr/sbin/sshd -f /dev/null -h ~/.host -p 22 -o StrictModes=no -o PidFile=none -o UsePAM=no"
SSH = "alias s='ssh -i ~/.me -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'"


@script("bash", "shells in shells: dash, busybox, zsh, and back by ctrl-d and exit")
def shells(p: Person) -> None:
    p.line("echo in bash")
    p.enter("dash", "PS1='dash$ ' ENV= dash", execs=["dash"])
    p.line("echo in dash; uname", execs=["uname"])
    p.enter("ash", "PS1='ash$ ' ENV= /bin/busybox ash", execs=["busybox"])
    p.keys("echo in ahs", LEFT, BACKSPACE, RIGHT, "h", RETURN, line="echo in ash")
    p.line("cd /usr")
    p.cwd = "/usr"
    p.leave(CTRL["d"])
    p.line("pwd")
    p.leave("exit")
    p.keys(UP, UP, RETURN, line="echo in bash")
    p.enter("bash", "bash --norc", execs=["bash"])
    p.line("PS1='inner# '")
    p.keys("echo in the in", LEFT * 2, "third, ", END, "ner", RETURN, line="echo in the third, inner")
    p.leave("exit 3")
    p.line("echo $?")


@script("bash", "exec zsh and exec bash: another program takes the same place", history=False)
def exec_shells(p: Person) -> None:
    p.line("echo still bash")
    p.keys("exec zsh -f", RETURN, line="exec zsh -f", execs=["zsh"], until="[%#] $")
    p.line("print -P %#")
    p.keys("print one", CTRL["w"], "two", RETURN, line="print two")
    p.line("cd /usr")
    p.cwd = "/usr"
    p.keys("exec bash --norc", RETURN, line="exec bash --norc", execs=["bash"], until="[$#] $")
    p.line("pwd; uname -s", execs=["uname"])
    p.keys("exec 3<&0; (exec uname)", RETURN, line="exec 3<&0; (exec uname)", execs=["uname"])


@script("bash", "su to alice, who looks around, and back")
def su_alice(p: Person) -> None:
    p.line("cd /usr")
    p.cwd = "/usr"
    p.enter("su", "su alice", execs=["su", "bash"], user="alice")
    p.line("id -un; pwd", execs=["id"])
    p.line("cat /etc/shadow", execs=["cat"])
    p.keys("ls /ro", TAB, RETURN, line="ls /root/", execs=["ls"])
    p.leave("exit")
    p.line("id -un", execs=["id"])
    p.line("su alice -c 'id -u; cd /; pwd'", execs=["su", "bash", "id"])


@script("bash", "su -, which goes home, then sudo -i back to root, and three times exit")
def su_login(p: Person) -> None:
    p.enter("su", "su - alice", execs=["su", "bash"], user="alice", cwd="/home/alice")
    p.line("pwd; echo $0")
    p.enter("sudo", "sudo -i", execs=["sudo", "bash"], user="root", cwd="/root")
    p.line("whoami", execs=["whoami"])
    p.enter("sudo", "sudo -u alice bash", execs=["sudo", "bash"], user="alice", cwd="/root")
    p.line("whoami; sudo -n id -u", execs=["whoami", "sudo", "id"])
    p.leave(CTRL["d"])
    p.line("cd /etc")
    p.cwd = "/etc"
    p.leave("logout")
    p.line("pwd")
    p.leave("exit")
    p.line("pwd")


@script("bash", "passwords asked for by read -s, by python, by openssl, and one that is mistyped")
def secrets(p: Person) -> None:
    p.line("read -s -p 'Password: ' pw; echo; echo ${#pw}", until="Password: ")
    p.secret(b"correct-horse-93")
    p.keys("correct-horse-93", RETURN, line=None)
    p.line("read -rs a", until="\n")
    p.secret(b"Tr0ub4dor&3x")
    p.keys("Tr0ub4", BACKSPACE, "4dor&3x", RETURN, line=None)
    p.line(
        "/usr/bin/python3 -c \"import getpass; print(len(getpass.getpass('Key: ')))\"", execs=["python3"], until="Key: "
    )
    p.secret(b"hunter2-getpass")
    p.keys("hunter2-getpass", RETURN, line=None)
    p.line("openssl passwd -5 -salt x > /dev/null", execs=["openssl"], until="Password: ")
    p.secret(b"open-sesame-56")
    p.keys("open-sesame-56", RETURN, line=None)
    p.line("stty -echo; read token; stty echo; echo got ${#token}", execs=["stty", "stty"], until="\n")
    p.secret(b"ghp_tokentokentoken")
    p.keys("ghp_tokentokentoken", RETURN, line=None)
    p.line("echo all over")


@script("bash", "su and sudo ask for a password: wrong, given up, and right", alone=True, setup=(
        "[ $UID != 0 ] || echo 'root:$5$kk$Np8Frx26pVc3DJQyl7oj.sCWNcKKuElcXNpPd8XHxZD' | chpasswd -e",
        "[ $UID != 0 ] || echo 'alice ALL=(ALL:ALL) ALL' > /etc/sudoers",
        "[ $UID != 0 ] || echo 'alice:$5$kk$or4sGAnK9p3tReeGxHaD08wBLflkyF18TDRZXcUbra5' | chpasswd -e"))  # fmt: skip
def asked(p: Person) -> None:
    p.line("cd /")
    p.cwd = "/"
    p.enter("su", "su alice", execs=["su", "bash"], user="alice")
    p.line("su -c id", execs=["su"], until="Password: ")
    p.secret(b"Wrong-guess-1")
    p.keys("Wrong-guess-1", RETURN, line=None)
    p.line("su -c 'id -u'", execs=["su", "bash", "id"], until="Password: ")
    p.secret(b"Winter-is-here-7")
    p.keys("Winter-is-here-7", RETURN, line=None)
    p.line("sudo -k id -u", execs=["sudo", "id"], until="password for alice: ")
    p.secret(b"Alices-own-word-9")
    p.keys("Alices-own-", "word-9", RETURN, line=None)
    p.line("sudo -k whoami", execs=["sudo"], until="password for alice: ")
    p.secret(b"half-of-a-pass")
    p.keys("half-of-a-pass", CTRL["c"], line=None)
    p.line("echo done")
    p.leave("exit")


@script("bash", "a blind line: echo is off at the shell's own prompt")
def blind(p: Person) -> None:
    p.line("stty -echo", execs=["stty"])
    p.keys("stty echo", RETURN, line="stty echo", execs=["stty"])
    p.line("echo seen again")


@script("bash", "ssh to the same container: both sides are seen", alone=True, history=False, mirrored=True, setup=(
        f"[ -e ~/.host ] || {{ {HOST_KEY}; {AUTHORIZED}; {SERVER}; }} 2>/dev/null", SSH))  # fmt: skip
def ssh_inside(p: Person) -> None:
    p.line("cd /usr")
    p.cwd = "/usr"
    p.line("s localhost uname -n", execs=["ssh"])
    p.enter("login", "s localhost", execs=["ssh"], cwd="/root")
    p.keys("cd /ect", LEFT * 2, "t", RIGHT, BACKSPACE, END, BACKSPACE, "c", RETURN, line="cd /etc")
    p.cwd = "/etc"
    p.line("ls -d /etc | cat", execs=["ls", "cat"])
    p.keys(UP, UP, CTRL["a"], CTRL["k"], "pwd", RETURN, line="pwd")
    p.keys("not this", CTRL["c"], line=None)
    p.leave("exit")
    p.line("pwd")


@script("tmux", "tmux: lines in two windows, keys of its own, the copy mode", rows=30)
def tmux(p: Person) -> None:
    p.line("echo first window")
    p.keys("ehco typo", HOME, RIGHT, "c", RIGHT, b"\x1b[3~", RETURN, line="echo typo")
    p.press(CTRL["b"], "c")
    p.line("echo second; uname", execs=["uname"])
    p.press(CTRL["b"], "[", UP, UP, "q")
    p.keys(UP, HOME, "true; ", RETURN, line="true; echo second; uname", execs=["uname"])
    p.press(CTRL["b"], "p")
    p.line("echo first again")
    p.press(CTRL["b"], "n")
    p.keys("exit", RETURN, line="exit")
    p.line("echo first at last")


@script("screen", "screen: a long line, a second window by its own command, and back")
def gnu_screen(p: Person) -> None:
    p.line("echo " + "long " * 20 + "line")
    p.keys(UP, CTRL["w"], "end", RETURN, line="echo " + "long " * 20 + "end")
    p.press(CTRL["a"], ":", "screen bash\r")
    p.line("ls -d /", execs=["ls"])
    p.press(CTRL["a"], "n")
    p.keys("echo behind", CTRL["a"] + b"a", "true ", RETURN, line="true echo behind")
    p.press(CTRL["a"], "n")
    p.keys("exit", RETURN, line="exit")
    p.line("echo alone")


@script("script", "script(1): a terminal in a terminal, resized")
def script_inside(p: Person) -> None:
    p.line("echo inside")
    p.press("echo half ")
    p.resize(24, 40)
    p.keys("of a line that wraps now", LEFT * 4, "X", RETURN, line="echo half of a line that wrapsX now")
    p.line("id -u | cat", execs=["id", "cat"])


@script("mc", "mc's command line", rows=24)
def commander(p: Person) -> None:
    p.line("uname -s", execs=["uname"])
    p.keys("echo frmo", BACKSPACE * 2, "om mc", RETURN, line="echo from mc")
    p.press(b"\x1bOB", b"\x1bOB", b"\x1bOA")
    p.keys("ls -d /uzz", BACKSPACE * 2, "sr", RETURN, line="ls -d /usr", execs=["ls"])
    p.line("cd /usr")
    p.cwd = "/usr"
    p.line("pwd")


@script("bash", "somebody steals what he can: history off, traces wiped, a script from a here-document", history=False)
def attacker(p: Person) -> None:
    p.line("unset HISTFILE; export HISTSIZE=0")
    p.line(" id; uname -a; cat /etc/passwd | grep -v nologin", execs=["id", "uname", "cat", "grep"])
    p.line("find /etc -xdev -perm -4000 -type f 2>/dev/null | head -3 | wc -l", execs=["find", "head", "wc"])
    p.line("mkdir -p .x && cd .x", execs=["mkdir"])
    p.cwd += "/.x"
    p.keys("cat > r.sh << 'EOF'", RETURN, line="cat > r.sh << 'EOF'", execs=["cat"], until="> ")
    for text in (
        "#!/usr/bin/bash",
        "for u in $(cut -d: -f1 /etc/passwd); do",
        "  echo $u; done | sort | head -2",
        "EOF",
    ):
        p.keys(text, RETURN, line=text, continues=True, until="# " if text == "EOF" else "> ")
    p.line("chmod 755 r.sh; ./r.sh > out 2>&1 && cat out", execs=["chmod", "r.sh", "cut", "sort", "head", "cat"])
    p.line("echo aWQgLXU= | base64 -d | bash", execs=["base64", "bash", "id"])
    p.line("(setsid nohup bash -c 'exec -a kworker sleep 0.3' >/dev/null 2>&1 &) ; ps | tail -0",
           execs=["setsid", "nohup", "bash", "sleep", "ps", "tail"])  # fmt: skip
    p.line("python3 -c 'import os; os.execvp(\"uname\", [\"x\"])'; history -c; shred -u r.sh; cd ..; rm -rf .x",
           execs=["python3", "uname", "shred", "rm"])  # fmt: skip
    p.cwd = p.cwd.removesuffix("/.x")
    p.line("pwd")


@script("bash", "somebody administers: loops over files, sed, awk, tar, dd and kill", columns=100)
def administrator(p: Person) -> None:
    p.line("mkdir -p etc logs; cp /etc/passwd etc/; cp /etc/group etc/", execs=["mkdir", "cp", "cp"])
    p.keys("sed -i 's#/bin/sh#/bin/bash#' etc/passwd | gerp bash", LEFT * 9, CTRL["k"], RETURN,
           line="sed -i 's#/bin/sh#/bin/bash#' etc/passwd | ", execs=["sed", "grep"], until="> ")  # fmt: skip
    p.keys("grep -c bash etc/passwd", RETURN, line="grep -c bash etc/passwd", continues=True)
    p.line("awk -F: '{print $1 | \"/usr/bin/sort\"}' etc/passwd", execs=["awk", "sh", "sort"])
    p.line("for f in etc/*; do gzip -k $f & done; wait; ls etc/*.gz | wc -l", execs=["gzip", "gzip", "ls", "wc"])
    p.line("tar cf - etc | gzip | gzip -dc | tar tf - | tail -1", execs=["tar", "gzip", "gzip", "tar", "tail"])
    p.line("yes | head -c 100000 | md5sum; dd if=/dev/zero bs=1 count=1 2>&1 | tail -1 | tr -d '\\0'",
           execs=["yes", "head", "md5sum", "dd", "tail", "tr"])  # fmt: skip
    p.line("sleep 60 & p=$!; sleep 0.2; kill $p; wait $p; echo $?", execs=["sleep", "sleep"])
    p.line(
        "ls etc | xargs -I{} sh -c 'wc -l < etc/{}' | sort -n | tail -1",
        execs=["ls", "xargs"] + 4 * ["sh", "wc"] + ["sort", "tail"],
    )
    p.keys("rm -r etc", HOME, "#", RETURN, line="#rm -r etc")
    p.keys(UP, HOME, b"\x1b[3~", RETURN, line="rm -r etc", execs=["rm"])
