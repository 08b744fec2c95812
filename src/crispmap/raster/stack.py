"""Bands in separate files as one raster: a virtual raster (VRT) in memory."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from crispmap.errors import GeoreferenceWarning, GridError
from crispmap.files.address import shown
from crispmap.files.dataset import open_dataset
from crispmap.files.north_up import as_stored
from crispmap.files.quiet import ignoring
from crispmap.files.raster_text import descriptions_of
from crispmap.geo.grid import Grid
from crispmap.raster.georeference import grid_of
from crispmap.raster.refs import SceneRef

NAMELESS = {ColorInterp.undefined, ColorInterp.gray, ColorInterp.palette}
"""Colour interpretations that do not name a band."""
_TYPES = {"uint8": "Byte", "complex_int16": "CInt16", "complex64": "CFloat32", "complex128": "CFloat64"}


def gdal_source(ref: SceneRef) -> str:
    """Return the name under which GDAL opens a scene: its file, or a virtual raster over its files.

    Bands keep values, nodata, masks and colours of their files; one without description or colour is named by
    ``band_names``, else after its file.

    Raises:
        SceneError: If one of several files cannot be opened.
        GridError: If several files do not lie on one grid.
    """
    if len(ref.files) == 1:
        return ref.files[0]
    with ExitStack() as opened:
        datasets = [opened.enter_context(open_dataset(file)) for file in ref.files]
        _check_grids(datasets, ref)
        return _virtual_raster([as_stored(dataset)[0] for dataset in datasets], ref)


def check_one_grid(files: Sequence[str]) -> None:
    """Raise GridError, naming both, if two rasters do not lie on one grid; SceneError if one cannot be opened."""
    ref = SceneRef("", tuple(files))
    with ExitStack() as opened:
        _check_grids([opened.enter_context(open_dataset(file)) for file in files], ref)


def _check_grids(datasets: Sequence[DatasetReader], ref: SceneRef) -> None:
    """Raise GridError unless open rasters lie on one grid, their pixels in one order."""
    with ignoring(GeoreferenceWarning):  # raised once, for the stack
        grids = [
            grid_of(dataset, Path(shown(file)), ref.assume_gsd_m)
            for dataset, file in zip(datasets, ref.files, strict=True)
        ]
    for grid, file in zip(grids[1:], ref.files[1:], strict=True):
        if not grid.is_close(grids[0]):
            raise GridError(
                f"{shown(ref.files[0])} ({_summary(grids[0])}) and {shown(file)} ({_summary(grid)}) differ in grid.",
                expected="bands with one coordinate system, one transform and one shape",
                remedy="Choose bands of one resolution, or warp them onto one grid first (gdalwarp -te ... -tr ...).",
            )
    turns = [as_stored(dataset)[1] for dataset in datasets]
    for turn, file in zip(turns[1:], ref.files[1:], strict=True):
        if turn != turns[0]:
            raise GridError(
                f"{shown(ref.files[0])} and {shown(file)} store the pixels of one grid in different orders.",
                expected="bands whose rows all run south, or all north",
                remedy="Write them in one order first: gdalwarp does so.",
            )


def _summary(grid: Grid) -> str:
    """Return a grid in a few words."""
    crs = "no CRS" if grid.crs is None else grid.crs.name
    transform = grid.transform
    return (
        f"{grid.height} x {grid.width} pixels of {abs(transform.e):.6g} x {abs(transform.a):.6g} "
        f"from ({transform.c:.10g}, {transform.f:.10g}), {crs}"
    )


def _virtual_raster(datasets: Sequence[DatasetReader], ref: SceneRef) -> str:
    """Return the XML of a virtual raster with the bands of all datasets, one after the other."""
    first = datasets[0]
    root = Element("VRTDataset", rasterXSize=str(first.width), rasterYSize=str(first.height))
    if first.crs:
        SubElement(root, "SRS").text = first.crs.to_wkt()
    if not first.transform.is_identity:
        SubElement(root, "GeoTransform").text = ", ".join(f"{value:.17g}" for value in first.transform.to_gdal())
    bands = [
        (file, dataset, band) for file, dataset in zip(ref.files, datasets, strict=True) for band in dataset.indexes
    ]
    names = ref.band_names if len(ref.band_names) == len(bands) else ()
    for place, (file, dataset, band) in enumerate(bands):
        stem = Path(shown(file)).stem
        own = stem if dataset.count == 1 else f"{stem}_{band}"
        _add_band(root, place + 1, file, dataset, band, names[place] if names else own)
    return tostring(root, encoding="unicode")


def _add_band(root: Element, number: int, file: str, dataset: DatasetReader, band: int, name: str) -> None:
    """Add one band of a file to a virtual raster."""
    dtype = dataset.dtypes[band - 1]
    colour = dataset.colorinterp[band - 1]
    element = SubElement(root, "VRTRasterBand", dataType=_TYPES.get(dtype, dtype.capitalize()), band=str(number))
    description = descriptions_of(dataset)[band - 1] or (name if colour in NAMELESS else None)
    if description:
        SubElement(element, "Description").text = description
    if dataset.nodatavals[band - 1] is not None:
        SubElement(element, "NoDataValue").text = f"{dataset.nodatavals[band - 1]:.17g}"
    SubElement(element, "ColorInterp").text = colour.name.capitalize()
    _add_source(element, file, str(band))
    flags = dataset.mask_flag_enums[band - 1]
    if not {MaskFlags.alpha, MaskFlags.all_valid, MaskFlags.nodata} & set(flags):
        mask = SubElement(SubElement(element, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _add_source(mask, file, f"mask,{band}")


def _add_source(element: Element, file: str, band: str) -> None:
    """Add a file's band as the source of a band."""
    source = SubElement(element, "SimpleSource")
    SubElement(source, "SourceFilename", relativeToVRT="0").text = file
    SubElement(source, "SourceBand").text = band
