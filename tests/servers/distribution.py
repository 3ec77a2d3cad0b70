"""Elasticsearch as its makers publish it for tests: fetched once, kept in the user's cache, made ready to run.

The published build is the real server with few modules. The index that holds API keys asks for three pieces of text
analysis that it lacks: `plugin/SecurityIndex.java` stands in for these, and no test counts what they do.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

NEWEST = "9.5.3"
OLDEST = "8.19.21"
_SUMS = {
    NEWEST: "bec49f3b8d00e75c8d1cec85c35298635ec9fbd3ae80ef5aeb6bc05abdb3db2d",
    OLDEST: "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a",
}
"""SHA-256 of the archives that are known."""
_ARTIFACT = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:{}:zip"
_NEEDED_JAVA = 21
_SECONDS = 900
_DESCRIPTOR = """description=what the index of API keys needs
version=1
name=security-index
classname=cgtrail.SecurityIndex
java.version=21
elasticsearch.version={}
"""
AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534")
"""Elasticsearch refuses to run as root: in this user namespace root is nobody, who owns what root owns."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """An Elasticsearch that can be run."""

    home: Path
    java: Path
    """JAVA_HOME of a JDK that is recent enough."""
    password: str
    """Of the user elastic, on this machine: config/elasticsearch.keystore holds it."""


def distribution(version: str) -> Distribution:
    """Fetched, checked and unpacked where it was not yet. Raises RuntimeError that says what is missing."""
    java = _jdk()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cgtrail" / "elasticsearch"
    kept = base / version
    if not kept.is_dir():
        base.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{version}.", dir=base))
        try:
            _make(made, version, java)
            # Whoever is first wins: a folder that is there under its name is whole.
            (made / f"elasticsearch-{version}").rename(kept)
        except OSError:
            if not kept.is_dir():
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return Distribution(kept, java, (kept / "password").read_text())


def environment(java: Path, config: Path, temporary: Path) -> dict[str, str]:
    """In which its programs run."""
    own = {"ES_JAVA_HOME": str(java), "ES_PATH_CONF": str(config), "ES_TMPDIR": str(temporary), "HOME": str(temporary)}
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **own}


def _make(folder: Path, version: str, java: Path) -> None:
    artifact = _ARTIFACT.format(version)
    # It has no pom: get does without, copy only takes it from where get put it.
    for goal in (("get", "-Dtransitive=false"), ("copy", f"-DoutputDirectory={folder}")):
        _run("mvn", "-q", "-B", f"dependency:{goal[0]}", f"-Dartifact={artifact}", goal[1])
    archive = folder / f"elasticsearch-{version}.zip"
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != _SUMS[version]:
        message = f"Elasticsearch {version}: what was fetched has SHA-256 {found}, not {_SUMS[version]}"
        raise RuntimeError(message)
    _run(str(java / "bin" / "jar"), "xf", str(archive), cwd=folder)
    archive.unlink()
    home = folder / f"elasticsearch-{version}"
    for program in (home / "bin").iterdir():
        program.chmod(0o755)
    for name in ("plugins", "logs"):
        (home / name).mkdir(exist_ok=True)
    _plugin(home, version, java)
    password = secrets.token_urlsafe(16)
    (home / "password").touch(0o600)
    (home / "password").write_text(password)
    keystore, told = str(home / "bin" / "elasticsearch-keystore"), environment(java, home / "config", folder)
    _run(*AS_NOBODY, keystore, "create", told=told)
    _run(*AS_NOBODY, keystore, "add", "-x", "bootstrap.password", told=told, answer=password)


def _plugin(home: Path, version: str, java: Path) -> None:
    folder = home / "plugins" / "security-index"
    folder.mkdir()
    (folder / "plugin-descriptor.properties").write_text(_DESCRIPTOR.format(version))
    source = Path(__file__).parent / "plugin" / "SecurityIndex.java"
    with tempfile.TemporaryDirectory() as classes:
        options = ("--release", str(_NEEDED_JAVA), "-proc:none", "-nowarn", "-cp", f"{home}/lib/*", "-d", classes)
        _run(str(java / "bin" / "javac"), *options, str(source))
        _run(str(java / "bin" / "jar"), "cf", str(folder / "security-index.jar"), "-C", classes, ".")


def _jdk() -> Path:
    """A JDK that can compile and run it: of JAVA_HOME, of PATH, or any that is installed."""
    named = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    compiler = shutil.which("javac")
    named += [Path(compiler).resolve().parent.parent] if compiler else []
    installed = Path("/usr/lib/jvm")
    named += sorted(installed.iterdir()) if installed.is_dir() else []
    found = {java: _major(java) for java in named if (java / "bin" / "javac").exists()}
    for java, major in found.items():
        if major >= _NEEDED_JAVA:
            return java
    seen = ", ".join(f"{java} ({major})" for java, major in found.items()) or "none"
    message = (
        f"Elasticsearch needs a JDK {_NEEDED_JAVA} or later, with javac; JAVA_HOME, PATH and {installed} have {seen}."
        " Install one, as openjdk-21-jdk-headless or a Temurin, or name it in JAVA_HOME"
    )
    raise RuntimeError(message)


def _major(java: Path) -> int:
    try:
        lines = (java / "release").read_text().splitlines()
        version = next(line for line in lines if line.startswith("JAVA_VERSION=")).partition("=")[2].strip('"')
        return int(version.partition(".")[0])
    except (OSError, StopIteration, ValueError):
        return 0


def _run(*argv: str, cwd: Path | None = None, told: dict[str, str] | None = None, answer: str = "") -> None:
    done = subprocess.run(
        argv, cwd=cwd, env=told, input=answer, capture_output=True, text=True, check=False, timeout=_SECONDS
    )
    if done.returncode:
        message = f"Elasticsearch can't be made ready: {' '.join(argv)}: {done.stdout[-2000:]}{done.stderr[-1000:]}"
        raise RuntimeError(message)
