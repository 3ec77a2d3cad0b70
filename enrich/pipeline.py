"""The steps, in order. A new step is one file and one line here."""

from __future__ import annotations

from enrich.documents import Documents
from enrich.host import Host
from enrich.item import Step
from enrich.ledger import Ledger
from enrich.processes import ProcessTree
from enrich.registry import RegistryView
from enrich.release import Release


def steps(*, forks: bool = False) -> list[Step]:
    """The steps for one stream, with fresh state. `forks`: processes that were only forked become documents too."""
    host = Host()
    registry = RegistryView(host)
    return [
        host,
        registry,
        Ledger(host, registry),
        ProcessTree(host),
        Release(host, Documents(host, forks=forks)),
    ]
