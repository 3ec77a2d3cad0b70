"""Reads what runtimes' answers have in common: text that may be anything, labels, pods, times."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

_FRACTION = re.compile(r"\.(\d{1,9})\d*")
_SECOND = 1_000_000_000


def text(value: object) -> str:
    """JSON can hold what UTF-8 can't: lone surrogates become question marks. What is no text is shown as such."""
    return str(value).encode(errors="replace").decode()


def labels(told: object) -> dict[str, str]:
    """Labels, as far as they are a mapping."""
    return {text(key): text(value) for key, value in told.items()} if isinstance(told, Mapping) else {}


def pod(told: Mapping[str, str]) -> dict[str, Any]:
    """What Kubernetes' labels on a container (kubelet's, CRI) say of its pod: fields of `Metadata`."""
    return {
        "pod_id": told.get("io.kubernetes.pod.uid", ""),
        "pod": told.get("io.kubernetes.pod.name", ""),
        "namespace": told.get("io.kubernetes.pod.namespace", ""),
    }


def nanoseconds(told: object) -> int:
    """Since 1970, of a time as in RFC 3339 with up to nine digits, or of seconds; 0 for what is neither."""
    try:
        if isinstance(told, int | float):
            return bounded(int(told) * _SECOND)
        if not isinstance(told, str):
            return 0
        fraction = _FRACTION.search(told)
        moment = dt.datetime.fromisoformat(_FRACTION.sub("", told))
        whole = int(moment.replace(tzinfo=moment.tzinfo or dt.UTC).timestamp())
    except (ValueError, OverflowError):
        return 0
    return bounded(whole * _SECOND + (int(fraction[1].ljust(9, "0")) if fraction else 0))


def bounded(nanoseconds: int) -> int:
    """A time that a record can hold; 0 for what can be none."""
    return nanoseconds if 0 <= nanoseconds < 1 << 63 else 0
