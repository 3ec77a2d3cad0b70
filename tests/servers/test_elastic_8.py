"""Elasticsearch 8.19 with the Python client 8.19: what is set up, written and read there is what it is anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cgtrail.elasticsearch.roles import writer
from tests.faults.writer import write
from tests.servers.distribution import OLDEST
from tests.servers.elastic import Elastic, elastic
from tests.servers.recorded import HOSTS, boots

pytestmark = pytest.mark.elasticsearch
CLIENT = "8.19.3"
SECONDS = 300


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elastic]:
    """The oldest server that is supported, over TLS."""
    with elastic(tmp_path_factory.mktemp("elastic8"), tls=True, version=OLDEST) as node:
        yield node


@pytest.fixture(scope="module")
def client() -> Path:
    """A folder with the client of that server, as pip installs it; kept in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cgtrail" / "elasticsearch"
    base.mkdir(parents=True, exist_ok=True)
    folder = base / f"client-{CLIENT}-{sys.version_info.major}.{sys.version_info.minor}"
    if not folder.is_dir():
        fetched = Path(tempfile.mkdtemp(dir=base))
        try:
            argv = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "-q",
                "--target",
                str(fetched / "it"),
                f"elasticsearch=={CLIENT}",
            ]
            subprocess.run(argv, check=True, timeout=SECONDS)
            (fetched / "it").rename(folder)
        except OSError:
            if not folder.is_dir():  # somebody else was first
                raise
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
    return folder


class Cgtrail:
    """Its commands, with the client of a folder and one data folder."""

    def __init__(self, settings: dict[str, str], data: Path, client: Path | None) -> None:
        paths = [str(client)] if client else []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CGTRAIL_")}
        self._told = kept | settings | {"PYTHONPATH": os.pathsep.join([*paths, os.getcwd()]), "CGTRAIL_DATA": str(data)}

    def run(self, *argv: str, code: int = 0) -> str:
        """What it says, on both outputs where it must fail."""
        whole = [sys.executable, "-P", "-m", "cgtrail", *argv]
        done = subprocess.run(whole, env=self._told, capture_output=True, text=True, check=False, timeout=SECONDS)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr


def test_the_newest_client_is_too_new(old: Elastic, tmp_path: Path) -> None:
    """It is said which one to install."""
    newest = Cgtrail(old.settings(), tmp_path, None)
    for command in (("setup", "elasticsearch"), ("search", "x", "--store", "elasticsearch")):
        assert "pip install 'elasticsearch<9'" in newest.run(*command, code=1), command


def test_documents_are_the_same_there(old: Elastic, client: Path, tmp_path: Path) -> None:
    """Set up twice, written with a key that may only create, written again, read back: as from the local store."""
    namespace = old.namespace()
    write(tmp_path / "spool", boots(8, 10, 0), host=HOSTS[0])
    above = Cgtrail(old.settings(namespace=namespace), tmp_path, client)
    above.run("setup", "elasticsearch")
    assert "there, and as it should be" in above.run("setup", "elasticsearch", "--dry-run")
    key = old.key(writer(namespace, reads=False).body["indices"])
    worker = Cgtrail(old.settings(namespace=namespace, api_key=key), tmp_path, client)
    worker.run("enrich", "--once", "--sink", "elasticsearch")
    worker.run("enrich", "--once", "--sink", "sqlite")
    # As if it had never run: everything is sent again, and nothing is there twice.
    for left in [*tmp_path.glob("enrich.elasticsearch*"), *tmp_path.glob("spool/readers/elasticsearch*")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    worker.run("enrich", "--once", "--sink", "elasticsearch")
    old.ask("POST", f"logs-cgtrail.*-{namespace}/_refresh")
    asked = ("search", "*", "--json", "--limit", "1000000", "--sort", "asc")
    here, there = above.run(*asked), above.run(*asked, "--store", "elasticsearch")
    documents = [json.loads(line) for line in there.splitlines()]
    assert len(documents) > 100
    assert documents == [json.loads(line) for line in here.splitlines()]
    some = ("search", "event.kind:event AND NOT process.name:sh", "--json", "--limit", "1000000")
    assert above.run(*some) == above.run(*some, "--store", "elasticsearch")
    assert above.run("sessions", "--json") == above.run("sessions", "--json", "--store", "elasticsearch")
