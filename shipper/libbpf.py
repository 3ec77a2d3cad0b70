"""The part of libbpf.so.1 that the agent uses, as Python objects (https://libbpf.readthedocs.io/en/latest/api.html)."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import CFUNCTYPE, c_bool, c_char_p, c_int, c_size_t, c_uint32, c_ulonglong, c_void_p
from pathlib import Path
from types import TracebackType
from typing import Self

_PRINT = CFUNCTYPE(c_int, c_int, c_char_p, c_void_p)
_libc = ctypes.CDLL(None, use_errno=True)
_log: list[str] = []
_LOG_MESSAGES = 12
_NOEXIST = 1
"""BPF_NOEXIST of <linux/bpf.h>."""
_BATCH = 1024
"""Entries that one call reads of a map; more than a bucket of a hash ever holds here."""
_RECURSION_MISSES = 208
"""Offset of struct bpf_prog_info's recursion_misses in <linux/bpf.h>."""


class BpfError(OSError):
    """What libbpf or the kernel refused: errno, and libbpf's own words in `log`."""

    def __init__(self, what: str, number: int) -> None:
        super().__init__(number, f"{what}: {os.strerror(number)}")
        self.log = "".join(_log[-_LOG_MESSAGES:])  # the end has the reason; relocations fill the rest


class LibbpfMissingError(RuntimeError):
    """libbpf.so.1 is not installed."""


def _print(_level: int, template: bytes, arguments: int) -> int:
    buffer = ctypes.create_string_buffer(1 << 16)
    _libc.vsnprintf(buffer, c_size_t(len(buffer)), template, c_void_p(arguments))
    _log.append(buffer.value.decode(errors="backslashreplace"))
    return 0


_print_callback = _PRINT(_print)
"""Kept here: libbpf calls it for as long as the process lives."""


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        message = f"{error}; install it: apt-get install libbpf1"
        raise LibbpfMissingError(message) from error
    pointers = {
        "bpf_object__open_file": [c_char_p, c_void_p],
        "bpf_object__next_program": [c_void_p, c_void_p],
        "bpf_object__next_map": [c_void_p, c_void_p],
        "bpf_program__attach": [c_void_p],
        "bpf_map__initial_value": [c_void_p, ctypes.POINTER(c_size_t)],
    }
    for name, arguments in pointers.items():
        getattr(library, name).restype = c_void_p
        getattr(library, name).argtypes = arguments
    for name in ("bpf_program__name", "bpf_map__name"):
        getattr(library, name).restype = c_char_p
        getattr(library, name).argtypes = [c_void_p]
    numbers = {
        "bpf_object__load": [c_void_p],
        "bpf_program__set_autoload": [c_void_p, c_bool],
        "bpf_map__fd": [c_void_p],
        "bpf_map__reuse_fd": [c_void_p, c_int],
        "bpf_map__set_max_entries": [c_void_p, c_uint32],
        "bpf_program__fd": [c_void_p],
        "bpf_obj_get_info_by_fd": [c_int, c_void_p, ctypes.POINTER(c_uint32)],
        "bpf_link__fd": [c_void_p],
        "bpf_link__destroy": [c_void_p],
        "bpf_iter_create": [c_int],
        "bpf_prog_test_run_opts": [c_int, c_void_p],
        "bpf_map_lookup_elem": [c_int, c_void_p, c_void_p],
        "bpf_map_update_elem": [c_int, c_void_p, c_void_p, c_ulonglong],
        "bpf_map_delete_elem": [c_int, c_void_p],
        "bpf_map_lookup_batch": [c_int] + 4 * [c_void_p] + [ctypes.POINTER(c_uint32), c_void_p],
        "libbpf_num_possible_cpus": [],
    }
    for name, arguments in numbers.items():
        getattr(library, name).restype = c_int
        getattr(library, name).argtypes = arguments
    library.bpf_object__close.restype = None
    library.bpf_object__close.argtypes = [c_void_p]
    library.libbpf_set_print(_print_callback)
    return library


