"""Whose documents and of when, as conditions of a query: the same in every store."""

from __future__ import annotations

import re

from enrich.stores.query import Gap, Query, Range, Term, Wildcard, all_of, any_of

TENANTS = "cgtrail.tenant.id"
"""The field that may have many values."""
_INT64_MAX = (1 << 63) - 1


def whose(container: str | None, tenant: str | None) -> Query:
    """The documents of a container, as `Store.search` takes it, that are also a tenant's; None is any."""
    parts: list[Query] = []
    if container is not None:
        parts.append(_container(container))
    if tenant is not None:
        parts.append(Term(TENANTS, tenant))
    return all_of(parts)


def narrowed(
    query: Query, container: str | None, tenant: str | None, since: int | None = None, until: int | None = None
) -> Query:
    """A query and all that narrows it down. Times are nanoseconds since 1970 that 64 bits hold (`within`)."""
    parts = [query, whose(container, tenant)]
    if since is not None or until is not None:
        parts.append(Range("@timestamp", since, until, include_high=False))
    return all_of(parts)


def within(time: int | None) -> int | None:
    """A bound of time that stores can hold; no document lies beyond."""
    return None if time is None else min(max(time, 0), _INT64_MAX)


def _container(text: str) -> Query:
    name = Term("container.name", text)
    if re.fullmatch("[0-9a-fA-F]{4,64}", text):
        return any_of([name, Wildcard("container.id", (text.lower(), Gap.MANY))])
    return name
