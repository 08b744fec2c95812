from __future__ import annotations

import pytest
import rasterio
from rasterio.env import get_gdal_config

from crispmap.scene.gdal_memory import CACHE_BYTES, few_blocks_kept


def test_the_cache_is_small_inside_and_as_before_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    with rasterio.Env():
        before = get_gdal_config("GDAL_CACHEMAX")
    with few_blocks_kept():
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_BYTES
    with rasterio.Env():
        assert get_gdal_config("GDAL_CACHEMAX") == before


def test_a_bound_that_a_person_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with rasterio.Env(GDAL_CACHEMAX=77_000_000), few_blocks_kept():
        assert get_gdal_config("GDAL_CACHEMAX") == 77_000_000
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    with few_blocks_kept():
        assert get_gdal_config("GDAL_CACHEMAX") != CACHE_BYTES
