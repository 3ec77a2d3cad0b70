"""What types can't say of [elasticsearch]: URLs, names, fingerprints, and what must be set together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cgtrail.settings import Elasticsearch

_SHOWN = re.compile(r"([^:@?#=\s]*(://|:/))?[^:@?#=\s]*(:\d{0,6})?/?")
"""What can't hold a password: behind a colon come digits, and there is no query."""
_PLACE = r"([\w.-]+|\[[0-9a-fA-F:.]+\])(?::(?P<port>\d{1,5}))?"
_URL = re.compile(rf"https?://{_PLACE}(/[^\s?#,@]*)?", re.ASCII)
_PROXY = re.compile(rf"https?://([^\s/?#@]+@)?{_PLACE}/?", re.ASCII)
_CLOUD = re.compile(r"([^\s:,]+:)?[A-Za-z0-9+/_-]+={0,2}")
_KEY = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}|[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){31}")
_NAMESPACE = re.compile(r"[a-z0-9_.]{1,90}")
"""Elasticsearch takes 100 bytes; a replay's is longer than that of what it repeats."""
_MAX_PORT = 65535


def wrong(own: Elasticsearch) -> Iterator[tuple[str, str]]:
    """Keys that can't be meant as they are, and why. No password and no API key is in it."""
    for place, url in enumerate(own.hosts, 1):
        if "@" in url:
            yield (
                "hosts",
                (
                    f"has a user or a password in the {place}. URL, where they show: they go into"
                    " elasticsearch.username and elasticsearch.password_file, or use elasticsearch.api_key_file"
                ),
            )
        elif not _is_url(_URL, url):
            shown = repr(url) if _SHOWN.fullmatch(url) else f"in its {place}. place what is not shown"
            yield "hosts", f"has {shown}; a node is http(s)://host:port, as in https://es-1.example.org:9200"
    if own.proxy and not _is_url(_PROXY, own.proxy):
        shown = repr(own.proxy) if _SHOWN.fullmatch(own.proxy) else "what is not shown"
        yield "proxy", f"is {shown}; it must be a URL, as in http://proxy.example.org:3128"
    if own.cloud_id and not _CLOUD.fullmatch(own.cloud_id):
        yield "cloud_id", f"is {own.cloud_id!r}; it must be as Elastic Cloud shows it, name:letters and digits"
    yield from _wrong_login(own)
    if own.fingerprint and not _FINGERPRINT.fullmatch(own.fingerprint):
        yield "fingerprint", f"is {own.fingerprint!r}; it must be 64 hexadecimal digits, also in pairs with ':' between"
    if not _NAMESPACE.fullmatch(own.namespace) or set(own.namespace) == {"."}:
        wanted = "it must be up to 90 lowercase letters, digits, '_' and '.': no '-', which parts a data stream's name"
        yield "namespace", f"is {own.namespace!r}; {wanted}"


def _wrong_login(own: Elasticsearch) -> Iterator[tuple[str, str]]:
    if ":" in own.username or not own.username.isprintable():
        shown = "what is not shown" if ":" in own.username else repr(own.username)
        wanted = "it must be printable characters without ':' (RFC 7617); a password goes into password_file"
        yield "username", f"is {shown}; {wanted}"
    yield from wrong_secrets(own.api_key, own.password)


def wrong_secrets(api_key: str, password: str) -> Iterator[tuple[str, str]]:
    """What they can't be, wherever they come from."""
    if api_key and not _KEY.fullmatch(api_key):
        yield "api_key", "is not one; it must be as Elasticsearch gives it out under `encoded`, base64 of id:key"
    if not all(char.isprintable() for char in password):
        yield "password", "has a character that can't be printed, which HTTP does not carry (RFC 7617)"


def _is_url(pattern: re.Pattern[str], text: str) -> bool:
    match = pattern.fullmatch(text)
    return match is not None and (match["port"] is None or 0 < int(match["port"]) <= _MAX_PORT)


def disagreement(own: Elasticsearch) -> str:
    """What does not go together, empty where all does: so that nobody believes a connection to be what it is not."""
    for one, other in (
        ("hosts", "cloud_id"),
        ("api_key", "api_key_file"),
        ("password", "password_file"),
        ("ca_file", "fingerprint"),
    ):
        if getattr(own, one) and getattr(own, other):
            return f"elasticsearch.{one} and {other} are both set: leave one out"
    key, password = own.api_key or own.api_key_file, own.password or own.password_file
    if key and (own.username or password):
        return "elasticsearch.api_key (or api_key_file) and username or password are both set: leave one out"
    if bool(own.username) != bool(password):
        return "elasticsearch.username and password_file belong together: one is not set"
    if bool(own.certificate_file) != bool(own.key_file):
        return "elasticsearch.certificate_file and key_file belong together: one is not set"
    tls = next((name for name in ("ca_file", "fingerprint", "certificate_file") if getattr(own, name)), "")
    plain = next((url for url in own.hosts if url.startswith("http:")), "")
    if tls and plain:
        return f"elasticsearch.{tls} is set, and {plain} has no TLS: use https://"
    return ""
