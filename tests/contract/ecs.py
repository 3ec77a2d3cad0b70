"""Makes `ecs.json`: what the Elastic Common Schema says of the fields that documents have.

`python -m tests.contract.ecs` fetches the definition with npm (it is in the package @elastic/ecs as TypeScript) and
lets node read it. Run it when a field is added that ECS has.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from enrich.elasticsearch.fields import DATA_STREAM
from enrich.fields import FIELDS

VERSION = "9.4.0"
FILE = Path(__file__).parent / "ecs.json"


def main() -> None:
    """Write the file, a field a line."""
    with tempfile.TemporaryDirectory() as folder:
        definition = _fetched(Path(folder))
    used = sorted(name for name in FIELDS.keys() | DATA_STREAM.keys() if name in definition)
    lines = [f"{json.dumps(name)}: {json.dumps(_kept(definition[name]))}" for name in used]
    FILE.write_text(f'{{"version": "{VERSION}", "fields": {{\n' + ",\n".join(lines) + "\n}}\n")


def _fetched(folder: Path) -> dict[str, dict[str, Any]]:
    subprocess.run(["npm", "pack", "--silent", f"@elastic/ecs@{VERSION}"], cwd=folder, check=True, stdout=sys.stderr)
    (packed,) = folder.glob("*.tgz")
    subprocess.run(["tar", "xf", packed.name, "package/generated/ecs_flat.ts"], cwd=folder, check=True)
    source = (folder / "package/generated/ecs_flat.ts").read_text()
    (literal,) = re.findall(r"^export const EcsFlat = (\{.*^\})", source, re.DOTALL | re.MULTILINE)
    (folder / "flat.js").write_text(f"console.log(JSON.stringify({literal}))")
    found: dict[str, dict[str, Any]] = json.loads(subprocess.check_output(["node", "flat.js"], cwd=folder))
    return found


def _kept(field: dict[str, Any]) -> dict[str, Any]:
    """Type, whether it is an array, its multi-fields, and its values: with the event types that each goes with."""
    kept: dict[str, Any] = {"type": field["type"]}
    if "array" in field["normalize"]:
        kept["array"] = True
    if field.get("multi_fields"):
        kept["multi_fields"] = {each["name"]: each["type"] for each in field["multi_fields"]}
    if field.get("allowed_values"):
        kept["allowed"] = {each["name"]: each.get("expected_event_types", []) for each in field["allowed_values"]}
    elif field.get("expected_values"):
        kept["allowed"] = {name: [] for name in field["expected_values"]}
    return kept


if __name__ == "__main__":
    main()
