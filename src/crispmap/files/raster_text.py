"""Text in rasters: tags and names of bands, in whatever encoding it is."""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import rasterio.shutil
from rasterio.io import DatasetReader

from crispmap.files.vector_file import FALLBACK_ENCODING, as_utf8

_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_log = logging.getLogger("rasterio._base")


def tags_of(dataset: DatasetReader) -> dict[str, str]:
    """Return the metadata of a raster; what is not UTF-8 by FALLBACK_ENCODING."""
    left_out = _LeftOut()
    _log.addFilter(left_out)
    try:
        tags = dict(dataset.tags())
    finally:
        _log.removeFilter(left_out)
    if not left_out.any:
        return tags
    return {
        as_utf8(one.get("key", "")): as_utf8(one.text or "") for one in _described(dataset).iterfind("Metadata/MDI")
    }


def descriptions_of(dataset: DatasetReader) -> tuple[str | None, ...]:
    """Return the description of each band, or None; what is not UTF-8 by FALLBACK_ENCODING."""
    try:
        return tuple(dataset.descriptions)
    except UnicodeDecodeError:
        bands = _described(dataset).iterfind("VRTRasterBand")
        return tuple(as_utf8(one.findtext("Description")) for one in bands)


class _LeftOut(logging.Filter):
    """Notices that rasterio leaves out a tag that is not UTF-8: it only logs that."""

    any = False

    def filter(self, record: logging.LogRecord) -> bool:
        self.any = self.any or "decode" in str(record.msg)
        return True


def _described(dataset: DatasetReader) -> ET.Element:
    """Return GDAL's own description of a raster, each byte of its text a letter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "described.vrt")
        rasterio.shutil.copy(dataset, path, driver="VRT")
        return ET.fromstring(_CONTROL.sub(b"?", path.read_bytes()).decode(FALLBACK_ENCODING))  # noqa: S314
