"""sqlite3, psql and mysql: statements over several lines, their own commands, and shells started from there."""

from __future__ import annotations

from tests.fidelity.person import (
    BACKSPACE,
    CTRL,
    DOWN,
    END,
    HOME,
    LEFT,
    RETURN,
    RIGHT,
    UP,
    Person,
    script,
)


@script("sqlite3", "statements over several lines, dots, history, a wrapped edit", columns=50)
def sqlite(p: Person) -> None:
    p.line("create table people (name text, born integer);")
    p.keys("insert into people values", RETURN, line="insert into people values")
    p.keys("  ('Ada', 1815),", RETURN, line="  ('Ada', 1815),", continues=True)
    p.keys("  ('Grace', 1907);", RETURN, line="  ('Grace', 1907);", continues=True)
    p.keys("select nmae, born from people where born > 1800 order by born;", HOME, RIGHT * 8, CTRL["d"], RIGHT, "a",
           RETURN, line="select naae, born from people where born > 1800 order by born;")  # fmt: skip
    p.keys(UP, HOME, RIGHT * 8, b"\x1b[3~" * 3, "ame", RETURN,
           line="select name, born from people where born > 1800 order by born;")  # fmt: skip
    p.line(".schema")
    p.line(".shell /usr/bin/uname", execs=["sh", "uname"])
    p.keys("select 'sqlite> ;", RETURN, line="select 'sqlite> ;")
    p.keys("';", RETURN, line="';", continues=True)
    p.keys("select 1", CTRL["u"], ".tables", RETURN, line=".tables")


@script("sqlite3", "a paste of several statements, wide characters and ctrl-r")
def sqlite_paste(p: Person) -> None:
    p.line("select '漢字' as 名;")
    p.line("select 1+1;")
    p.keys(CTRL["r"], "漢", END, BACKSPACE, " limit 1;", RETURN, line="select '漢字' as 名 limit 1;")
    p.keys(UP, UP, DOWN, CTRL["a"], "explain ", RETURN, line="explain select '漢字' as 名 limit 1;")
    p.keys("select 2;", LEFT, CTRL["w"], CTRL["y"], CTRL["y"], RETURN, line="select 22;")


@script("psql", "backslash commands, a statement over lines, a cancel, an edit")
def postgres(p: Person) -> None:
    p.line("create temp table t (a int, b text);")
    p.keys("insert into t", RETURN, line="insert into t")
    p.keys("select n, 'x' from generate_series(1,3) n;", RETURN, line="select n, 'x' from generate_series(1,3) n;",
           continues=True)  # fmt: skip
    p.keys("selct count(*) from t;", HOME, RIGHT * 3, "e", RETURN, line="select count(*) from t;")
    p.keys("select 'it''s", RETURN, line="select 'it''s")
    p.keys("two rows';", RETURN, line="two rows';", continues=True)
    p.line("\\pset pager off")
    p.line("\\! /usr/bin/uname", execs=["sh", "uname"])
    p.keys("select 1 +", CTRL["c"], line=None)
    p.keys(UP, CTRL["a"], "explain ", CTRL["c"], line=None)
    p.line("\\echo postgres=# done")


@script("psql", "ctrl-r, a long line in 40 columns, several statements in a line", columns=40)
def postgres_narrow(p: Person) -> None:
    p.line("select 1; select 2;")
    p.line("select 'a long text that wraps at the edge of a narrow window' as t;")
    p.keys(CTRL["r"], "select 2", END, BACKSPACE * 2, "3;", RETURN, line="select 1; select 3;")
    p.keys(UP, UP, LEFT * 6, BACKSPACE * 8, "screen'", RETURN,
           line="select 'a long text that wraps at the edge of a narrowscreen' as t;")  # fmt: skip
    p.keys("select '漢字';", LEFT * 2, BACKSPACE, "é", RETURN, line="select '漢é';")


@script("mysql", "statements over lines, \\c, \\G, history and a shell")
def mysql(p: Person) -> None:
    p.line("select 1 + 1;")
    p.keys("select", RETURN, line="select")
    p.keys("  'two rows' as x,", RETURN, line="  'two rows' as x,", continues=True)
    p.keys("  2 as y\\G", RETURN, line="  2 as y\\G", continues=True)
    p.keys("selct 3;", HOME, RIGHT * 3, "e", END, RETURN, line="select 3;")
    p.line("system /usr/bin/uname", execs=["sh", "uname"])
    p.keys("select 4", CTRL["u"], "select 5;", RETURN, line="select 5;")
    p.keys(UP, LEFT, "0", RETURN, line="select 50;")
    p.line("status")
    p.line("select '漢字';")


@script("mysql", "statements that are given up, by \\c and by ctrl-c, and quotes that stay open", history=False)
def mysql_given_up(p: Person) -> None:
    p.keys("select 6 +", RETURN, line="select 6 +")
    p.keys("7 \\c", RETURN, line="7 \\c", continues=True)
    p.keys("select 'one", RETURN, line="select 'one")
    p.keys("MariaDB [x]> two'", RETURN, line="MariaDB [x]> two'", continues=True)
    p.keys(";", RETURN, line=";", continues=True)
    p.keys("select 8 from", CTRL["c"], line=None)
    p.line("select 9;")
