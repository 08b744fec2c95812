"""What the tutorials begin with, made small: folders of images, bands of satellites, regions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from PIL import Image

COLOURS = np.array([(0, 255, 255), (255, 255, 0), (0, 255, 0)], np.uint8)
CLASSES = "name,r,g,b\nurban_land,0,255,255\nagriculture_land,255,255,0\nforest_land,0,255,0\nunknown,0,0,0\n"
MONTHS = ("2020-07", "2020-08", "2020-09", "2020-10")
SIDE = 96
PLACE = {"crs": "EPSG:32621", "transform": Affine(30.0, 0.0, 440_985.0, 0.0, -30.0, -2_188_005.0)}
LAND = {2: 0.04, 3: 0.06, 4: 0.05, 5: 0.30, 6: 0.20, 7: 0.10}  # reflectance of Landsat's bands
BURNT = {2: 0.04, 3: 0.05, 4: 0.06, 5: 0.12, 6: 0.20, 7: 0.22}
WATER = {2: 0.05, 3: 0.06, 4: 0.04, 5: 0.02, 6: 0.01, 7: 0.01}


def deepglobe(place: Path) -> None:
    """A folder with a small set like DeepGlobe's."""
    (place / "deepglobe").mkdir()
    for number in range(8):  # fewer would be split within the images
        rng = np.random.default_rng(number)
        ids = np.kron(rng.permutation(np.arange(9) % 3).reshape(3, 3), np.ones((24, 24), int))
        shades = np.clip(COLOURS[ids] * 0.5 + rng.normal(50, 9, (*ids.shape, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(shades).save(place / f"deepglobe/{100 + number}_sat.jpg")
        Image.fromarray(COLOURS[ids]).save(place / f"deepglobe/{100 + number}_mask.png")
    (place / "deepglobe/class_dict.csv").write_text(CLASSES)
    Image.fromarray(shades).save(place / "other.jpg")


def fires(place: Path) -> None:
    """Four months of Landsat, of which each but the first burns another strip; municipalities, and areas to learn."""
    for month, name in enumerate(MONTHS):
        burnt = np.zeros((SIDE, SIDE), bool)
        burnt[8:88, 4 : 4 + 28 * month] = True
        for band, values in mixed(LAND, BURNT, burnt, seed=month).items():
            write(place / name / f"corumba_{name}_L1TP_B{band}.tif", np.rint((values + 0.1) / 2e-5))
    write_halves(place / "municipalities.gpkg", ("Corumbá", "Ladário"))
    top, bottom = halves(across=True)
    for name, outline in (("learn", top), ("check", bottom)):
        gpd.GeoDataFrame(geometry=[outline], crs=PLACE["crs"]).to_file(place / f"{name}.gpkg", engine="pyogrio")


def real_fires(data: Path, place: Path) -> None:
    """The months of the page: of the real pair, a third more each month shows the scene after the fires."""
    for band in range(2, 8):
        with rasterio.open(data / f"landsat/corumba_before_L1TP_B{band}.tif") as dataset:
            before, profile = dataset.read(1), dataset.profile
        with rasterio.open(data / f"landsat/corumba_after_L1TP_B{band}.tif") as dataset:
            after = dataset.read(1)
        for month, name in enumerate(MONTHS):
            values = before.copy()
            burnt = before.shape[1] * month // 3
            values[:, :burnt] = after[:, :burnt]
            write(place / name / f"corumba_{name}_L1TP_B{band}.tif", values, profile)
    write_halves(place / "municipalities.gpkg", ("Corumbá", "Ladário"), before.shape)
    for name, outline in zip(("learn", "check"), halves(before.shape, across=True), strict=True):
        gpd.GeoDataFrame(geometry=[outline], crs=PLACE["crs"]).to_file(place / f"{name}.gpkg", engine="pyogrio")


def dam(place: Path) -> None:
    """Two months of Landsat, moved by 9 pixels, and CBERS-4A at 8 and 2 m: a lake that sinks, and a narrow river."""
    for month, (name, shift) in enumerate((("2019-01", 0), ("2019-02", 9))):
        wet = water(30.0, month)[:, shift : shift + 80]
        profile = PLACE | {"transform": PLACE["transform"] @ Affine.translation(shift, 0)}
        for band, values in mixed(LAND, WATER, wet, seed=month).items():
            write(place / name / f"dam_{name}_L2SP_B{band}.tif", np.rint((values + 0.2) / 2.75e-5), profile)
    for gsd_m, bands in ((8.0, {3: 2, 5: 4}), (2.0, {5: 0})):  # of Landsat's bands those of CBERS-4A; 0 is all light
        profile = PLACE | {"transform": PLACE["transform"] @ Affine.scale(gsd_m / 30)}
        for band, values in mixed(LAND, WATER, water(gsd_m, 1), seed=2).items():
            if band in bands:
                write(place / f"cbers/CBERS_4A_WPM_BAND{bands[band]}.tif", np.rint(values * 2000), profile)
    write_halves(place / "places.gpkg", ("reservoirs", "river"))


def real_dam(data: Path, place: Path) -> None:
    """The months of the page; CBERS-4A is a part of the second on finer pixels, for what is there shows no water."""
    part = np.s_[100:200, 60:180]
    for name, date in (("2019-01", "before"), ("2019-02", "after")):
        for band in range(2, 8):
            with rasterio.open(data / f"landsat/brumadinho_{date}_L2SP_B{band}.tif") as dataset:
                values, profile = dataset.read(1), dataset.profile
            write(place / name / f"dam_{name}_L2SP_B{band}.tif", values, profile)
            corner = profile["transform"] @ Affine.translation(60, 100)
            for number, gsd_m in {3: [(2, 8)], 5: [(4, 8), (0, 2)]}.get(band, []):
                fine = values[part].repeat(30 // 2, 0).repeat(30 // 2, 1)[:: gsd_m // 2, :: gsd_m // 2]
                made = profile | {"transform": corner @ Affine.scale(gsd_m / 30)}
                write(place / f"cbers/CBERS_4A_WPM_BAND{number}.tif", fine, made)
    middle, left, right = -2_222_685 - 148 * 30, 583_485, 595_485
    outlines = [shapely.box(left, middle, right, -2_222_685), shapely.box(left, -2_231_685, right, middle)]
    frame = gpd.GeoDataFrame({"name": ["reservoirs", "river"]}, geometry=outlines, crs="EPSG:32623")
    frame.to_file(place / "places.gpkg", engine="pyogrio")


def water(gsd_m: float, month: int) -> np.ndarray:
    """Where water is on pixels of a size: a lake in the upper half, less in the second month; below, 24 m of river."""
    centres = (np.arange(round(SIDE * 30 / gsd_m)) + 0.5) * gsd_m
    y, x = centres[:, None], centres[None]
    lake = np.hypot(x - 1400, y - 700) < 500 - 100 * month
    return lake | ((abs(x - 1440) < 12) & (y > 1440))


def mixed(land: Mapping[int, float], other: Mapping[int, float], where: np.ndarray, seed: int) -> dict[int, Any]:
    """Reflectance by band, a little noisy, of land and of what lies elsewhere."""
    rng = np.random.default_rng(seed)
    return {band: np.where(where, other[band], land[band]) + rng.normal(0, 1e-3, where.shape) for band in land}


def write(path: Path, values: Any, profile: Mapping[str, Any] = PLACE) -> None:
    path.parent.mkdir(exist_ok=True)
    layout = {"driver": "GTiff", "count": 1, "dtype": "uint16", "nodata": 0}
    size = {"height": values.shape[0], "width": values.shape[1]}
    with rasterio.open(path, "w", **layout, **size, crs=profile["crs"], transform=profile["transform"]) as dataset:
        dataset.write(values.astype(np.uint16), 1)


def halves(shape: tuple[int, int] = (SIDE, SIDE), *, across: bool = True) -> list[shapely.Polygon]:
    """The upper and the lower half of the place; or the left and the right."""
    (left, top), (right, bottom) = PLACE["transform"] @ (0, 0), PLACE["transform"] @ shape[::-1]
    x, y = (left + right) / 2, (top + bottom) / 2
    if across:
        return [shapely.box(left, y, right, top), shapely.box(left, bottom, right, y)]
    return [shapely.box(left, bottom, x, top), shapely.box(x, bottom, right, top)]


def write_halves(path: Path, names: tuple[str, str], shape: tuple[int, int] = (SIDE, SIDE)) -> None:
    frame = gpd.GeoDataFrame({"name": names}, geometry=halves(shape), crs=PLACE["crs"])
    frame.to_file(path, engine="pyogrio")
