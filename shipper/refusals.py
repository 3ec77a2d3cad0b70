"""Why the kernel refused a program, in words, and what can be done about it."""

from __future__ import annotations

import errno
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shipper.libbpf import BpfError
from shipper.privileges import inner_namespaces, missing_capabilities

BTF = Path("/sys/kernel/btf/vmlinux")
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Of this process or host: the same program would be taken with more of it."""
_VERIFIER = {errno.EINVAL, errno.EACCES, errno.E2BIG, errno.ENOSPC}
_STATISTICS = re.compile(r"processed \d+ insns|verification time|stack depth|peak_states|max_states")
_BEGIN, _END = "BEGIN PROG LOAD LOG --", "-- END PROG LOAD LOG"
_ENOTSUPP = 524
"""The kernel's own number for a hook that this kernel or processor does not have."""
_WORDS = {
    errno.ESRCH: ("this kernel has no such function or tracepoint", "a newer kernel may have it"),
    errno.ENOENT: ("this kernel has no such function or tracepoint", "a newer kernel may have it"),
    errno.EBUSY: ("another program is at this hook already", "end the other tracer"),
    errno.EMFILE: ("too many open files for this process", "raise its limit: ulimit -n 1024, or LimitNOFILE="),
    errno.ENFILE: ("too many open files on this host", "raise fs.file-max"),
    errno.ENOMEM: (
        "the kernel has no memory for it",
        "raise this cgroup's memory limit, or lower capture.ring_bytes",
    ),
    errno.ENOSYS: ("this kernel has no bpf(2)", "boot a kernel with CONFIG_BPF_SYSCALL"),
    _ENOTSUPP: ("this kernel does not support this hook", "a newer kernel may"),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a program is not used, and the next step."""

    reason: str
    advice: str

    def __str__(self) -> str:
        """The reason alone."""
        return self.reason


def refusal(error: BpfError) -> Refusal:
    """What an error of loading or attaching means on this host."""
    number = error.errno or 0
    if number == errno.EPERM:
        return _not_permitted()
    if number in {errno.ESRCH, errno.ENOENT, errno.EINVAL} and not BTF.exists():
        return Refusal(
            f"the kernel's types are not at {BTF} (BTF)",
            "boot a kernel with CONFIG_DEBUG_INFO_BTF (Debian 12 and Ubuntu 24.04 have it), and mount /sys",
        )
    if number in _VERIFIER:
        words = last_words(error.log)
        return Refusal(
            f"the verifier refused it{': ' + words if words else f' ({error.strerror})'}",
            "use a kernel that cgtrail is tested on (README.md), or report it with the output of --verbose",
        )
    reason, advice = _WORDS.get(number, ("", "see --verbose"))
    return Refusal(f"{reason} ({error.strerror})" if reason else f"{error.strerror}", advice)


def last_words(log: str) -> str:
    """The verifier's reason: the last line of its log that is no statistics; empty when there is no log."""
    _, begins, rest = log.rpartition(_BEGIN)
    told = (rest if begins else log).partition(_END)
    if not told[1]:
        return ""
    lines = [line.strip() for line in told[0].splitlines()]
    return next((line for line in reversed(lines) if line and not _STATISTICS.match(line)), "")


def _not_permitted() -> Refusal:
    missing: list[str] = []
    inner: list[str] = []
    with suppress(OSError):  # without /proc it stays unknown
        missing, inner = missing_capabilities(), inner_namespaces()
    if missing:
        return Refusal(f"this process lacks {' and '.join(missing)}", "run it as root, with these capabilities")
    if "user" in inner:
        return Refusal("capabilities of a user namespace do not count for BPF", "run it outside, as the host's root")
    return Refusal(
        "the kernel does not permit this kind of program", "lockdown or the kernel's configuration forbids it"
    )
