"""Small data sets of image and mask pairs, in the layouts they come in."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin

CLASS_DICT = "name,r,g,b\ngrass,0,255,0\nhouse,255,0,0\nwater,0,0,255\nunknown,0,0,0\n"
COLOURS = np.array([(0, 255, 0), (255, 0, 0), (0, 0, 255), (0, 0, 0)], np.uint8)
SHADES = np.array([(90, 120, 70), (200, 150, 130), (40, 60, 110), (128, 128, 128)])
PROJECT = """\
crispmap: 2
name: set
dataset: {{path: data{more}}}
coarse: {{kind: fcn-rnn, max_steps: 4, batch: 2, patch_px: 16}}
output: {{folder: out}}
"""


def town(seed: int, shape: tuple[int, int] = (96, 128)) -> tuple[np.ndarray, np.ndarray]:
    """An image uint8 (row, col, 3) and its class ids 0 to 2, 3 where unknown."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, np.uint8)
    for _ in range(8):
        row, col = rng.integers(0, shape[0] - 20), rng.integers(0, shape[1] - 20)
        ids[row : row + 16, col : col + 14] = 1
    ids[:, shape[1] // 2 : shape[1] // 2 + 10] = 2
    ids[:6, :6] = 3
    return np.clip(SHADES[ids] + rng.normal(0, 8, (*shape, 3)), 0, 255).astype(np.uint8), ids


def jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "jpeg", quality=quality)
    return content.getvalue()


def write_deepglobe(folder: Path, count: int, shapes: Sequence[tuple[int, int]] = ((96, 128),)) -> None:
    """``1_sat.jpg`` and ``1_mask.png`` and so on, with a class file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        image, ids = town(number, shapes[number % len(shapes)])
        (folder / f"{number}_sat.jpg").write_bytes(jpeg(image))
        Image.fromarray(COLOURS[ids]).save(folder / f"{number}_mask.png")
    (folder / "class_dict.csv").write_text(CLASS_DICT)


def write_raster(path: Path, bands: np.ndarray, place: tuple[float, float] | None = None, gsd_m: float = 1.0) -> None:
    """A raster of bands (band, row, col), with its top left corner in UTM zone 31 where a place is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if place is None:
        Image.fromarray(bands[0] if len(bands) == 1 else bands.transpose(1, 2, 0)).save(path)
        return
    where = {"crs": "EPSG:32631", "transform": from_origin(*place, gsd_m, gsd_m)}
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    with rasterio.open(path, "w", driver="GTiff", **profile, **where) as file:
        file.write(bands)


def write_project(folder: Path, more: str = "", extra: str = "") -> Path:
    path = folder / "project.yaml"
    path.write_text(PROJECT.format(more=f", {more}" if more else "") + extra)
    return path