_library: ctypes.CDLL | None = None


def _lib() -> ctypes.CDLL:
    global _library  # noqa: PLW0603  loaded on first use, so that the command's other parts work without libbpf
    if _library is None:
        _library = _load()
    return _library


def possible_cpus() -> int:
    """Number of CPUs the kernel could ever have (the size of per-CPU state)."""
    return int(_lib().libbpf_num_possible_cpus())


class _RunOptions(ctypes.Structure):
    """struct bpf_test_run_opts of <bpf/bpf.h>; what it has more in a newer libbpf is not given."""

    # fmt: off
    _fields_ = (("size", c_size_t), ("data", 2 * c_void_p), ("data_sizes", 2 * c_uint32), ("context", c_void_p),
                ("context_out", c_void_p), ("context_size", c_uint32), ("context_out_size", c_uint32),
                ("result", c_int), ("unused", 5 * c_uint32))
    # fmt: on


class Program:
    """A loaded program that nothing in the kernel starts (SEC("syscall")), by file descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def run(self, context: bytes) -> int:
        """Run it with this context (bpf(2), BPF_PROG_TEST_RUN); what it returns. Raises BpfError."""
        buffer, size = ctypes.create_string_buffer(context, len(context)), ctypes.sizeof(_RunOptions)
        options = _RunOptions(size, context=ctypes.addressof(buffer), context_size=len(context))
        error = _lib().bpf_prog_test_run_opts(self.fd, ctypes.byref(options))
        if error:
            what = "running a BPF program"
            raise BpfError(what, -error)
        return int(options.result)


class Map:
    """A BPF map by file descriptor, with keys and values as bytes in the kernel's layout."""

    def __init__(self, fd: int, key_size: int, value_size: int) -> None:
        self.fd, self._key_size, self._value_size = fd, key_size, value_size

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        value = ctypes.create_string_buffer(self._value_size)
        return value.raw if _lib().bpf_map_lookup_elem(self.fd, key, value) == 0 else None

    def set(self, key: bytes, value: bytes, *, keep: bool = False) -> None:
        """Add or replace; with `keep` a value that is there stays. Raises BpfError, E2BIG when the map is full."""
        error = _lib().bpf_map_update_elem(self.fd, key, value, _NOEXIST if keep else 0)
        if error and not (keep and error == -errno.EEXIST):
            what = "updating a BPF map"
            raise BpfError(what, -error)

    def delete(self, key: bytes) -> None:
        """Remove a key if it is there."""
        _lib().bpf_map_delete_elem(self.fd, key)

    def read(self) -> tuple[bytes, bytes]:
        """Every key and, in the same order, every value, of a hash; what is added or removed meanwhile may be missing.

        Raises BpfError.
        """
        keys, values = bytearray(), bytearray()
        some_keys = ctypes.create_string_buffer(_BATCH * self._key_size)
        some_values = ctypes.create_string_buffer(_BATCH * self._value_size)
        at, count, error = c_uint32(), c_uint32(), 0
        after = None
        while not error:
            count.value = _BATCH
            following = ctypes.byref(at)
            error = _lib().bpf_map_lookup_batch(self.fd, after, following, some_keys, some_values, count, None)
            if error not in {0, -errno.ENOENT}:  # no entry is left: the last of them may have come with that answer
                what = "reading a BPF map"
                raise BpfError(what, -error)
            keys += memoryview(some_keys)[: count.value * self._key_size]
            values += memoryview(some_values)[: count.value * self._value_size]
            after = following
        return bytes(keys), bytes(values)


