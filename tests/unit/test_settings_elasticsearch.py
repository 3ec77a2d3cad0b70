"""[elasticsearch]: what is refused before anything connects, in words that hold no password and no key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cgtrail.clusters import cluster
from cgtrail.config import ConfigError, load
from cgtrail.settings import Config, Elasticsearch

HIDDEN = "hunter2"
HOST = "https://es-1.example.org:9200"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("hosts", ["es-1"], "has 'es-1'; a node is http(s)://host:port"),
        ("hosts", [HOST, "es-1:9200"], "has 'es-1:9200'; a node is"),
        ("hosts", ["ftp://es-1"], "a node is"),
        ("hosts", ["https://es-1:0"], "a node is"),
        ("hosts", ["https://es-1:65536"], "a node is"),
        ("hosts", ["https://es-1/?a=b"], "a node is"),
        ("hosts", [HOST, f"https://elastic:{HIDDEN}@es-1:9200"], "in the 2. URL"),
        ("hosts", [f"https://{HIDDEN}@es-1"], "elasticsearch.password_file"),
        ("hosts", [f"https://a@{HIDDEN}@es-1"], "elasticsearch.password_file"),
        ("hosts", [f"elastic:{HIDDEN}//x@es-1"], "elasticsearch.password_file"),
        ("hosts", [f"elastic:{HIDDEN}@es-1:9200"], "in the 1. URL"),
        ("hosts", [f"https:/elastic:{HIDDEN}@es-1"], "in the 1. URL"),
        ("hosts", [f"https://es-1/?api_key={HIDDEN}"], "in its 1. place what is not shown"),
        ("hosts", [f"elastic:{HIDDEN}"], "what is not shown"),
        ("proxy", f"a:{HIDDEN}", "is what is not shown"),
        ("proxy", f"http://a:{HIDDEN}", "is what is not shown"),
        ("username", f"elastic:{HIDDEN}", "without ':'"),
        ("proxy", "proxy:3128", "is 'proxy:3128'; it must be a URL"),
        ("proxy", f"socks5://a:{HIDDEN}@proxy:1", "is what is not shown"),
        ("cloud_id", "a b", "as Elastic Cloud shows it"),
        ("api_key", f"id:{HIDDEN}", "base64 of id:key"),
        ("username", "a:b", "without ':'"),
        ("password", f"{HIDDEN}\n", "can't be printed"),
        ("fingerprint", "ab", "64 hexadecimal digits"),
        ("fingerprint", "ab:" * 32, "64 hexadecimal digits"),
        ("namespace", "", "lowercase"),
        ("namespace", "a-b", "no '-'"),
        ("namespace", "Prod", "lowercase"),
        ("namespace", "..", "lowercase"),
        ("namespace", "a*", "lowercase"),
        ("namespace", "x" * 91, "up to 90"),
        ("bulk_bytes", 1, "from 65536"),
        ("in_flight", 0, "from 1"),
        ("timeout_seconds", 0, "from 1"),
    ],
)
def test_what_can_not_be_meant_is_refused(key: str, value: Any, words: str) -> None:
    """With the key, what would be right, and no secret."""
    with pytest.raises(ConfigError) as refused:
        load(None, {}, {f"elasticsearch.{key}": value})
    message = str(refused.value)
    assert message.startswith(f"--{key}: elasticsearch.{key} ")
    assert words in message
    assert HIDDEN not in message


def test_a_store_that_is_none() -> None:
    """Where to read is one of two."""
    with pytest.raises(ConfigError, match=r"store\.read is 'mysql'; it must be one of sqlite, elasticsearch"):
        load(None, {"CGTRAIL_STORE_READ": "mysql"}, {})


@pytest.mark.parametrize("text", ["api_key = 12345678", "password = 12345678", "hosts = 12345678", "proxy = 12345678"])
def test_a_secret_of_the_wrong_type_is_not_shown(tmp_path: Path, text: str) -> None:
    """A number that was meant as a secret is refused, and not repeated."""
    file = tmp_path / "x.toml"
    file.write_text(f"[elasticsearch]\n{text}\n")
    with pytest.raises(ConfigError, match="what is not shown") as refused:
        load(file, {}, {})
    assert "12345678" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"hosts": []}, "elasticsearch.hosts is empty"),
        ({"cloud_id": "a:YQ=="}, "elasticsearch.hosts and cloud_id are both set"),
        ({"api_key": HIDDEN, "api_key_file": "/dev/null"}, "api_key and api_key_file are both set"),
        ({"username": "u", "password": HIDDEN, "password_file": "/dev/null"}, "password and password_file are both"),
        ({"ca_file": "/dev/null", "fingerprint": "0" * 64}, "ca_file and fingerprint are both set"),
        ({"api_key": HIDDEN, "username": "u", "password": HIDDEN}, "username or password are both set"),
        ({"api_key_file": "/dev/null", "password_file": "/dev/null"}, "username or password are both set"),
        ({"username": "u"}, "belong together"),
        ({"password": HIDDEN}, "belong together"),
        ({"key_file": "/dev/null"}, "certificate_file and key_file belong together"),
        ({"hosts": [HOST, "http://es-2"], "ca_file": "/dev/null"}, "ca_file is set, and http://es-2 has no TLS"),
        ({"hosts": ["http://es-2"], "fingerprint": "0" * 64}, "fingerprint is set, and http://es-2 has no TLS"),
        ({"ca_file": "/no/ca.pem"}, "elasticsearch.ca_file: /no/ca.pem can't be read (No such"),
        ({"api_key_file": "/no/key"}, "elasticsearch.api_key_file: /no/key can't be read (No such"),
        ({"username": "u", "password_file": "/no/pw"}, "elasticsearch.password_file: /no/pw can't be read (No such"),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, Any], words: str) -> None:
    """Nobody believes a connection to be safer than it is, and a missing file is named."""
    with pytest.raises(ConfigError) as refused:
        cluster(Config(elasticsearch=Elasticsearch(**({"hosts": [HOST]} | keys))))
    assert words in str(refused.value)
    assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize("key", ["api_key", "password"])
def test_secrets_come_from_files_and_show_nowhere(tmp_path: Path, key: str) -> None:
    """A secret's file may end with a newline; the cluster's text does not have it."""
    file = tmp_path / "secret"
    file.write_text(f"{HIDDEN}\n")
    who: dict[str, Any] = {"username": "u"} if key == "password" else {}
    found = cluster(Config(elasticsearch=Elasticsearch([HOST], **{f"{key}_file": str(file)} | who)))
    assert getattr(found, key) == HIDDEN
    assert HIDDEN not in repr(found)


@pytest.mark.parametrize(
    ("key", "held", "words"),
    [
        ("api_key", "", "is empty"),
        ("api_key", "\n", "is empty"),
        ("api_key", f"id:{HIDDEN}", "holds is not one; it must be as Elasticsearch gives it out"),
        ("api_key", f"YQ==\n{HIDDEN}", "holds is not one"),
        ("password", "", "is empty"),
        ("password", f"{HIDDEN}\nsecond", "holds has a character that can't be printed"),
        ("ca", "", "is empty"),
        ("ca", "x" * ((1 << 20) + 1), "is too large"),
    ],
)
def test_a_file_that_holds_something_else(tmp_path: Path, key: str, held: str, words: str) -> None:
    """It is named, what it holds is not shown, and an empty one does not pass for none."""
    file = tmp_path / "held"
    file.write_text(held)
    who: dict[str, Any] = {"username": "u"} if key == "password" else {}
    with pytest.raises(ConfigError) as refused:
        cluster(Config(elasticsearch=Elasticsearch([HOST], **{f"{key}_file": str(file)} | who)))
    assert words in str(refused.value)
    assert f"elasticsearch.{key}_file: " in str(refused.value)
    assert str(file) in str(refused.value)
    assert HIDDEN not in str(refused.value)
