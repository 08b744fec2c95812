"""What is released: one version, a citation that reads, and a bill of exactly the parts that are needed."""

from __future__ import annotations

import runpy
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
parts = runpy.run_path(str(ROOT / "release" / "parts.py"))


def test_the_citation_names_the_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert len(citation["references"]) >= 5
    assert all(one["title"] and one["authors"] and one["year"] for one in citation["references"])


@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=4)))
def test_what_is_needed_is_closed_and_has_a_reason(needs: dict[int, list[int]]) -> None:
    found = parts["needed"](0, needs)
    assert 0 in found
    assert all(set(needs.get(one, [])) <= found for one in found)
    assert all(one == 0 or any(one in needs.get(other, []) for other in found) for one in found)


def test_a_bill_keeps_what_crispmap_needs_and_nothing_else() -> None:
    names = ["crispmap", "numpy", "pytest", "pluggy"]
    bill = {
        "metadata": {"tools": []},
        "components": [{"name": name, "bom-ref": f"ref-{name}"} for name in names],
        "dependencies": [
            {"ref": "ref-crispmap", "dependsOn": ["ref-numpy"]},
            {"ref": "ref-numpy"},
            {"ref": "ref-pytest", "dependsOn": ["ref-pluggy"]},
            {"ref": "ref-pluggy"},
        ],
    }
    reduced = parts["reduced"](bill)
    assert [one["name"] for one in reduced["components"]] == ["numpy"]
    assert [one["ref"] for one in reduced["dependencies"]] == ["ref-crispmap", "ref-numpy"]
    assert reduced["metadata"]["component"]["name"] == "crispmap"
