"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real imagery beside the project, never copied into it."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real imagery (../shared/data) is not here")
    return REAL_DATA
