"""A certificate authority of a test's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CONFIG = "[req]\ndistinguished_name=name\n[name]\n"
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """Signs certificates with openssl; all its files are in one folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        (folder / "openssl.cnf").write_text(_CONFIG)
        self.certificate, self._key = self._make("authority", "basicConstraints=critical,CA:TRUE")

    def sign(self, name: str) -> tuple[Path, Path]:
        """Certificate and key (PKCS#8, PEM) of `CN=name`, good for 127.0.0.1."""
        signed_by = ("-CA", str(self.certificate), "-CAkey", str(self._key))
        return self._make(name, "subjectAltName=IP:127.0.0.1,DNS:localhost", *signed_by)

    def _make(self, name: str, extension: str, *signed_by: str) -> tuple[Path, Path]:
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        if not certificate.exists():
            files = ("-config", f"{self._folder}/openssl.cnf", "-keyout", str(key), "-out", str(certificate))
            said = ("-subj", f"/CN={name}", "-addext", extension, "-days", "30")
            argv = ["openssl", "req", "-x509", *_KEY, *files, *said, *signed_by]
            subprocess.run(argv, check=True, capture_output=True, timeout=60)
        return certificate, key
