"""Writes the parts of crispmap, itself and all it needs to run, as a CycloneDX bill of materials: ``make wheel``.

Usage: python release/parts.py OUT.cdx.json

The parts are the versions installed beside this Python; what only developers use is left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def needed(start: str, needs: Mapping[str, Sequence[str]]) -> set[str]:
    """Return a part and all that it needs, directly or not."""
    found, waiting = set(), [start]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += needs.get(one, ())
    return found


def reduced(bill: dict[str, Any]) -> dict[str, Any]:
    """Return a bill with the parts alone that crispmap needs."""
    (crispmap,) = (one for one in bill["components"] if one["name"] == "crispmap")
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    kept = needed(crispmap["bom-ref"], needs)
    return bill | {
        "metadata": bill["metadata"] | {"component": crispmap},
        "components": [one for one in bill["components"] if one["bom-ref"] in kept and one is not crispmap],
        "dependencies": [one for one in bill["dependencies"] if one["ref"] in kept],
    }


def main() -> None:
    out = Path(sys.argv[1])
    command = ["environment", sys.executable, "--output-reproducible", "--output-format", "JSON"]
    made = subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", *command], cwd=ROOT, capture_output=True, text=True, check=True
    )
    bill = reduced(json.loads(made.stdout))
    out.write_text(json.dumps(bill, indent=1) + "\n")
    print(f"{out}: {len(bill['components'])} parts")


if __name__ == "__main__":
    main()
