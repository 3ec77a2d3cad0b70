"""Clients of databases: psql and mysql, at real servers."""

from __future__ import annotations

from tests.fidelity.person import BACKSPACE, CTRL, HOME, LEFT, PASTE, PASTED, RETURN, TAB, UP, Line, Person, script


def editing(person: Person) -> None:
    """Readline, and statements of several rows."""
    person.line("create table people(name text, age int);")
    person.line("insert into people")
    person.keys("values('Ann', 41),", RETURN, line="values('Ann', 41),", continues=True)
    person.keys("('Bob', 42);", RETURN, line="('Bob', 42);", continues=True)
    person.line("select * from people;")
    person.keys("select 2;", LEFT, BACKSPACE, "1", RETURN, line="select 1;")
    person.keys("elect 3;", HOME, "s", RETURN, line="select 3;")
    person.keys(UP, UP, RETURN, line="select 1;")
    person.line("select * from nowhere;")
    person.keys(RETURN, line=None)
    person.line("select 'äö 日本';")
    person.line("select '" + "long " * 30 + "';")
    person.say(*(Line(f"select {at};", person.cwd, person.user) for at in range(4)))
    person.press("".join(f"select {at};\r" for at in range(4)))
    person.line("select 'own';")


@script("psql", "statements")
def psql(person: Person) -> None:
    """With editing, and a table that is long."""
    editing(person)
    person.line(r"\d")
    person.keys(PASTE + b"select 7;" + PASTED, RETURN, line="select 7;")
    person.keys("dropped", CTRL["c"], line=None)
    person.line(r"\! id -u", execs=["sh"])
    person.line(r"\cd /usr")
    person.cwd = "/usr"
    person.line(r"\echo here")


@script("psql", "a password that is asked for")
def psql_password(person: Person) -> None:
    """Read without echo."""
    person.line(r"\password alice", until="Enter new password.*: ")
    person.secret(b"granite-lantern-77")
    person.keys("granite-lantern-77\r", line=None, until="Enter it again: ")
    person.keys("granite-lantern-77\r", line=None)
    person.line("select 'after';")


@script("mysql", "statements")
def mysql(person: Person) -> None:
    """With editing."""
    person.line("create database shop;")
    person.line("use shop")
    editing(person)
    person.line("show tables;")
    person.line("system id -u", execs=["sh"])
    person.line("select 'after';")


@script("psql", "history and completion", columns=60)
def psql_history(person: Person) -> None:
    """Ctrl-r, an open quote, a completion, lines that wrap."""
    person.line("select 'first';")
    person.line("select 'second';")
    person.keys(CTRL["r"], "fir", RETURN, line="select 'first';")
    person.keys("sele", TAB, "1;", RETURN, line="select 1;")
    person.line("select 'open")
    person.keys("closed';", RETURN, line="closed';", continues=True)
    person.line("select (1")
    person.keys("+ 2);", RETURN, line="+ 2);", continues=True)
    person.line("select '" + "long " * 30 + "';")
    person.line("select pg_sleep(0.3);")


@script("mysql", "history and further rows", columns=60)
def mysql_history(person: Person) -> None:
    """Libedit: ctrl-r, an open quote, a comment, lines that wrap."""
    person.line("select 'first';")
    person.keys("select 1, 2;", CTRL["w"], "3;", RETURN, line="select 1, 3;")
    person.keys("dropped", CTRL["u"], "select 4;", RETURN, line="select 4;")
    person.keys("elect 5;", CTRL["a"], "s", RETURN, line="select 5;")
    person.line("select '" + "long " * 30 + "';")
    person.line("select 6")
    person.keys(";", RETURN, line=";", continues=True)
    person.line("-- a remark")
    person.line("select sleep(0.3);")
