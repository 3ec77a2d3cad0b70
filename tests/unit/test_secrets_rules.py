"""Rules for secrets: their own cases, files of users, and what is known to be missed."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.secrets.cases import failures
from enrich.secrets.rules import BUILTIN, MAX_FILE, Rule, RulesError, builtin, load, read
from enrich.secrets.scrub import Scrubber

GOOD = r"""
[[rule]]
id = "acme"
kind = "acme-token"
description = "tokens of ACME"
anchor = '(?:^|[^a-z])acme_'
value = { chars = "[a-z0-9]", min = 4 }
keywords = ["acme_"]
cases = [{ text = "x acme_abcd", masked = "x acme_[acme-token:4]" }, { text = "acme_x" }]
"""


@pytest.mark.parametrize("rule", builtin().rules, ids=lambda rule: rule.id)
def test_cases_of_built_in_rules(rule: Rule) -> None:
    """Each masks what it says, as a whole and one character at a time, and leaves what it must not mask."""
    assert list(failures(builtin(), rule)) == []
    assert any(not case.masked for case in rule.cases)


@pytest.mark.parametrize("rule", builtin().rules, ids=lambda rule: rule.id)
def test_a_mask_is_masked_no_more(rule: Rule) -> None:
    """What was scrubbed stays as it is when it is scrubbed again."""
    for case in rule.cases:
        if case.text:
            once = Scrubber().text(case.text)
            assert Scrubber().text(once) == once


@pytest.mark.parametrize(
    "line",
    [
        "ssh -p 22 host",
        "cp -p x y",
        "mkdir -p dir/secrets",
        "mysql -P 3306 -h db",
        "docker run -p 3306:3306 -e TOKEN img",
        "x --password-file=/run/x",
        "export TOKEN=",
        "export TOKEN=$OTHER",
        "PASSWORD=$(pass show db) ./run",
        "grep -r password /etc",
        "http://localhost:8080/path?page=1",
        "git log --author=token",
        "cat /etc/passwd",
        "PWD=/home/bob",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "[sudo] password for bob: ",
        "make test PASSED=1",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    """Commands and output of every day."""
    assert Scrubber().text(line) == line
    if "$" not in line:  # which no shell would have left in arguments
        assert Scrubber().arguments(line.split()) == line.split()


ARGUMENTS = ["mysql", "-psecret", "curl", "-u", "a:b", "TOKEN=x y", "echo x|chpasswd", "http://a:b@c"]


@given(st.lists(st.text(max_size=20).map(lambda text: text.replace("\0", "")) | st.sampled_from(ARGUMENTS), min_size=1))
def test_arguments_stay_as_many(arguments: list[str]) -> None:
    """Whatever they are, each is masked in its own place."""
    assert len(Scrubber().arguments(arguments)) == len(arguments)


def test_users_rules_come_first(tmp_path: Path) -> None:
    """They add to the built-in ones; those that are disabled are not used."""
    file = tmp_path / "own.toml"
    file.write_text(GOOD)
    rules = load([file], ["jwt"])
    assert rules.rules[0].id == "acme"
    assert "jwt" not in rules.index
    assert len(rules.rules) == len(builtin().rules)
    assert Scrubber(rules=rules).text("acme_12345 -") == "acme_[acme-token:5] -"
    assert rules.hash != builtin().hash


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('id = "acme"', 'id = "ACME!"', "ACME!"),
        ('id = "acme"', 'id = "jwt"', "jwt"),
        ('"acme-token"', "5", "kind"),
        ("'(?:^|[^a-z])acme_'", "'('", "anchor"),
        ("'(?:^|[^a-z])acme_'", r"'acme\b'", r"\\b"),
        ("'(?:^|[^a-z])acme_'", "'a*'", "a*"),
        ('"[a-z0-9]"', '"[a-z"', "value.chars"),
        ('"[a-z0-9]"', '"[a-z]+"', "one character"),
        ('"[a-z0-9]"', r'"[^a]"', "NUL"),
        ("min = 4", "min = 0", "value.min"),
        ("min = 4", "max = 9999", "value.max"),
        ('keywords = ["acme_"]', "keywords = []", "keywords"),
        ('masked = "x acme_[acme-token:4]"', "args = ['a']", "case"),
        ('description = "tokens of ACME"', "", "description"),
        ("keywords =", "keyword =", "keyword"),
        ("[[rule]]", "[[rules]]", "rules"),
        ("[[rule]]", "[[rule", "TOML"),
    ],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, told: str) -> None:
    """The message names the file and what is not right."""
    file = tmp_path / "own.toml"
    assert old in GOOD
    file.write_text(GOOD.replace(old, new))
    with pytest.raises(RulesError) as caught:
        load([file])
    assert str(file) in str(caught.value)
    assert told in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    """One that is missing, too large or not text, and a rule to disable that there is not."""
    with pytest.raises(RulesError, match="nowhere"):
        load([tmp_path / "nowhere.toml"])
    (tmp_path / "big.toml").write_bytes(b"#" * (MAX_FILE + 1))
    (tmp_path / "raw.toml").write_bytes(b"\xff")
    for name in ("big.toml", "raw.toml"):
        with pytest.raises(RulesError, match=name):
            load([tmp_path / name])
    with pytest.raises(RulesError, match="nothing-such"):
        load([], ["nothing-such"])


def test_a_case_that_fails_is_told(tmp_path: Path) -> None:
    """With what was expected, and what came."""
    file = tmp_path / "own.toml"
    file.write_text(GOOD.replace("[acme-token:4]", "[acme-token:5]"))
    rules = load([file])
    (failure,) = failures(rules, rules.rules[0])
    assert failure.got == "x acme_[acme-token:4]"
    assert failure.case.expected == "x acme_[acme-token:5]"


def test_the_built_in_file_is_one_of_its_kind() -> None:
    """It is read as those of users are."""
    assert [rule.id for rule in read(BUILTIN)] == [rule.id for rule in builtin().rules]


MISSED = {
    "a password that nothing around it tells": "mytool login bob hunter2",
    "a value that looks like a variable": "mysql -p$hunter2",
    "a variable of no telling name": "export COLOUR=hunter2",
    "a sentence": "the password is hunter2",
    "an anchor too far before": "mysql " + "x " * 600 + " -phunter2",
    "a value changed in the middle, after more was typed": "mysql -phter2 -h db\b\b\b\b\b\b\bun hunter2\r\n",
    "a column of a table": "| bob | hunter2 |",
}


@pytest.mark.parametrize("name", MISSED)
@pytest.mark.xfail(strict=True, reason="a known limit: docs/secrets.md")
def test_known_limits(name: str) -> None:
    """These secrets are shown: where one is masked one day, the documentation has to say so."""
    shown = Scrubber().text(MISSED[name])
    assert not any(part in shown for part in ("hunter2", "nter2"))


def test_what_has_been_cut() -> None:
    """A part of a secret that is told otherwise: nothing is read of base64, and of a row what is behind the name."""
    encoded = base64.b64encode(b"TOKEN=hunter2").decode()
    assert Scrubber().text(f"echo {encoded}") == f"echo {encoded}"
    assert Scrubber().text("| TOKEN=hu |\r\n| nter2    |") == "| TOKEN=[secret:2] |\r\n| nter2    |"


def test_a_token_that_is_cut_at_the_end() -> None:
    """Where a text ends within a token, as where the kernel cut arguments, half of one is enough to be masked."""
    assert Scrubber().arguments(["x", "ghp_" + "a1" * 10]) == ["x", "ghp_[github-token:20]"]
    assert Scrubber().text("ghp_" + "a1" * 10) == "ghp_[github-token:20]"
    assert Scrubber().text("ghp_" + "a1" * 10 + "\n") == "ghp_" + "a1" * 10 + "\n"


def test_a_pipe_is_no_rule_file(tmp_path: Path) -> None:
    """It would be waited for."""
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(RulesError, match="no file"):
        load([tmp_path / "pipe.toml"])


def test_a_quote_that_is_none(tmp_path: Path) -> None:
    """A group of this name may match anything in a rule of a user: what is no quote is none."""
    file = tmp_path / "own.toml"
    file.write_text(
        GOOD.replace("acme_'", "acme_(?P<quote>x?)'").replace('value = { chars = "[a-z0-9]", min = 4 }', "")
    )
    assert Scrubber(rules=load([file])).text("x acme_xabcd y") == "x acme_[acme-token:5] y"
