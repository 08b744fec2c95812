"""What a person gives to be composed, as a reference: files, patterns, products of satellites, under names."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.errors import InputError, SceneError, number_of
from crispmap.files.address import gdal_name, is_plain_file, name_of
from crispmap.raster.compose.checks import chosen, needed
from crispmap.raster.compose.composition import Composition, Extent, Method, SourceBand
from crispmap.raster.compose.indices import INDICES, index_named
from crispmap.raster.compose.sources import file_bands
from crispmap.raster.refs import SceneRef
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.sensors.names import product_bands

_NAMED = re.compile(r"([A-Za-z]\w*)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class ComposeChoices:
    """What may be chosen of a composed scene."""

    sensor: str | None = None  # whose products the inputs are; by default as the names of files say
    scene: str | None = None  # what the names of the files of a product begin with, where a folder has several
    bands: tuple[str, ...] | None = None  # by standard or own name, and indices; by default what a product usually has
    indices: tuple[str, ...] = ()  # further bands
    extent: Extent = "intersection"
    like: str | Path | None = None
    gsd_m: float | None = None
    method: Method = "auto"
    reflectance: bool = False
    nodata: float | None = None  # value of pixels without data in the inputs, in place of their own; NaN for none
    out_nodata: float | None = None
    lowest: str | None = None  # an index: each input is a date, and each pixel of that with its lowest value


def composed_ref(inputs: Sequence[str | Path], choices: ComposeChoices = ComposeChoices()) -> SceneRef:
    """Return the scene that some inputs make.

    Args:
        inputs: Rasters, patterns, addresses and STAC items as of ``resolve_scenes``; or folders and files of products
            of satellites. ``NAME=INPUT`` names a band, or begins the names of several: ``red=B4.tif``,
            ``before=FOLDER``.
        choices: What is made of them.

    Raises:
        SceneError: If an input cannot be read, holds no or several products, or a name is not known.
        InputError: If nothing is given, or an index to choose dates by is not known.
    """
    if not inputs:
        raise InputError("No band is given.", expected="files, or the folder of a product", remedy="Name some.")
    if choices.lowest is not None and index_named(choices.lowest) is None:
        raise InputError(
            f"lowest is {choices.lowest!r}.", expected=f"one of {', '.join(one.name for one in INDICES.values())}"
        )
    sources, usual = list[SourceBand](), list[str]()
    for date, (name, texts) in enumerate(_groups(inputs, by_date=choices.lowest is not None)):
        found, taken = _bands_of(texts, name, choices, date if choices.lowest else 0)
        sources += found
        usual += [one for one in taken if one not in usual]
    take = usual if choices.bands is None else _by_any_name(choices.bands, sources)
    further = [one for one in dict.fromkeys(choices.indices) if one not in take]
    composition = Composition(
        tuple(sources), (*take, *further), extent=choices.extent,
        like=None if choices.like is None else gdal_name(choices.like), gsd_m=choices.gsd_m, method=choices.method,
        reflectance=choices.reflectance, nodata=choices.out_nodata, lowest=choices.lowest,
    )  # fmt: skip
    ref = SceneRef.composed(name_of(sources[0].file), needed(chosen(composition, None)))
    return ref.choosing(nodata=choices.nodata)


def one_scene(inputs: Sequence[str | Path]) -> SceneRef:
    """Return the scene of one raster as it is, that of several inputs composed.

    Raises:
        SceneError, InputError: As ``composed_ref``.
    """
    if len(inputs) == 1 and not _split(str(inputs[0]))[0] and not Path(inputs[0]).is_dir():
        found = resolve_scenes(inputs)
        if len(found) == 1:
            return found[0]
    return composed_ref(inputs)


def _groups(inputs: Sequence[str | Path], *, by_date: bool) -> list[tuple[str, list[str]]]:
    """Return the inputs of each name, of those without one together; by date each alone."""
    pairs = [_split(str(one)) for one in inputs]
    if by_date:
        return [(name, [text]) for name, text in pairs]
    groups: dict[str, list[str]] = {}
    for name, text in pairs:
        groups.setdefault(name, []).append(text)
    return list(groups.items())


def _split(text: str) -> tuple[str, str]:
    """Return the name and the input of an argument; no name where there is none."""
    found = _NAMED.fullmatch(text)
    return (found[1], found[2]) if found is not None and not Path(text).exists() else ("", text)


def _bands_of(
    texts: Sequence[str], name: str, choices: ComposeChoices, date: int
) -> tuple[Sequence[SourceBand], Sequence[str]]:
    """Return the bands of some inputs under one name, and the names of those a scene usually has."""
    if choices.sensor is not None or any(Path(text).is_dir() for text in texts):
        paths = [path for text in texts for path in _paths(text)]
        prefix = f"{name}_" if name else ""
        bands, usual = product_bands(paths, choices.sensor, choices.scene, date=date, prefix=prefix)
        for one in bands:
            _check_alone(one)
        return bands, usual
    files = [(file, one) for text in texts for one in resolve_scenes([text]) for file in one.files]
    bands = tuple(one for file, scene in files for one in _named_bands(file, scene, name, date, alone=len(files) == 1))
    return bands, [one.name for one in bands]


def _named_bands(file: str, scene: SceneRef, name: str, date: int, *, alone: bool) -> Iterator[SourceBand]:
    """Yield the bands of a file; those of a STAC item under its names."""
    for one in file_bands(file, name if alone else "", date):
        given = scene.band_names[scene.files.index(file)] if len(scene.band_names) == len(scene.files) else one.name
        own = given if one.name == one.own_name else one.name
        yield one if alone and name else replace(one, name=f"{name}_{own}" if name else own)


def _paths(text: str) -> list[Path]:
    """Return the files of a pattern, or a path as it is."""
    if not is_plain_file(text) or Path(text).exists() or not glob.has_magic(text):
        return [Path(text)]
    found = sorted(Path(one) for one in glob.glob(text, recursive=True))  # noqa: PTH207 - Path.glob takes no root
    if not found:
        raise SceneError(f"No file matches {text}.", expected="a pattern that matches rasters", remedy="Check it.")
    return found


def _check_alone(one: SourceBand) -> None:
    """Raise SceneError if the file of a product's band holds several."""
    count = sum(1 for _ in file_bands(one.file))
    if count > 1:
        raise SceneError(
            f"{one.file} holds {number_of(count, 'band')}, and its name says that it is {one.own_name} alone.",
            expected="a file a band", remedy="Compose it without sensor=; its bands then have their own names.",
        )  # fmt: skip


def _by_any_name(names: Sequence[str], sources: Sequence[SourceBand]) -> list[str]:
    """Return the names of bands that are asked for by these, or by what the product calls them."""
    own = {one.own_name: one.name for one in sources}
    standard = {one.name for one in sources}
    return [name if name in standard else own.get(name, name) for name in names]
