"""The declared layout of every record is that of the built kernel programs, by their own type information (BTF)."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

import bpf
from bpf.schema import RECORDS, Record
from shipper.kernel_maps import CONTROL, LOSS_KEY, WATCHED

Layout = dict[str, tuple[int, int]]
"""Field → offset and size in bytes."""
KERNEL_RECORDS = [cls for cls in RECORDS.values() if cls.layout.family]
SBIN = os.pathsep + "/usr/sbin"


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def structure(cls: type[Record]) -> str:
    return f"cgtrail_{snake(cls.__name__)}"


@dataclass
class Types:
    """The types of one object, by BTF (https://docs.kernel.org/bpf/btf.html)."""

    by_id: dict[int, dict[str, Any]]
    structs: dict[str, dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.structs = {t["name"]: t for t in self.by_id.values() if t["kind"] == "STRUCT"}

    def size(self, type_id: int) -> int:
        """Bytes of a type."""
        kind = self.by_id[type_id]
        if kind["kind"] == "ARRAY":
            return cast("int", kind["nr_elems"]) * self.size(kind["type_id"])
        return cast("int", kind["size"]) if "size" in kind else self.size(kind["type_id"])

    def layout(self, name: str) -> Layout:
        """The fields of a record's structure, those of its blocks included and the flexible tail not."""
        found: Layout = {}
        for member in self.structs[name]["members"]:
            at, inner = member["bits_offset"] // 8, self.by_id[member["type_id"]]
            if inner["kind"] == "STRUCT":
                found |= {key: (at + offset, size) for key, (offset, size) in self.layout(inner["name"]).items()}
            elif member["name"] != "tail":
                found[member["name"]] = (at, self.size(member["type_id"]))
        return found


def tool(name: str, package: str) -> str:
    found = shutil.which(name, path=os.environ["PATH"] + SBIN)
    assert found, f"{name} is missing: apt-get install {package}"
    return found


def types(family: str) -> Types:
    """The types of a built object."""
    path = Path(bpf.__file__ or "").parent / f"{family}.bpf.o"
    assert path.exists(), f"{path} is missing: make bpf"
    dump = [tool("bpftool", "bpftool"), "-j", "btf", "dump", "file", str(path)]
    dumped = subprocess.run(dump, capture_output=True, check=True)
    return Types({entry["id"]: entry for entry in json.loads(dumped.stdout)["types"]})


def declared(cls: type[Record]) -> Layout:
    """Field → offset and size, by the declaration; a tail's field is its size."""
    found, at = {}, 0
    for declared_field in cls.layout.fields():
        name = f"{declared_field.name}_size" if declared_field.wire.tail else declared_field.name
        found[name] = (at, declared_field.wire.size)
        at += declared_field.wire.size
    return found


@pytest.mark.parametrize("cls", KERNEL_RECORDS, ids=lambda cls: cls.__name__)
def test_fields(cls: type[Record]) -> None:
    """In the object that sends it, each field lies where it is declared, and the fixed part is as long."""
    built = types(cls.layout.family)
    assert built.layout(structure(cls)) == declared(cls)
    assert built.structs[structure(cls)]["size"] == cls.layout.fixed.size


def test_numbers() -> None:
    """The header's numbers are those that are declared."""
    text = (Path(bpf.__file__ or "").parent / "events.h").read_text()
    found = {name.lower(): int(number) for name, number in re.findall(r"CGTRAIL_RECORD_TYPE_(\w+) = (\d+)", text)}
    assert found == {snake(cls.__name__): cls.layout.number for cls in KERNEL_RECORDS}


@pytest.mark.parametrize(
    ("family", "name", "read", "fields"),
    [
        ("cgroup", "watched", WATCHED, ["owner", "watch", "policy", "children", "crowded", "seen"]),
        ("cgroup", "loss_key", LOSS_KEY, ["owner", "cause", "type"]),
        ("control", "control", CONTROL, ["operation", "policy", "cgroup_id", "owner"]),
    ],
    ids=["watched", "loss_key", "control"],
)
def test_maps(family: str, name: str, read: struct.Struct, fields: list[str]) -> None:
    """What user space reads of the kernel's maps, and asks of it, begins with these fields and is as long."""
    built = types(family)
    sizes = [struct.calcsize(f"<{letter}") for letter in read.format.lstrip("<")]
    places = list(zip(itertools.accumulate(sizes, initial=0), sizes, strict=False))
    assert list(built.layout(name).items())[: len(fields)] == list(zip(fields, places, strict=False))
    assert built.structs[name]["size"] == read.size
