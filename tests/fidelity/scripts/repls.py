"""Python, IPython, Node and SQLite. What they have a shell do runs in BusyBox, which is its own ls and date."""

from __future__ import annotations

from tests.fidelity.person import (
    BACKSPACE,
    CTRL,
    HOME,
    LEFT,
    PASTE,
    PASTED,
    RETURN,
    TAB,
    UP,
    Line,
    Person,
    script,
)


@script("python", "plain lines")
def python(person: Person) -> None:
    """Expressions, a block, programs that it starts."""
    person.line("1 + 1")
    person.line("x = [1, 2]")
    person.line("import os")
    person.line("os.system('ls -d /')", execs=["sh"])
    person.line("os.chdir('/usr')")
    person.cwd = "/usr"
    person.line("for i in range(2):")
    person.keys("    print(i)", RETURN, line="    print(i)", continues=True)
    person.keys(RETURN, line=None)
    person.line("nonsense(")
    person.keys(")", RETURN, line=")", continues=True)


@script("python", "a line for a program of its own", history=False)
def python_input(person: Person) -> None:
    """Input() reads with the same editor."""
    person.line("input('Name? ')", until=r"Name\? ")
    person.keys("Ann", RETURN, line="Ann", role="input")
    person.line("1 + 1")


@script("python", "editing")
def python_editing(person: Person) -> None:
    """Readline in another program."""
    person.keys("1 + 3", BACKSPACE, "2", RETURN, line="1 + 2")
    person.keys("2 + 2", HOME, "1 + ", RETURN, line="1 + 2 + 2")
    person.keys("dropped", CTRL["u"], "'äö 日本'", RETURN, line="'äö 日本'")
    person.keys(UP, UP, RETURN, line="1 + 2 + 2")
    person.keys(CTRL["r"], "日", RETURN, line="'äö 日本'")
    person.keys("dropped", CTRL["c"], line=None)
    person.keys(RETURN, line=None)
    person.say(*(Line(f"{at} * 2", person.cwd, person.user) for at in range(4)))
    person.press("".join(f"{at} * 2\r" for at in range(4)))
    person.line("'" + "long " * 30 + "'")


@script("python", "a secret that is asked for")
def getpass(person: Person) -> None:
    """Getpass reads without echo."""
    person.line("import getpass")
    person.line("word = getpass.getpass()", until="Password: ")
    person.secret(b"velvet-anchor-1881")
    person.keys("velvet-anchor-1881\r", line=None)
    person.line("len(word)")


@script("ipython", "plain lines")
def ipython(person: Person) -> None:
    """Expressions, a block of several rows, programs that it starts."""
    person.line("1 + 1")
    person.line("import os")
    person.line("os.chdir('/usr')")
    person.cwd = "/usr"
    person.press("for i in range(2):\r", "print(i)\r")
    person.keys(RETURN, line="for i in range(2):\n    print(i)")
    person.keys("2 + 3", BACKSPACE, "2", RETURN, line="2 + 2")
    person.keys(UP, RETURN, line="2 + 2")
    person.keys("dropped", CTRL["c"], line=None)
    person.keys("'äö 日'", RETURN, line="'äö 日'")


@script("node", "plain lines")
def node(person: Person) -> None:
    """Expressions, a block, editing."""
    person.line("1 + 1")
    person.line("const x = [1, 2]")
    person.keys("2 + 3", BACKSPACE, "2", RETURN, line="2 + 2")
    person.keys("+ 1", LEFT, LEFT, LEFT, "1", " ", RETURN, line="1 + 1")
    person.keys(UP, UP, RETURN, line="2 + 2")
    person.line("1 +* 2")
    person.line("require('child_process').execSync('date') + ''", execs=["sh"])
    person.keys("dropped", CTRL["c"], line=None)
    person.line("'äö'")
    person.line("process.chdir('/usr')")
    person.cwd = "/usr"
    person.line("'own'")


@script("node", "several rows", history=False)
def node_rows(person: Person) -> None:
    """Its further lines are painted behind a mark."""
    person.line("function f() {")
    person.keys("return 1", RETURN, line="return 1", continues=True)
    person.keys("}", RETURN, line="}", continues=True)
    person.line("f()")


