"""What happens to containers and tenants, in words: documents of the kinds container and tenant."""

from __future__ import annotations

import re
from typing import Any

from enrich.printable import MAX_MARKS, text

DATASETS = ("cgtrail.container", "cgtrail.tenant")
_LONGEST = 200
"""Columns that a name takes at most, of an image or a tenant."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", re.ASCII)
# What Docker, Podman and containerd give a container that asks for nothing.
_USUAL = frozenset(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE",
        "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP",
    )
)  # fmt: skip
_NAMED = 3
"""How many unusual capabilities are named; of more, the number is told."""


def told(document: dict[str, Any]) -> str:
    """One line on what happened, without time and container; safe for a terminal."""
    if document["event"]["dataset"] == "cgtrail.tenant":
        return _tenant(document)
    action = document["event"]["action"]
    what = _ACTIONS.get(action)
    return f"container {what(document) if what else short(action)}"


def dangerous(document: dict[str, Any]) -> bool:
    """A container started that can do to the host what it likes."""
    return document["event"]["action"] == "started" and bool(_risks(document))


def user(document: dict[str, Any]) -> tuple[str, str]:
    """Whose process it is: the id, and the container's name for it, empty where that could pass for somebody else.

    Names are the container's own, which may call any user root, 0, or what looks like it.
    """
    found = document.get("user", {})
    identity, name = short(str(found.get("id", ""))), found.get("name") or ""
    honest = _NAME.fullmatch(name) and (name == "root") == (identity == "0")
    return identity, name if honest else ""


def named(document: dict[str, Any], columns: int | None = None) -> str:
    """The same as one text, alice(1000), of so many columns at most: it is the name that gets shorter. - for nobody."""
    identity, name = user(document)
    room = _LONGEST if columns is None else columns - len(identity) - 2
    if len(name) > room:
        name = f"{name[: room - 1]}…" if room > 1 else ""
    return f"{name}({identity})" if name else identity or "-"


def entry(document: dict[str, Any]) -> str:
    """How whoever did this came in, and in parentheses from where, which is a claim of theirs."""
    leader = document.get("process", {}).get("entry_leader", {}).get("entry_meta", {})
    how = document.get("cgtrail", {}).get("entry") or leader.get("type") or "-"
    address = leader.get("source", {}).get("ip")
    return f"{short(how, 8)} ({short(address, 40)})" if address else short(how, 20)


def short(value: str, columns: int = _LONGEST) -> str:
    """A container's text, escaped, and its beginning where it is longer than makes sense in a line."""
    shown = text(value[: columns * (1 + MAX_MARKS)])
    return shown if len(shown) <= columns and len(value) <= columns else f"{shown[:columns]}…"


def _started(document: dict[str, Any]) -> str:
    risks = "".join(f", {risk}" for risk in _risks(document))
    return f"started{_image(document)}{_by(document)}{risks}{_command(document)}"


def _entered(document: dict[str, Any]) -> str:
    identity, name = user(document)
    whom = f" as {name or identity}" if identity else ""
    return f"entered from outside{_by(document)}{whom}{_command(document)}"


def _died(document: dict[str, Any]) -> str:
    own, code = document.get("cgtrail", {}), document.get("process", {}).get("exit_code")
    how = "" if code is None else f" with exit code {code:d}"
    if "signal" in own:
        how += f" ({short(own['signal'])})"
    if own.get("container", {}).get("oom"):
        how += ", out of memory"
    lived = document["event"].get("duration")
    return f"died{how}" + ("" if lived is None else f", after {duration(lived)}")


def _renamed(document: dict[str, Any]) -> str:
    return f"renamed to {short(document.get('container', {}).get('name', '?'))}"


_ACTIONS = {
    "created": lambda document: f"created{_image(document)}",
    "started": _started,
    "entered": _entered,
    "died": _died,
    "renamed": _renamed,
}


def _tenant(document: dict[str, Any]) -> str:
    tenant, action = document["cgtrail"]["tenant"], document["event"]["action"]
    identity, name = short(_one(tenant["id"])), short(tenant.get("name") or "")
    shown = f"tenant {identity} ({name})" if name and name != identity else f"tenant {identity}"
    policy = tenant.get("policy")
    if policy is None or action in ("removed", "detached"):
        asks = ""
    else:
        asks = f"; it asks for {', '.join(map(short, policy)) or 'nothing'}"
    source = f"; by {short(tenant['source'])}" if tenant.get("source") else ""
    match action:
        case "attached":
            what = f"attached to {shown}"
        case "detached":
            what = f"detached from {shown}"
        case _:
            what = f"{shown} {short(action)}"
    return f"{what}{asks}{source}"


def _image(document: dict[str, Any]) -> str:
    image = document.get("container", {}).get("image", {})
    tag = f":{_one(image['tag'])}" if image.get("tag") else ""
    return f" ({short(image['name'] + tag)})" if image.get("name") else ""


def _by(document: dict[str, Any]) -> str:
    parent = document.get("process", {}).get("parent", {})
    told_of = [
        short(parent[name]) if name == "name" else f"{parent[name]:d}" for name in ("name", "pid") if name in parent
    ]
    return f" by {' '.join(told_of)}" if told_of else ""


def _command(document: dict[str, Any]) -> str:
    process = document.get("process", {})
    return f": {short(process['command_line'], 1000)}" if process.get("command_line") else ""


def _risks(document: dict[str, Any]) -> list[str]:
    privileged = document.get("container", {}).get("security_context", {}).get("privileged")
    risks = ["PRIVILEGED"] if privileged else []
    if document.get("cgtrail", {}).get("container", {}).get("runtime_socket"):
        risks.append("RUNTIME SOCKET MOUNTED")
    capabilities = document.get("process", {}).get("thread", {}).get("capabilities", {}).get("effective", ())
    more = [] if privileged else [short(each) for each in capabilities if each not in _USUAL]
    return risks + (more if len(more) <= _NAMED else [f"{len(more)} MORE CAPABILITIES THAN USUAL"])


def _one(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)


def duration(nanoseconds: int) -> str:
    """Roughly how long: 12 ms, 3.4 s, 5 min 3 s, 2 h 5 min, 3 d 4 h."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if seconds < 1:
        return f"{rest // 1_000_000} ms"
    if seconds < 60:
        return f"{nanoseconds / 1e9:.1f} s"
    for unit, name, part, below in ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86_400, "d", 3600, "h")):
        if seconds < unit * (60 if name == "min" else 24) or name == "d":
            return f"{seconds // unit} {name} {seconds % unit // part} {below}"
    raise AssertionError
