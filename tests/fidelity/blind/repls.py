"""python, ipython and node, by people who calculate, try things out and steal."""

from __future__ import annotations

from tests.fidelity.person import (
    BACKSPACE,
    CTRL,
    DOWN,
    END,
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


@script("python", "a class and a loop, with an edit in an indented line")
def python_blocks(p: Person) -> None:
    p.line("x = [n*n for n in range(4)]")
    p.keys("for n in x:", RETURN, line="for n in x:", until=r"\.\.\. ")
    p.keys("    prin(n)", LEFT * 3, "t", RETURN, line="    print(n)", continues=True, until=r"\.\.\. ")
    p.keys(RETURN, line=None)
    p.keys("class A:", RETURN, line="class A:", until=r"\.\.\. ")
    p.keys(
        "    def f(self): return '>>> '",
        RETURN,
        line="    def f(self): return '>>> '",
        continues=True,
        until=r"\.\.\. ",
    )
    p.keys(RETURN, line=None)
    p.line("print(A().f())")
    p.keys("s = '''one", RETURN, line="s = '''one", until=r"\.\.\. ")
    p.keys("two'''", RETURN, line="two'''", continues=True)
    p.keys("while True:", RETURN, line="while True:", until=r"\.\.\. ")
    p.keys("  pa", CTRL["c"], line=None)
    p.line("1/0")


@script("python", "programs are started from python, and it reads from the terminal", history=False)
def python_starts(p: Person) -> None:
    p.line("import os, subprocess, pty")
    p.line("os.system('/usr/bin/id -u; /usr/bin/uname')", execs=["sh", "id", "uname"])
    p.line("subprocess.run(['ls', '-d', '/'])", execs=["ls"])
    p.line("n = input('number? ')", until=r"number\? ")
    p.keys("41", RETURN, line="41", role="input")
    p.line("int(n) + 1")
    p.line("os.chdir('/usr')")
    p.cwd = "/usr"
    p.line("os.popen('pwd').read()", execs=["sh"])


@script("python", "keys of readline: search, history, completion, tab as text, paste of a function")
def python_keys(p: Person) -> None:
    p.line("import math")
    p.keys("math.sq", TAB, "2)", RETURN, line="math.sqrt(2)")
    p.keys("math.co", TAB, TAB, "s(0)", RETURN, line="math.cos(0)")
    p.keys("'a", TAB, CTRL["u"], "import sys", RETURN, line="import sys")
    p.keys(CTRL["r"], "sqrt", HOME, "1 + ", RETURN, line="1 + math.sqrt(2)")
    p.keys(UP, UP, UP, DOWN, END, "*3", RETURN, line="import sys*3")
    p.keys("naïve = '漢字'", LEFT, BACKSPACE, "é", RETURN, line="naïve = '漢é'")
    p.keys("print('half", CTRL["c"], line=None)


@script("ipython", "magics, shell escapes, a question", rows=40, environment={"SHELL": "/usr/bin/bash"})
def ipython_keys(p: Person) -> None:
    p.line("x = 5")
    p.line("!id -u", execs=["bash", "id"])
    p.line("y = !uname", execs=["bash", "uname"])
    p.line("%cd /usr", until=r"\n/usr\s")
    p.cwd = "/usr"
    p.line("x?")
    p.keys("prnt(x)", LEFT * 5, "i", RETURN, line="print(x)")


@script("ipython", "blocks that are typed, recalled and edited as one", rows=40)
def ipython_blocks(p: Person) -> None:
    p.keys("for i in range(2):", RETURN, "print(i)", RETURN, RETURN, line="for i in range(2):\n    print(i)\n    ")
    p.keys("def f(a):", RETURN, "return a", RETURN, RETURN, line="def f(a):\n    return a\n    ")
    p.line("f(3)")
    p.keys(UP, BACKSPACE * 2, "4)", RETURN, line="f(4)")
    p.keys("f(9", CTRL["u"], "f(5)", RETURN, line="f(5)")
    p.keys(PASTE + b"a = 1\nb = 2\n" + PASTED, RETURN, line="a = 1\nb = 2")
    p.line("a + b")


@script("ipython", "a completion menu and wide characters, in 40 columns", columns=40, rows=30)
def ipython_narrow(p: Person) -> None:
    p.line("number_one = 1; number_two = 2")
    p.press("number_t", TAB)
    p.wait("wo")
    p.keys(RETURN, line="number_two")
    p.keys("print('漢字', 'a long text that wraps at the edge')", HOME, RIGHT * 7, "x", END, RETURN,
           line="print('x漢字', 'a long text that wraps at the edge')")  # fmt: skip
    p.keys("'abc def'", CTRL["w"], CTRL["y"], RETURN, line="'abc def'")


@script("node", "previews, suggestions, blocks, dots", rows=40)
def node_keys(p: Person) -> None:
    p.line("const greeting = 'hello'")
    p.keys("greet", TAB, ".length", RETURN, line="greeting.length")
    p.keys("greeting.toUpp", TAB, "()", RETURN, line="greeting.toUpperCase()")
    p.keys("function f(a) {", RETURN, line="function f(a) {", until=r"\.\.\. ")
    p.keys("return a * 2", RETURN, line="return a * 2", continues=True, until=r"\.\.\. ")
    p.keys("}", RETURN, line="}", continues=True)
    p.line("f(21)")
    p.keys("f(1)", LEFT * 2, "0", CTRL["e"], " + 1", RETURN, line="f(01) + 1")
    p.keys(UP, UP, RETURN, line="f(21)")
    p.keys("let half =", CTRL["c"], line=None)
    p.line(".help")


@script("node", "programs started, search, wide characters, a template over two lines", rows=40)
def node_starts(p: Person) -> None:
    p.line("require('child_process').execSync('/usr/bin/id -u').toString()", execs=["sh", "id"])
    p.line("process.chdir('/usr'); process.cwd()")
    p.cwd = "/usr"
    p.press("'漢字'.length", HOME, RIGHT * 2, "é")
    p.wait("é")  # node that gets a letter and Return at once does not insert it
    p.keys(RETURN, line="'漢é字'.length")
    p.keys(CTRL["r"], "chdir", RETURN, RETURN, line="process.chdir('/usr'); process.cwd()")
    p.keys("`one", RETURN, line="`one", until=r"\.\.\. ")
    p.keys("two`", RETURN, line="two`", continues=True)
    p.keys("1 + 1", CTRL["a"], CTRL["k"], "2 + 2", CTRL["w"], "3", RETURN, line="2 + 3")
