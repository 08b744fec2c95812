"""Files of every format, damaged by chance: they are read, or refused with an error that helps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FUZZ = Path(__file__).with_name("fuzz.py")
DAMAGES = int(os.environ.get("CRISPMAP_DAMAGES", "600"))  # of each kind of file; 2,000 take half an hour

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(FUZZ), str(DAMAGES)], stdout=subprocess.PIPE, stderr=None, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_damaged_file_is_read_or_refused_as_bad_input(results: dict[str, Any]) -> None:
    faults = {name: result["faults"] for name, result in results.items() if result["faults"]}
    assert not faults, json.dumps(faults, indent=1)


def test_damage_is_neither_always_nor_never_noticed(results: dict[str, Any]) -> None:
    for name, result in results.items():
        assert result["read"] + result["refused"] == DAMAGES, name
        assert result["read"], name
    assert sum(result["refused"] for result in results.values()) > DAMAGES
