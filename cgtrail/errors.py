"""Which errors are expected: those end a command with their message alone."""

from __future__ import annotations

import errno
import importlib
import sys

# By name, because importing the modules would make every command slow.
_EXIT_CODES = {
    "cgtrail.config.ConfigError": 2,
    "enrich.secrets.rules.RulesError": 2,
    "enrich.stores.query.QueryError": 2,
    "shipper.tenants.saved.SavedError": 1,
    "shipper.tenants.declare.TenantsError": 2,
    "shipper.control.ControlError": 1,
    "shipper.control_client.AgentError": 1,
    "cgtrail.demo_container.DemoError": 1,
    "cgtrail.serving.ServingError": 1,
    "cgtrail.kafka.admin.AdminError": 1,
    "cgtrail.recordings.find.SessionError": 1,
    "cgtrail.spool.SpoolError": 1,
    "enrich.history.ReplayError": 1,
    "cgtrail.workers.WorkersRefusedError": 2,
    "cgtrail.workers.WorkersError": 1,
    "enrich.kafka.member.FencedError": 1,
    "enrich.elasticsearch.client.ElasticsearchError": 1,
    "enrich.letters.LettersError": 1,
    "enrich.sources.SourceError": 1,
    "enrich.statefile.StateError": 1,
    "enrich.stores.StoreError": 1,
    "shipper.lock.AlreadyRunningError": 1,
    "shipper.publish.client.ClientError": 2,
    "shipper.cgroups.Cgroup2MissingError": 1,
    "shipper.libbpf.BpfError": 1,
    "shipper.memory.MemoryLimitError": 1,
    "shipper.libbpf.LibbpfMissingError": 1,
    "shipper.objects.CaptureError": 1,
    "shipper.spool.SpoolGoneError": 1,
    "shipper.wire.frame.FrameError": 1,
    "cgtrail.supervise.HalfRefusedError": 2,
    "cgtrail.supervise.HalfEndedError": 1,
    "builtins.PermissionError": 1,
    "builtins.OSError": 1,
}

_ADVICE = {
    errno.EROFS: "remount it for writing, or choose another folder with --data",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EACCES: "run it as root, or as the owner of the data folder",
    errno.EPERM: "run it as root, or as the owner of the data folder",
    errno.EMFILE: "raise this process's limit of open files: ulimit -n 1024, or LimitNOFILE=",
    errno.ENFILE: "raise this host's limit of open files: fs.file-max",
    errno.ENAMETOOLONG: "choose another folder with --data",
    errno.ENOTDIR: "choose another folder with --data",
    errno.EEXIST: "remove what is there instead of a folder, or choose another one with --data",
}


def told(error: BaseException) -> str:
    """An expected error's message: ours say what to do; the operating system's are mostly about the data folder."""
    if type(error).__module__ != "builtins" or not isinstance(error, OSError):
        return str(error)
    place = f"{error.filename}: " if error.filename is not None else ""
    advice = _ADVICE.get(error.errno or 0, "can the data folder be written, and has it space?")
    return f"{place}{error.strerror or error}; {advice}; `cgtrail check` tells more"


def expected(error: BaseException) -> int | None:
    """The exit code for an expected error, None for a bug of ours."""
    for name, code in _EXIT_CODES.items():
        module, _, kind = name.rpartition(".")
        if module in sys.modules and isinstance(error, getattr(importlib.import_module(module), kind)):
            return code
    return None
