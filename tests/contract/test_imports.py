"""Who may import what, and how big a file may grow."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_ERROR, EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bpf", "shipper", "enrich", "cgtrail")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
VAGUE = {"common", "utils", "util", "helpers", "helper", "core", "base", "manager", "misc"}
PROBE_LINES, MODULE_LINES = 160, 300
"""Beyond these a file is split; design.md aims lower."""


def imports(path: Path) -> Iterator[str]:
    """The full names of what a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(package: str, within: str) -> set[str]:
    """The files of one of our packages that import a package."""
    found = (path for path in MODULES if path.is_relative_to(ROOT / within))
    return {
        path.relative_to(ROOT).as_posix()
        for path in found
        if any(name.partition(".")[0] == package for name in imports(path))
    }


@pytest.fixture
def _in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))  # import-linter adds to it


@pytest.mark.usefixtures("_in_root")
def test_the_declared_contracts_hold() -> None:
    """import-linter keeps every contract of pyproject.toml."""
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.mark.usefixtures("_in_root")
def test_a_broken_contract_would_be_noticed(tmp_path: Path) -> None:
    """The same layers in the opposite order are refused."""
    layers = '["bpf", "shipper", "enrich", "cgtrail"]'
    contract = f'name = "Backwards"\ntype = "layers"\nlayers = {layers}\n'
    config = tmp_path / "backwards.toml"
    config.write_text(f"[tool.importlinter]\nroot_packages = {layers}\n[[tool.importlinter.contracts]]\n{contract}")
    assert lint_imports(config_filename=str(config), no_cache=True) == EXIT_STATUS_ERROR


def test_the_contract_needs_the_standard_library_only() -> None:
    """Whatever `bpf` imports comes with Python, or is `bpf` itself."""
    roots = {name.partition(".")[0] for path in (ROOT / "bpf").rglob("*.py") for name in imports(path)}
    assert roots <= sys.stdlib_module_names | {"bpf"}


def test_enrich_takes_only_what_the_shipper_publishes() -> None:
    """Of shipper, workers import shipper.wire and nothing else."""
    taken = {name for path in MODULES if path.is_relative_to(ROOT / "enrich") for name in imports(path)}
    ours = {name for name in taken if name.partition(".")[0] == "shipper"}
    assert all(f"{name}.".startswith("shipper.wire.") for name in ours), ours


def test_nobody_imports_the_front_door() -> None:
    """The `cgtrail` package is the outermost: only itself imports it."""
    assert importers("cgtrail", ".") <= {path.relative_to(ROOT).as_posix() for path in (ROOT / "cgtrail").rglob("*.py")}


def test_clients_are_used_in_one_place() -> None:
    """One module speaks HTTP/2, one reads YAML, Kafka has one in each part; Docker's client is for tests alone."""
    assert importers("docker", ".") == set()
    assert importers("h2", ".") == {"shipper/runtimes/grpc.py"}
    assert len(importers("yaml", ".")) == 1
    own = {"shipper/publish/client.py", "enrich/kafka/client.py", "cgtrail/kafka/admin.py"}
    assert importers("confluent_kafka", ".") <= own
    own = {"enrich/elasticsearch/client.py", "enrich/elasticsearch/node.py"}
    assert importers("elasticsearch", ".") | importers("elastic_transport", ".") <= own


def test_luqum_is_used_in_one_place() -> None:
    """One module of the local store speaks to the query parser."""
    found = importers("luqum", ".")
    assert len(found) == 1, found
    assert all(name.startswith("enrich/stores/") for name in found)


def test_sqlite_stays_in_the_local_store() -> None:
    """Only the local store's reader and writer know SQLite, and a worker's own files."""
    own = {"enrich/checkpoint.py", "enrich/letters.py", "enrich/statefile.py", "enrich/sinks/sqlite.py"}
    assert all(name.startswith("enrich/stores/") or name in own for name in importers("sqlite3", "."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_has_a_subject(path: Path) -> None:
    """No file or folder of code is named after nothing."""
    assert not VAGUE & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_fits_a_head(path: Path) -> None:
    """A Python module has at most 300 lines."""
    assert len(path.read_text().splitlines()) <= MODULE_LINES


@pytest.mark.parametrize("path", sorted((ROOT / "bpf").glob("*.bpf.c")), ids=lambda path: path.name)
def test_a_probe_fits_a_head(path: Path) -> None:
    """A kernel program's file has at most 160 lines."""
    assert len(path.read_text().splitlines()) <= PROBE_LINES


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.name)
def test_a_test_says_what_it_promises(path: Path) -> None:
    """Every test module, and every test in it, has a docstring."""
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert ast.get_docstring(tree)
    assert not [node.name for node in functions if node.name.startswith("test_") and not ast.get_docstring(node)]
