"""The steps, in order. A new step is one file and one line here."""

from __future__ import annotations

from enrich.arguments import Arguments
from enrich.documents import Documents
from enrich.item import Step
from enrich.secrets.scrub import Scrubber
from enrich.steps.commands import Commands
from enrich.steps.entries import Entries
from enrich.steps.host import Host
from enrich.steps.journal import Journal
from enrich.steps.ledger import Ledger
from enrich.steps.processes import ProcessTree
from enrich.steps.registry import RegistryView
from enrich.steps.release import Release
from enrich.steps.terminals import Terminals
from enrich.terminals.effort import Effort
from enrich.terminals.telling import Telling


def steps(*, forks: bool = False, output: str = "none", scrubber: Scrubber | None = None) -> list[Step]:
    """The steps for one stream, with fresh state.

    `forks`: processes that were only forked become documents too. `output`: which part of what a command showed is
    kept, of `enrich.commands.output.KEPT`.
    `scrubber` takes secrets out of documents; without one, the rules that come with cgtrail do.
    """
    scrubber = scrubber or Scrubber()
    arguments = Arguments(scrubber)
    host = Host()
    registry = RegistryView(host, scrubber)
    tree = ProcessTree(host, arguments)
    documents = Documents(host, arguments, forks=forks)
    telling, effort = Telling(host, documents), Effort()
    commands = Commands(telling, tree, scrubber, effort, output)
    return [
        host,
        registry,
        Ledger(host, registry),
        tree,
        Entries(tree),
        Terminals(host, registry, tree, telling, effort, scrubber, commands),
        commands,
        Journal(host, registry, documents),
        Release(host, documents),
    ]
