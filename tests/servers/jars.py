"""Kafka as its makers publish it: jars of a pinned version, fetched once and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path

VERSION = "4.3.1"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>cgtrail</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
<version>2.25.4</version></dependency></dependencies></project>
"""
_FETCH_SECONDS = 600


def jars() -> Path:
    """The folder with all jars that a broker needs. Raises RuntimeError where they can't be fetched."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cgtrail" / "kafka"
    kept = base / VERSION
    if not kept.is_dir():
        base.mkdir(parents=True, exist_ok=True)
        fetched = Path(tempfile.mkdtemp(prefix=f"{VERSION}.", dir=base))
        try:
            _fetch(fetched)
            # Whoever is first wins: a folder that is there under its name is whole.
            (fetched / "libs").rename(kept)
        except OSError:
            if not kept.is_dir():
                raise
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
    return kept


def archive() -> Path:
    """Where classes are kept as this Java has loaded them (JEP 350): a start takes half the CPU time with it."""
    java = Path(shutil.which("java") or "java").resolve()
    return jars().with_name(f"{VERSION}-{zlib.crc32(f'{java} {java.stat().st_mtime_ns}'.encode()):08x}.jsa")


def _fetch(folder: Path) -> None:
    (folder / "pom.xml").write_text(_POM)
    wanted = ["-DincludeScope=runtime", "-DoutputDirectory=libs"]
    argv = ["mvn", "-q", "-B", "dependency:copy-dependencies", *wanted]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False, timeout=_FETCH_SECONDS)
    if done.returncode:
        message = f"Kafka {VERSION} could not be fetched: {done.stdout[-2000:]}{done.stderr[-500:]}"
        raise RuntimeError(message)
