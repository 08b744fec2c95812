"""The bands of a product of a satellite, from a folder or from files, by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from crispmap.errors import SceneError, did_you_mean
from crispmap.files.address import gdal_name
from crispmap.raster.compose.composition import SourceBand
from crispmap.raster.sensors import cbers, landsat, sentinel2
from crispmap.raster.sensors.product import BandFile, Family

_FAMILIES = (landsat.FAMILY, sentinel2.FAMILY, cbers.FAMILY)
SENSORS: Mapping[str, Family] = {name: family for family in _FAMILIES for name in family.sensors}
"""The family of each sensor by its name."""
_RASTERS = (".tif", ".tiff", ".jp2")


def product_bands(
    paths: Sequence[Path], sensor: str | None = None, scene: str | None = None, *, date: int = 0, prefix: str = ""
) -> tuple[tuple[SourceBand, ...], tuple[str, ...]]:
    """Return the bands of one product, in the sensor's order, and the names of those a scene usually has.

    Args:
        paths: A folder with the files of the product, or these.
        sensor: Its name, a key of ``SENSORS``; by default that in the names of the files.
        scene: What the names of the files of the product begin with, where there are several.
        date: Which of several dates they are of.
        prefix: What the names of the bands begin with.

    Raises:
        SceneError: If the sensor is not known, there is no band or the bands are of several products, or the metadata
            of the product cannot be used.
    """
    where = ", ".join(map(str, paths[:3]))
    found = _parsed(_files(paths), sensor, where)
    sensor = sensor or str(found[0].sensor)
    product = _one_product(found, scene, where)
    family = SENSORS[sensor]
    channels = family.sensors[sensor]
    files = {one.own_name: one for one in sorted(product, key=lambda one: -one.rank) if one.own_name in channels}
    if not files:
        raise _no_bands(where, sensor)
    stated = family.reflectance(sensor, list(files.values()))
    bands, usual = list[SourceBand](), list[str]()
    for own, channel in channels.items():
        if own in files:
            name, file = f"{prefix}{channel.name}", gdal_name(files[own].path)
            how = stated.get(own)
            bands.append(
                SourceBand(file, name, 1, f"{prefix}{own}", channel.wavelength_nm, how, family.nodata, date)
            )  # fmt: skip
            usual += [name] if channel.usual else []
    return tuple(bands), tuple(usual) or tuple(one.name for one in bands)


def _files(paths: Iterable[Path]) -> list[Path]:
    """Return the rasters among files and in folders; in a SAFE folder, and the folders below."""
    found = []
    for path in paths:
        if path.is_dir():
            below = path.rglob("*") if path.suffix.upper() == ".SAFE" else path.iterdir()
            found += sorted(one for one in below if one.suffix.lower() in _RASTERS and one.is_file())
        else:
            found.append(path)
    return found


def _parsed(files: Sequence[Path], sensor: str | None, where: str) -> list[BandFile]:
    """Return the bands among files; SceneError where there are none, or the sensor is not known."""
    if sensor is not None:
        if sensor not in SENSORS:
            raise SceneError(
                f"There is no sensor {sensor!r}.", expected=f"one of {', '.join(SENSORS)}",
                remedy=did_you_mean(sensor, SENSORS) or "Compose the files by name: red=B4.tif nir=B5.tif.",
            )  # fmt: skip
        found = [one for file in files if (one := SENSORS[sensor].parse(file)) is not None]
        ours = [one for one in found if one.sensor in (None, sensor)]
        if not ours:
            raise _no_bands(where, sensor, {str(one.sensor) for one in found})
        return ours
    known = [one for file in files for family in _FAMILIES if (one := family.parse(file)) is not None and one.sensor]
    sensors = sorted({str(one.sensor) for one in known})
    if len(sensors) != 1:
        said = f"name the sensors {', '.join(sensors)}" if sensors else "do not name their sensor"
        raise SceneError(
            f"The files of {where} {said}.", expected=f"files of one of {', '.join(SENSORS)}",
            remedy="Name it: sensor=landsat8.",
        )  # fmt: skip
    return known


def _one_product(found: Sequence[BandFile], scene: str | None, where: str) -> list[BandFile]:
    """Return the files of one product; SceneError, naming them, where there are several."""
    products: dict[str, list[BandFile]] = {}
    for one in found:
        products.setdefault(one.scene, []).append(one)
    chosen = {name: files for name, files in products.items() if scene is None or name.startswith(scene)}
    exact = {name: files for name, files in chosen.items() if name == scene}
    chosen = exact or chosen
    if len(chosen) != 1:
        named = ", ".join(sorted(products))
        problem = f"holds {len(chosen)} scenes: {', '.join(sorted(chosen))}" if chosen else f"has no scene {scene}"
        raise SceneError(
            f"{where} {problem}.", expected="the files of one scene" if chosen else f"one of {named}",
            remedy=f"Choose one by the beginning of its name: scene={min(chosen or products)}",
        )  # fmt: skip
    return next(iter(chosen.values()))


def _no_bands(where: str, sensor: str, others: Iterable[str] = ()) -> SceneError:
    example = next(iter(SENSORS[sensor].sensors[sensor]))
    said = f"; its files are of {', '.join(sorted(others))}" if others else ""
    return SceneError(
        f"{where} has no band of {sensor}{said}.", expected=f"files whose names end as ..._{example}.tif",
        remedy="Check folder and sensor, or compose the files by name: red=B4.tif nir=B5.tif.",
    )  # fmt: skip
