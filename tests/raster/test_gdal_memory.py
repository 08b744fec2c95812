from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import rasterio
from rasterio.env import get_gdal_config

from crispmap.files.dataset import ONCE_CACHE_BYTES, few_blocks_kept


def test_the_cache_is_small_inside_and_as_before_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    with rasterio.Env():
        before = get_gdal_config("GDAL_CACHEMAX")
    with few_blocks_kept():
        assert get_gdal_config("GDAL_CACHEMAX") == ONCE_CACHE_BYTES
    with rasterio.Env():
        assert get_gdal_config("GDAL_CACHEMAX") == before


def test_a_bound_that_a_person_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    with rasterio.Env(GDAL_CACHEMAX=77_000_000), few_blocks_kept():
        assert get_gdal_config("GDAL_CACHEMAX") == 77_000_000
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    with few_blocks_kept():
        assert get_gdal_config("GDAL_CACHEMAX") != ONCE_CACHE_BYTES


def test_what_is_read_later_on_is_bounded_too(tmp_path: Path) -> None:
    # The bound of a process is set once, so it is read in a process of its own.
    code = f"""
import warnings
import rasterio
from rasterio.env import get_gdal_config
from crispmap.files.dataset import open_dataset
from crispmap.files.dataset import ONCE_CACHE_BYTES, few_blocks_kept
warnings.simplefilter("ignore")
path = {str(tmp_path / "scene.tif")!r}
rasterio.open(path, "w", driver="GTiff", height=8, width=8, count=1, dtype="uint8").close()
with few_blocks_kept():
    open_dataset(path).close()
    assert get_gdal_config("GDAL_CACHEMAX") == ONCE_CACHE_BYTES
open_dataset(path).close()
with rasterio.Env():
    assert get_gdal_config("GDAL_CACHEMAX") <= 256_000_000
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