@script("sqlite3", "plain lines")
def sqlite(person: Person) -> None:
    """Statements on one row and on several, commands of its own."""
    person.line("create table people(name text, age int);")
    person.line("insert into people")
    person.keys("values('Ann', 41),", RETURN, line="values('Ann', 41),", continues=True)
    person.keys("('Bob', 42);", RETURN, line="('Bob', 42);", continues=True)
    person.line("select * from people;")
    person.line(".tables")
    person.keys("select 2;", LEFT, BACKSPACE, "1", RETURN, line="select 1;")
    person.keys(UP, UP, RETURN, line=".tables")
    person.line("select * from nowhere;")
    person.keys(RETURN, line=None)
    person.line("select 'äö 日本';")
    person.line(".shell ls -d /", execs=["sh"])
    person.say(*(Line(f"select {at};", person.cwd, person.user) for at in range(4)))
    person.press("".join(f"select {at};\r" for at in range(4)))
    person.keys(PASTE + b"select 7;" + PASTED, RETURN, line="select 7;")


@script("python", "longer than a row, another size", columns=40)
def python_wide(person: Person) -> None:
    """Readline at the edge of the window."""
    text = "'" + " ".join(f"word{at}" for at in range(20)) + "'"
    person.line(text)
    person.keys(text, HOME, "1, ", RETURN, line=f"1, {text}")
    person.keys(text, *[BACKSPACE] * 20, "'", RETURN, line=f"{text[:-20]}'")
    person.press("'one two")
    person.resize(24, 80)
    person.keys(" three'", RETURN, line="'one two three'")
    person.keys("1 2 3", CTRL["w"], CTRL["w"], "+ ", CTRL["y"], CTRL["u"], "4", RETURN, line="4")


@script("ipython", "editing, and completion")
def ipython_editing(person: Person) -> None:
    """Its own editor: history, ctrl-r, a paste, a menu, lines that wrap."""
    person.line("first = 1")
    person.line("second_name = 2")
    person.keys("second", TAB, RETURN, line="second_name")
    person.keys("dropped", CTRL["u"], "2", RETURN, line="2")
    person.keys("cho", CTRL["a"], "'e", CTRL["e"], "'", RETURN, line="'echo'")
    person.keys(CTRL["r"], "first", RETURN, RETURN, line="first = 1")
    person.keys(PASTE + b"a = 1\rb = 2" + PASTED, RETURN, line="a = 1\nb = 2")
    person.line("'" + "long " * 30 + "'")
    person.keys("(1 +", RETURN, "2)", RETURN, line="(1 +\n2)")


@script("node", "editing, and completion")
def node_editing(person: Person) -> None:
    """Its own editor: previews, a paste of several lines, lines that wrap."""
    person.line("const longName = 3")
    person.keys("longN", TAB, " + 1", RETURN, line="longName + 1")
    person.keys("dropped", CTRL["u"], "2", RETURN, line="2")
    person.keys("'a b c'", CTRL["w"], "d'", RETURN, line="'a b cd'")
    person.say(*(Line(f"{at} * 2", person.cwd, person.user) for at in range(4)))
    person.press("".join(f"{at} * 2\r" for at in range(4)))
    person.line("'" + "long " * 30 + "'")
    person.keys(UP, UP, RETURN, line="3 * 2")


@script("sqlite3", "editing")
def sqlite_editing(person: Person) -> None:
    """Readline: kill and yank, ctrl-r, an open quote, lines that wrap."""
    person.line("select 'first';")
    person.line("select 'second';")
    person.keys(CTRL["r"], "fir", RETURN, line="select 'first';")
    person.keys("select 1, 2;", CTRL["w"], "3;", RETURN, line="select 1, 3;")
    person.keys("dropped", CTRL["u"], "select 4;", RETURN, line="select 4;")
    person.line("select 'open")
    person.keys("closed';", RETURN, line="closed';", continues=True)
    person.line("select '" + "long " * 30 + "';")
    person.keys(UP, UP, UP, UP, RETURN, line="select 4;")


@script("ipython", "wrapped rows", columns=40)
def ipython_wrapped(person: Person) -> None:
    """In a narrow window: of each width, wide letters at the edge, edited in the middle, in another size."""
    for length in (28, 29, 30, 31, 32, 33, 70):
        person.line("'" + "x" * length + "'")
    for length in (12, 13, 14, 15, 16):
        person.line("'" + "日" * length + "'")
    long = "'" + " ".join(f"word{at}" for at in range(15)) + "'"
    person.keys(long, CTRL["a"], "0, ", RETURN, line="0, " + long)
    person.keys(UP, CTRL["e"], ", 1", RETURN, line="0, " + long + ", 1")
    person.press("'a line that is typed at forty'")
    person.resize(24, 30)
    person.keys(", 'and more than that'", RETURN, line="'a line that is typed at forty', 'and more than that'")
    person.press("'a line that is typed at thirty columns'")
    person.resize(24, 80)
    person.keys(", 2", RETURN, line="'a line that is typed at thirty columns', 2")
