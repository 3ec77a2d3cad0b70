"""Secrets in documents of processes: masked in every one that shows arguments."""

from __future__ import annotations

import orjson

from bpf.events import ExecFailed
from enrich.arguments import KEPT_BYTES, Arguments
from enrich.enricher import Enricher
from enrich.secrets.rules import Rules, builtin
from tests.unit.frames import ID
from tests.unit.stream import Stream, container, end, exec_, process, undeclared

SECRET = b"hunter2-long"
ARGS = b"mysql\0-u\0root\0-p" + SECRET + b"\0"


def test_arguments_are_made_once() -> None:
    """Of one record, whoever asks; a mask counts once."""
    arguments = Arguments()
    assert arguments(ARGS) is arguments(bytes(bytearray(ARGS)))
    assert arguments.scrubber.masked == {"password": 1}


def test_a_secret_at_the_edge_is_masked_before_it_is_cut() -> None:
    """What is kept of long arguments has no part of one that reaches over the end."""
    raw = b"x\0" + b"y" * (KEPT_BYTES - 20) + b"\0ghp_" + b"a1" * 18 + b"\0z\0"
    args, line = Arguments()(raw).cut()
    assert args == ()
    assert "ghp_" in line
    assert "a1a1" not in line


def test_raw_bytes_are_left_out_where_something_is_masked() -> None:
    """Base64 of arguments that are not UTF-8 would tell the secret."""
    assert Arguments()(b"x\xff\0").raw is not None
    shown = Arguments()(b"mysql\0-phunter2\0\xff\0")
    assert shown.raw is None
    assert shown.args == ["mysql", "-p[password:7]", "\\xff"]
    assert shown.secrets == ("password",)


def test_rules_are_part_of_what_a_snapshot_means() -> None:
    """With other rules, state that holds masked arguments is made anew."""
    assert Enricher(ID).schema != Enricher(ID, secrets=Rules(builtin().rules[1:])).schema


def test_no_document_has_it() -> None:
    """Not the program's own, nor its child's, its end's, or that of one that could not be started."""
    stream = Stream()
    stream.feed(*container())
    command = [b"mysql", b"-u", b"root", b"-p" + SECRET]
    own = stream.one(exec_(2, 1, *command))
    child = stream.one(exec_(3, 2, b"/bin/true"))
    failed = stream.one(process(ExecFailed, 3, 2, filename=b"curl", args=b"curl\0-u\0a:" + SECRET + b"\0", error=-2))
    ended = stream.one(end(2, 1))
    assert own["process"]["args"][-1] == child["process"]["parent"]["args"][-1] == "-p[password:12]"
    assert own["process"]["command_line"] == ended["process"]["command_line"] == "mysql -u root '-p[password:12]'"
    assert failed["process"]["args"] == ["curl", "-u", "a:[password:12]"]
    for document in (own, child, failed, ended):
        assert document["cgtrail"]["secrets"] == ["password"]
        assert not undeclared(document)
    assert SECRET.decode() not in orjson.dumps(stream.documents + stream.journal).decode()


def test_labels_of_a_container() -> None:
    """They are scrubbed by their names, and by what their values look like; others stay as they are."""
    stream = Stream()
    labels = {
        "com.example.db-password": "hunter2-long",
        "run": "mysql -phunter2-long -h db",
        "at": "https://bob:hunter2-long@db/x",
        "cgtrail.tenant": "shop",
        "zero": "a\0b TOKEN=hunter2-long",
    }
    stream.feed(*container(labels=orjson.dumps(labels)))
    shown = stream.one(exec_(2, 1, b"/bin/true"))["container"]["labels"]
    assert shown == {
        "com.example.db-password": "[secret:12]",
        "run": "mysql -p[password:12] -h db",
        "at": "https://bob:[password:12]@db/x",
        "cgtrail.tenant": "shop",
        "zero": "a\0b TOKEN=[secret:12]",
    }
    assert SECRET.decode() not in orjson.dumps(stream.documents + stream.journal).decode()
