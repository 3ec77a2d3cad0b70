"""What is derived from the declarations is up to date, and the names that documents use are real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import shipper.wire.records  # noqa: F401  declares its records
from bpf import generate
from bpf.schema import RECORDS, Record
from enrich.fields import FIELDS
from shipper.objects import families

ROOT = Path(generate.__file__).parent.parent


@pytest.mark.parametrize("path", generate.GENERATED, ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_files_are_fresh(path: Path) -> None:
    """A generated file holds what its declarations say; otherwise run `python -m bpf.generate`."""
    assert path.read_text() == generate.GENERATED[path]()


def test_a_stale_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` fails and names what is out of date, and changes nothing; without it the file is written."""
    stale = tmp_path / "events.h"
    stale.write_text("old")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "GENERATED", {stale: generate.header})
    assert generate.main(["--check"]) == 1
    assert stale.read_text() == "old"
    assert "events.h is out of date" in capsys.readouterr().err
    assert generate.main([]) == 0
    assert stale.read_text() == generate.header()
    assert generate.main(["--check"]) == 0


def test_every_record_has_a_program_and_every_program_a_record() -> None:
    """The families that records name are the kernel programs that exist, but for the one that user space runs."""
    programs = {f"{family}.bpf.c" for family in families()} | {"control.bpf.c"}
    assert programs == {path.name for path in (ROOT / "bpf").glob("*.bpf.c")}


def test_records_of_the_kernel_and_of_user_space_are_told_apart() -> None:
    """Numbers below 256 are the kernel's and name their family; the rest are the agent's and name none."""
    for number, cls in RECORDS.items():
        assert (number < 256) == bool(cls.layout.family), cls.__name__


def test_structures_have_the_declared_sizes() -> None:
    """The header asserts for every kernel record the size that the decoder expects."""
    sizes = dict(re.findall(r"_Static_assert\(sizeof\(struct cgtrail_(\w+)\) == (\d+)", generate.header()))
    for cls in generate.kernel_records():
        assert int(sizes[generate.c_name(cls.__name__)]) == cls.layout.fixed.size


@pytest.mark.parametrize("cls", RECORDS.values(), ids=lambda cls: cls.__name__)
def test_names_in_documents_are_unique_in_a_record(cls: type[Record]) -> None:
    """No two fields of a record claim the same place in its documents."""
    names = [f.ecs for f in cls.layout.fields() if f.ecs]
    assert len(names) == len(set(names))


def test_no_field_is_another_ones_object() -> None:
    """A field that holds a value has no fields below it: Elasticsearch would refuse the document."""
    flattened = {name for name, declared in FIELDS.items() if declared.type == "flattened"}
    for name in FIELDS.keys() - flattened:
        assert not [other for other in FIELDS if other.startswith(f"{name}.")], name


def test_every_field_has_a_meaning() -> None:
    """Every field that may be searched says what it holds."""
    assert not [name for name, declared in FIELDS.items() if not declared.meaning]
