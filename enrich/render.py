"""How a value on the wire is shown in a document, by its kind (`bpf.schema.Wire.kind`)."""

from __future__ import annotations

import base64
import re
import shlex
from functools import lru_cache
from time import gmtime, strftime
from typing import Any

UNSET = 2**32 - 1
_BILLION = 1_000_000_000

# Bit n is the n-th name; include/uapi/linux/capability.h.
_CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


def timestamp(unix_ns: int) -> str:
    """ISO 8601 in UTC with nine digits, as `date_nanos` takes it."""
    seconds, nanoseconds = divmod(unix_ns, _BILLION)
    return f"{_second(seconds)}.{nanoseconds:09d}Z"


@lru_cache(maxsize=16)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(seconds))


def text(raw: bytes) -> tuple[str, str | None]:
    """Bytes as text, and in base64 as well if they are not UTF-8: then each stray byte shows as \\xHH."""
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return raw.decode(errors="backslashreplace"), base64.b64encode(raw).decode()


def arguments(raw: bytes) -> tuple[list[str], str | None]:
    """NUL-terminated arguments as a list; what is cut may lack its last NUL."""
    if not raw:
        return [], None
    shown, encoded = text(raw)
    return shown.removesuffix("\0").split("\0"), encoded


def command_line(args: list[str]) -> str:
    """The arguments in one line, quoted as a POSIX shell would need them."""
    return shlex.join(args)


@lru_cache(maxsize=256)
def capabilities(bits: int) -> tuple[str, ...]:
    """Names of the capabilities in a set; those that are newer than this list as CAP_<number>."""
    return tuple(
        f"CAP_{_CAPABILITIES[bit] if bit < len(_CAPABILITIES) else bit}"
        for bit in range(bits.bit_length())
        if bits >> bit & 1
    )


def device(number: int) -> dict[str, int]:
    """A kernel dev_t (major << 20 | minor) as ECS's char_device."""
    return {"major": number >> 20, "minor": number & 0xFFFFF}


def image(reference: str) -> dict[str, Any]:
    """An image reference as ECS's container.image: name and tag apart; a bare id stays a name."""
    name = _DIGEST.sub("", reference)
    before, colon, tag = name.rpartition(":")
    if colon and "/" not in tag and before != "sha256":
        return {"name": before, "tag": [tag]}
    return {"name": name}
