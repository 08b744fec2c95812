"""Many block files as one raster, without a copy: GDAL's virtual rasters, one for each row of blocks and one of rows.

GDAL searches all parts of a virtual raster at every read, so none may have many parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from crispmap.geo.grid import Block
from crispmap.raster.cog import create_raster
from crispmap.raster.spec import RasterSpec


def write_mosaic(path: Path, spec: RasterSpec, files: Mapping[Block, str]) -> None:
    """Write a virtual raster of block files; its pixels outside of them hold nodata (0 without nodata).

    Args:
        path: The virtual raster, ``.vrt``; those of the rows are written beside it.
        files: The file of every block, relative to the folder of ``path``. The blocks of a row have one height, and
            their rows do not overlap.

    Raises:
        rasterio.errors.RasterioError, OSError: If it cannot be written.
    """
    create_raster(path, spec, driver="VRT").close()
    try:
        tree = ET.parse(path)  # noqa: S314 - written by GDAL a moment ago
    except ET.ParseError as error:  # GDAL does not report a full disk
        raise OSError(f"{path.name} is incomplete: {error}") from error
    bands = list(tree.getroot().iter("VRTRasterBand"))
    rows: dict[Block, list[tuple[Block, str]]] = defaultdict(list)
    for block, file in files.items():
        rows[Block(block.row, 0, block.height, spec.grid.width)].append((block, file))
    parts = []
    for row, blocks in sorted(rows.items()):
        name = f"{path.stem}.r{row.row}.vrt"
        _write_row(path.with_name(name), bands, row, blocks)
        parts.append((row, name))
    for band in bands:
        _add_parts(band, parts)
    tree.write(path)


def _write_row(path: Path, bands: list[ET.Element], row: Block, blocks: list[tuple[Block, str]]) -> None:
    """Write the virtual raster of a row of blocks, with bands like those given."""
    root = ET.Element("VRTDataset", rasterXSize=str(row.width), rasterYSize=str(row.height))
    for like in bands:
        band = ET.SubElement(root, "VRTRasterBand", {key: like.attrib[key] for key in ("dataType", "band")})
        band.extend(like.findall("NoDataValue"))
        _add_parts(band, [(block.relative_to(row), file) for block, file in blocks])
    ET.ElementTree(root).write(path)


def _add_parts(band: ET.Element, parts: list[tuple[Block, str]]) -> None:
    """Add the sources of a band, with their sizes, so that GDAL need not open all of them."""
    for block, file in parts:
        part = ET.SubElement(band, "SimpleSource")
        ET.SubElement(part, "SourceFilename", relativeToVRT="1").text = file
        ET.SubElement(part, "SourceBand").text = band.attrib["band"]
        size = {"xSize": str(block.width), "ySize": str(block.height)}
        properties = {"RasterXSize": size["xSize"], "RasterYSize": size["ySize"], "DataType": band.attrib["dataType"]}
        ET.SubElement(part, "SourceProperties", properties)
        ET.SubElement(part, "SrcRect", {"xOff": "0", "yOff": "0", **size})
        ET.SubElement(part, "DstRect", {"xOff": str(block.col), "yOff": str(block.row), **size})
