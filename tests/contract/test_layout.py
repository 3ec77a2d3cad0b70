"""The declared layout of every record is what the compiler makes of the C header, by its own type information."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

import bpf
from bpf.schema import RECORDS, Record

Layout = dict[str, tuple[int, int]]
"""Field → offset and size in bytes."""
KERNEL_RECORDS = [cls for cls in RECORDS.values() if cls.layout.family]
SBIN = os.pathsep + "/usr/sbin"
CLANG = ["-O2", "-g", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu"]


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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Types:
    """The header's types. Programs use them only inside functions, which leaves no trace in the real objects."""
    source = tmp_path_factory.mktemp("layout") / "layout.bpf.c"
    users = "".join(f"struct {structure(cls)} *{structure(cls)};\n" for cls in KERNEL_RECORDS)
    source.write_text(f'#include "events.h"\nenum cgtrail_record_type types;\n{users}')
    header, built = Path(bpf.__file__ or "").parent, str(source.with_suffix(".o"))
    subprocess.run([tool("clang", "clang"), *CLANG, f"-I{header}", "-c", str(source), "-o", built], check=True)
    dump = [tool("bpftool", "bpftool"), "-j", "btf", "dump", "file", built]
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
def test_fields(built: Types, cls: type[Record]) -> None:
    """Each field lies where it is declared, and the fixed part is as long."""
    assert built.layout(structure(cls)) == declared(cls)
    assert built.structs[structure(cls)]["size"] == cls.layout.fixed.size


def test_numbers(built: Types) -> None:
    """The header's numbers are those that are declared."""
    (numbers,) = (kind for kind in built.by_id.values() if kind["name"] == "cgtrail_record_type")
    found = {value["name"].removeprefix("CGTRAIL_RECORD_TYPE_").lower(): value["val"] for value in numbers["values"]}
    assert found == {snake(cls.__name__): cls.layout.number for cls in KERNEL_RECORDS}
