"""One performance of all scripts that were chosen; its figures at the end of the run."""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path

import pytest
import structlog

from tests.fidelity.performance import Result, perform
from tests.fidelity.person import SCRIPTS, Script
from tests.fidelity.report import table

TABLE = os.environ.pop("CGTRAIL_FIDELITY_TABLE", "")
"""A file for the figures. Taken out: `cgtrail` refuses variables of its own that it does not know."""
_RESULTS = pytest.StashKey[dict[Script, Result]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each script."""
    if "script" in metafunc.fixturenames:
        load()
        names = [f"{script.program}: {script.title}{' (blind)' * script.blind}" for script in SCRIPTS]
        metafunc.parametrize("script", SCRIPTS, ids=names)


def load() -> None:
    """Import all scripts."""
    for folder in ("scripts", "blind"):
        for file in sorted((Path(__file__).parent / folder).glob("[a-z]*.py")):
            importlib.import_module(f"tests.fidelity.{folder}.{file.stem}")


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[Script, Result]:
    """Of all scripts of this run."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    chosen = [item.callspec.params.get("script") for item in request.session.items if hasattr(item, "callspec")]
    scripts = [script for script in chosen if isinstance(script, Script)]
    found = perform(scripts, tmp_path_factory.mktemp("fidelity"))
    structlog.reset_defaults()
    request.config.stash[_RESULTS] = found
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The figures."""
    found = config.stash.get(_RESULTS, None)
    if found is None:
        return
    said = table(found.values())
    terminalreporter.section("fidelity: what was told, of all that was typed")
    terminalreporter.write_line(said)
    if TABLE:
        Path(TABLE).write_text(said + "\n")
