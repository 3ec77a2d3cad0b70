"""Records of every class with any values."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

import shipper.wire.records  # noqa: F401  declares its records
from bpf.schema import RECORDS, Field, Record

OWN = ("type", "fixed", "length")
"""Fields that `encode` fills in."""


def values_of(declared: Field) -> st.SearchStrategy[Any]:
    """Any value that a field can carry."""
    if declared.wire.tail:
        return st.binary(max_size=300)
    if declared.wire.ctype == "char":
        return st.binary(max_size=declared.wire.size).filter(lambda name: b"\0" not in name)
    bits = 8 * declared.wire.size
    signed = declared.wire.code.islower()
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


def records_of(cls: type[Record]) -> st.SearchStrategy[Record]:
    """Any record of a class."""
    return st.builds(cls, **{f.name: values_of(f) for f in cls.layout.fields() if f.name not in OWN})


any_record = st.sampled_from(list(RECORDS.values())).flatmap(records_of)