class Link:
    """An attached program; closing it detaches."""

    def __init__(self, pointer: int, program_fd: int) -> None:
        self._pointer, self._program_fd = pointer, program_fd

    def recursion_misses(self) -> int:
        """How often the program was not run because it was running on that processor already."""
        info = ctypes.create_string_buffer(_RECURSION_MISSES + 8)
        size = c_uint32(len(info))
        if _lib().bpf_obj_get_info_by_fd(self._program_fd, info, ctypes.byref(size)):
            return 0
        return int.from_bytes(info.raw[_RECURSION_MISSES:], "little")

    def run_iterator(self) -> None:
        """For an iterator: run it once, to its end. Other threads run meanwhile."""
        fd = _lib().bpf_iter_create(_lib().bpf_link__fd(self._pointer))
        if fd < 0:
            what = "starting a BPF iterator"
            raise BpfError(what, -fd)
        try:
            while _read_on(fd):
                pass
        finally:
            os.close(fd)

    def close(self) -> None:
        """Detach."""
        if self._pointer:
            _lib().bpf_link__destroy(self._pointer)
            os.close(self._program_fd)
            self._pointer = 0


def _read_on(fd: int) -> bool:
    try:
        return bool(os.read(fd, 4096))
    except BlockingIOError:  # a million objects and nothing to read (kernel/bpf/bpf_iter.c); it goes on from there
        return True


class Object:
    """A BPF object file, opened: choose what to load, share maps, load, attach. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        _log.clear()
        ctypes.set_errno(0)
        self._pointer = _lib().bpf_object__open_file(str(path).encode(), None)
        if not self._pointer:
            what = f"opening {path}"
            raise BpfError(what, ctypes.get_errno())
        self.programs = self._all(_lib().bpf_object__next_program, _lib().bpf_program__name)
        self.maps = self._all(_lib().bpf_object__next_map, _lib().bpf_map__name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the object. Links stay attached, maps stay as long as somebody holds them."""
        if self._pointer:
            _lib().bpf_object__close(self._pointer)
            self._pointer = None

    def _all(self, following: ctypes._NamedFuncPointer, name: ctypes._NamedFuncPointer) -> dict[str, int]:
        found: dict[str, int] = {}
        pointer = following(self._pointer, None)
        while pointer:
            found[name(pointer).decode()] = pointer
            pointer = following(self._pointer, pointer)
        return found

    def choose(self, program: str) -> None:
        """Load only this program."""
        for name, pointer in self.programs.items():
            _lib().bpf_program__set_autoload(pointer, name == program)

    def size_map(self, name: str, entries: int) -> None:
        """Set a map's size before loading; for a ring, bytes."""
        self._check(_lib().bpf_map__set_max_entries(self.maps[name], entries), f"sizing map {name}")

    def share_map(self, name: str, fd: int) -> None:
        """Use a map that exists instead of creating one."""
        self._check(_lib().bpf_map__reuse_fd(self.maps[name], fd), f"sharing map {name}")

    def set_rodata(self, value: bytes) -> None:
        """Set the beginning of the constants that the program was compiled to read."""
        size = c_size_t()
        names = [name for name in self.maps if name.endswith(".rodata")]
        address = _lib().bpf_map__initial_value(self.maps[names[0]], ctypes.byref(size))
        ctypes.memmove(address, value, min(len(value), size.value))

    def load(self) -> None:
        """Relocate and load the chosen programs. Raises BpfError with the verifier's words."""
        self._check(_lib().bpf_object__load(self._pointer), "loading")

    def map_fd(self, name: str) -> int:
        """A loaded map's file descriptor, a duplicate that outlives this object."""
        return os.dup(_lib().bpf_map__fd(self.maps[name]))

    def runnable(self, program: str) -> Program:
        """A loaded program, by a file descriptor that outlives this object."""
        return Program(os.dup(_lib().bpf_program__fd(self.programs[program])))

    def attach(self, program: str) -> Link:
        """Attach a loaded program where its section says. Raises BpfError."""
        pointer = _lib().bpf_program__attach(self.programs[program])
        if not pointer:
            what = f"attaching {program}"
            raise BpfError(what, ctypes.get_errno())
        return Link(pointer, os.dup(_lib().bpf_program__fd(self.programs[program])))

    @staticmethod
    def _check(result: int, what: str) -> None:
        if result < 0:
            raise BpfError(what, -result)
