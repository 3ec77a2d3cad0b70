"""Writes what is derived from the declarations: `python -m bpf.generate` (`--check`: only say what is out of date)."""

from __future__ import annotations

import inspect
import sys
from enum import Enum
from pathlib import Path

from bpf import enums, events
from bpf.schema import RECORDS, Field, Record

ROOT = Path(__file__).resolve().parent.parent
INTRODUCTION = """\
What the kernel programs record. A record is a header, blocks of fixed-size fields and a tail of texts; all
numbers are little-endian. A field with a document name appears in documents under it.
"""
BY = "bpf/events.py, by python -m bpf.generate"


def kernel_records() -> list[type[Record]]:
    """The records that kernel programs send, in the order of their numbers."""
    return [cls for number, cls in sorted(RECORDS.items()) if cls.__module__ == events.__name__]


def c_name(name: str) -> str:
    """The C name of a class: ExecFailed is exec_failed."""
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def header() -> str:
    """`bpf/events.h`: the structures, numbers and flags, with a size assertion for each structure."""
    blocks: dict[str, tuple[Field, ...]] = {}
    for cls in kernel_records():
        blocks.update(dict(cls.layout.blocks))
    parts = [
        f"/* Generated from {BY}. */\n#ifndef CGTRAIL_EVENTS_H\n#define CGTRAIL_EVENTS_H\n\n#include <linux/types.h>\n",
        _enum("record_type", {c_name(cls.__name__): cls.layout.number or 0 for cls in kernel_records()}),
        *(_enum(c_name(enum.__name__), {m.name.lower(): m.value for m in enum}) for enum in _enums()),
    ]
    parts += [_block(name, fields) for name, fields in blocks.items()]
    parts += [_structure(cls) for cls in kernel_records()]
    return "\n".join([*parts, _union(), "#endif\n"])


def _enums() -> list[type[Enum]]:
    return [
        e for e in vars(enums).values() if inspect.isclass(e) and e.__module__ == enums.__name__ and issubclass(e, Enum)
    ]


def _enum(name: str, members: dict[str, int]) -> str:
    rows = "".join(f"    CGTRAIL_{name.upper()}_{member.upper()} = {value},\n" for member, value in members.items())
    return f"enum cgtrail_{name} {{\n{rows}}};\n"


def _block(name: str, fields: tuple[Field, ...]) -> str:
    rows = "".join(f"    {_member(f)} /* {f.meaning} */\n" for f in fields)
    size = sum(f.wire.size for f in fields)
    struct = f"struct cgtrail_{c_name(name)}_block"
    return f'{struct} {{\n{rows}}};\n_Static_assert(sizeof({struct}) == {size}, "{struct}");\n'


def _member(declared: Field) -> str:
    name = f"{declared.name}_size" if declared.wire.tail else declared.name
    count = f"[{declared.wire.size}]" if declared.wire.ctype == "char" else ""
    return f"{declared.wire.ctype} {name}{count};"


def _structure(cls: type[Record]) -> str:
    rows = "".join(f"    struct cgtrail_{c_name(name)}_block {c_name(name)};\n" for name, _ in cls.layout.blocks)
    struct = f"struct cgtrail_{c_name(cls.__name__)}"
    size = cls.layout.fixed.size
    tail = "    __u8 tail[];\n" if cls.layout.tails else ""
    return (
        f'/* {cls.__doc__} */\n{struct} {{\n{rows}{tail}}};\n_Static_assert(sizeof({struct}) == {size}, "{struct}");\n'
    )


def _union() -> str:
    rows = "".join(f"    struct cgtrail_{c_name(cls.__name__)} {c_name(cls.__name__)};\n" for cls in kernel_records())
    return f"/* Any of them. */\nunion cgtrail_record {{\n{rows}}};\n"


def reference() -> str:
    """`docs/events.md`: every record of the kernel, with its fields, their ECS names and meanings."""
    parts = [
        "# Events\n",
        f"<!-- Generated from {BY}. -->\n",
        INTRODUCTION,
    ]
    blocks: dict[str, tuple[type[Record], tuple[Field, ...]]] = {}
    for cls in kernel_records():
        for base in reversed(cls.__mro__):
            blocks |= {name: (base, fields) for name, fields in cls.layout.blocks if base.__name__ == name}
    parts += ["## Records\n", "| number | record | blocks | event.action | what it is |", "|---|---|---|---|---|"]
    for cls in kernel_records():
        names = ", ".join(name for name, _ in cls.layout.blocks)
        action = f"`{cls.layout.action}`" if cls.layout.action else ""
        parts.append(f"| {cls.layout.number} | {cls.__name__} | {names} | {action} | {_line(cls)} |")
    for name, (cls, fields) in blocks.items():
        parts += [f"\n## {name}\n", f"{_line(cls)}\n", "| field | type | in documents | meaning |", "|---|---|---|---|"]
        for f in fields:
            kind = (
                "bytes"
                if f.wire.tail
                else f"{f.wire.ctype.removeprefix('__')}{'[16]' if f.wire.ctype == 'char' else ''}"
            )
            parts.append(f"| {f.name} | {kind} | {f'`{f.ecs}`' if f.ecs else ''} | {f.meaning} |")
    return "\n".join(parts) + "\n"


def _line(cls: type[Record]) -> str:
    return " ".join((cls.__doc__ or "").split())


GENERATED = {ROOT / "bpf" / "events.h": header, ROOT / "docs" / "events.md": reference}


def main(arguments: list[str]) -> int:
    """Write the generated files, or with --check say which differ from their declarations. Returns the exit code."""
    stale = [path for path, render in GENERATED.items() if not path.exists() or path.read_text() != render()]
    for path in stale:
        if "--check" in arguments:
            print(f"{path.relative_to(ROOT)} is out of date; run: python -m bpf.generate", file=sys.stderr)
        else:
            path.write_text(GENERATED[path]())
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
