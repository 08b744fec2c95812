"""Outlines as text, one feature a line: tables with a column of well-known text, and GeoJSON lines; also gzipped.

Google's Open Buildings and Microsoft's building footprints come so, the latter as GeoJSON lines in files called
``.csv.gz``. They may be larger than memory: they are read line by line, and only what is near the scene is kept.
Every line counts: one that cannot be read is an error, which says how many there are.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
import textwrap
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from crispmap.errors import LabelError, number_of
from crispmap.files.address import is_address, shown, suffix_of, unpacked_suffix
from crispmap.labels.geometry import Geometries
from crispmap.labels.tags import match_columns

GEOMETRY_COLUMNS = ("wkt", "geometry", "geom", "the_geom", "geometry_wkt", "wkt_geom", "_wkt", "wkb_geometry", "geog")
TABLE_SUFFIXES = (".csv", ".tsv")
LINES_SUFFIXES = (".geojsonl", ".geojsons", ".ndjson", ".jsonl")

_CHUNK = 20_000  # lines read at once
_LOOKED_AT = 1_000  # lines that tell what a file is
_DELIMITERS = ",;\t|"
_DEGREES_BESIDE = ({"latitude", "longitude"}, {"lat", "lon"}, {"lat", "lng"})  # columns of centres, so of degrees too
_SRID = re.compile(r"\s*SRID=(\d+);(.*)", re.DOTALL | re.IGNORECASE)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_LONGEST_FIELD = 1 << 30
_BROKEN_GZIP = (gzip.BadGzipFile, EOFError, zlib.error)

Row: TypeAlias = tuple[int, "dict[str, Any] | None", str]
"""The number of a line, its attributes (None where it cannot be split into them), and its geometry as text."""


@dataclass(frozen=True)
class TextFacts:
    """What all lines of a file hold."""

    features: int
    box: tuple[float, float, float, float] | None  # (left, bottom, right, top), or None without geometries
    types: tuple[str, ...]  # of the geometries, in alphabetical order


@dataclass(frozen=True)
class TextOutlines:
    """A file of outlines as text, before its features are read."""

    path: Path
    kind: Literal["table", "lines"]
    columns: tuple[str, ...]  # of attributes; of lines, those of the first _LOOKED_AT
    geometry: str  # the column of geometries; of lines, the member
    crs: CRS | None
    delimiter: str = ","
    encoding: str | None = None

    def read(
        self, wanted: Sequence[str] | None = None, box: tuple[float, float, float, float] | None = None
    ) -> gpd.GeoDataFrame:
        """Return the features whose bounding box touches a box, and those without geometry, by number of their line.

        Args:
            wanted: Names of the columns to keep, in any case; by default all.
            box: (left, bottom, right, top) in the file's CRS, or None for all features.

        Raises:
            LabelError: If the file is damaged or its text not in the encoding, or lines cannot be read; then all
                are counted.
        """
        parts = [_within(part, box) for part in self._parts(wanted)]
        frame = pd.concat([pd.DataFrame(part) for part in parts]) if parts else pd.DataFrame({"geometry": []})
        return gpd.GeoDataFrame(frame, geometry="geometry", crs=self.crs)

    def first(self, wanted: Sequence[str] | None = None) -> gpd.GeoDataFrame:
        """Return the first _CHUNK features; see ``read``."""
        none = gpd.GeoDataFrame({"geometry": []}, geometry="geometry", crs=self.crs)
        return next(self._parts(wanted), none)

    @cached_property
    def facts(self) -> TextFacts:
        """Count, extent and types of the features of the whole file."""
        count, boxes, types = 0, [], set[str]()
        for part in self._parts(()):
            count += len(part)
            if part.geometry.notna().any():
                boxes.append(part.total_bounds)
                types.update(part.geom_type.dropna())
        every = np.array([one for one in boxes if np.isfinite(one).all()]).reshape(-1, 4)
        box = (*every[:, :2].min(axis=0).tolist(), *every[:, 2:].max(axis=0).tolist()) if len(every) else None
        return TextFacts(count, box, tuple(sorted(types)))

    def _parts(self, wanted: Sequence[str] | None) -> Iterator[gpd.GeoDataFrame]:
        """Yield the features in parts: attributes and ``geometry``; after the last, LabelError if any is bad."""
        broken = _Broken(self.path, self.kind)
        with _opened(self.path, self.encoding) as file:
            rows = _table_rows(file, self) if self.kind == "table" else _line_rows(file)
            while chunk := list(itertools.islice(rows, _CHUNK)):
                yield self._features(chunk, wanted, broken)
        broken.check()

    def _features(self, chunk: Sequence[Row], wanted: Sequence[str] | None, broken: _Broken) -> gpd.GeoDataFrame:
        shapes = _shapes([text for _, _, text in chunk], self.kind, self.crs)
        good = np.zeros(len(chunk), np.bool_)
        for place, (line, attributes, text) in enumerate(chunk):
            good[place] = attributes is not None and (shapes[place] is not None or not text)
            broken.count(line, text, bad=not good[place])
        rows = [attributes or {} for (_, attributes, _), kept in zip(chunk, good, strict=True) if kept]
        names = self.columns if self.kind == "table" else dict.fromkeys(itertools.chain.from_iterable(rows))
        chosen = names if wanted is None else dict.fromkeys(match_columns(names, wanted).values())
        table = {name: pd.Series([row.get(name) for row in rows], dtype=object) for name in chosen}
        lines = [line for (line, _, _), kept in zip(chunk, good, strict=True) if kept]
        frame = gpd.GeoDataFrame(table, geometry=gpd.GeoSeries(shapes[good], crs=self.crs))
        return frame.set_index(pd.Index(lines))


class _Broken:
    """The lines that cannot be read, counted."""

    def __init__(self, path: Path, kind: str) -> None:
        self._path, self._kind, self._total, self._bad, self._first = path, kind, 0, 0, ""

    def count(self, line: int, text: str, *, bad: bool) -> None:
        self._total += 1
        if bad:
            self._bad += 1
            shortened = textwrap.shorten(text.encode("unicode_escape").decode(), 60, placeholder="…")
            self._first = self._first or f"line {line}: {shortened or 'too few or too many columns'}"

    def check(self) -> None:
        """Raise LabelError if there is any."""
        if self._bad:
            what = "geometries as well-known text" if self._kind == "table" else "a GeoJSON feature in every line"
            raise LabelError(
                f"{self._bad} of {number_of(self._total, 'line')} of {shown(self._path)} cannot be read; the first is "
                f"{self._first}",
                expected=what,
                remedy="Download the file again; or correct or remove those lines.",
            )


def text_outlines(path: Path, encoding: str | None = None) -> TextOutlines | None:
    """Return a file of outlines as text, or None for any other file; whether it is one, its first lines tell.

    Raises:
        LabelError: If it is compressed and lies at an address, is damaged, or its text is not in the encoding.
    """
    suffix = unpacked_suffix(path)
    if suffix not in (*TABLE_SUFFIXES, *LINES_SUFFIXES, ".gz"):
        return None
    if is_address(path):
        if suffix_of(path) != ".gz":
            return None
        raise LabelError(
            f"{shown(path)} is compressed text at an address.",
            expected="such a file on a disk", remedy="Download it: it is read as it is, without unpacking.",
        )  # fmt: skip
    with _opened(path, encoding) as file:
        head = [line for line in itertools.islice(file, _LOOKED_AT) if line.strip()]
    if suffix in LINES_SUFFIXES or _is_feature(head[:1]):
        found = (attributes for _, attributes, _ in _line_rows(head))
        columns = tuple(dict.fromkeys(name for one in found if one for name in one))
        return TextOutlines(path, "lines", columns, "geometry", CRS.from_epsg(4326), encoding=encoding)
    return _table(path, head, encoding) if head else None


def _table(path: Path, head: Sequence[str], encoding: str | None) -> TextOutlines | None:
    """Return the table with these first lines, or None if no column of it holds geometries."""
    delimiter = max(_DELIMITERS, key=head[0].count)
    with _long_fields():
        names, *rows = list(csv.reader(head, delimiter=delimiter))
    names = [name.strip() for name in names]
    for column in match_columns(names, GEOMETRY_COLUMNS).values():
        place = names.index(column)
        texts = [row[place] for row in rows if len(row) > place and row[place].strip()]
        if texts and (_shapes(texts, "table", None) != np.array(None)).any():
            columns = tuple(name for name in names if name != column)
            crs = _declared_crs(path, names, texts)
            return TextOutlines(path, "table", columns, column, crs, delimiter, encoding)
    return None


def _declared_crs(path: Path, names: Sequence[str], texts: Sequence[str]) -> CRS | None:
    """Return the CRS of a table: that in its geometries, that of a .prj file beside it, or degrees beside centres."""
    code = _srid(texts[0])
    beside = path.with_suffix(".prj")
    try:
        if code:
            return CRS.from_epsg(code)
        if beside.is_file():
            return CRS.from_user_input(beside.read_text(encoding="utf-8", errors="replace"))
    except CRSError as error:
        raise LabelError(
            f"The CRS of {path} cannot be understood: {error}", expected="a code such as EPSG:32631",
            remedy="Correct the SRID in the table or the .prj file beside it.",
        ) from error  # fmt: skip
    lower = {name.casefold() for name in names}
    return CRS.from_epsg(4326) if any(pair <= lower for pair in _DEGREES_BESIDE) else None


def _srid(text: str) -> int:
    """Return the SRID that a geometry as text names, or 0."""
    named = _SRID.fullmatch(text)
    if named:
        return int(named[1])
    if _HEX.fullmatch(text.strip()):
        return int(shapely.get_srid(shapely.from_wkb(text.strip(), on_invalid="ignore")))
    return 0


def _shapes(texts: Sequence[str], kind: str, crs: CRS | None) -> Geometries:
    """Return geometries of text, None where there is none, or in another CRS than that of the file."""
    if kind == "lines":
        return np.asarray(shapely.from_geojson(np.array(texts, dtype=object), on_invalid="ignore"), dtype=object)
    plain = np.empty(len(texts), dtype=object)
    plain[:] = [text.strip() for text in texts]
    packed = np.array([_HEX.fullmatch(text) is not None for text in plain], np.bool_)
    named = np.array([text[:5].upper() == "SRID=" for text in plain], np.bool_)
    foreign = np.zeros(len(texts), np.bool_)
    for place in np.flatnonzero(named):
        found = _SRID.fullmatch(plain[place])
        plain[place] = found[2] if found else ""
        foreign[place] = crs is not None and found is not None and crs != _crs_of(int(found[1]))
    shapes = np.empty(len(texts), dtype=object)
    shapes[packed] = shapely.from_wkb(plain[packed], on_invalid="ignore")
    shapes[~packed] = shapely.from_wkt(plain[~packed], on_invalid="ignore")
    shapes[foreign] = None
    return shapes


def _crs_of(code: int) -> CRS | None:
    try:
        return CRS.from_epsg(code)
    except CRSError:
        return None


def _within(frame: gpd.GeoDataFrame, box: tuple[float, float, float, float] | None) -> gpd.GeoDataFrame:
    if box is None:
        return frame
    bounds = frame.geometry.bounds.to_numpy()
    touching: NDArray[np.bool_] = (bounds[:, :2] <= box[2:]).all(axis=1) & (bounds[:, 2:] >= box[:2]).all(axis=1)
    return frame[touching | frame.geometry.isna().to_numpy()]


def _table_rows(file: Iterable[str], table: TextOutlines) -> Iterator[Row]:
    """Yield the rows of a table."""
    with _long_fields():
        reader = csv.reader(file, delimiter=table.delimiter)
        names = [name.strip() for name in next(reader, [])]
        place = names.index(table.geometry)
        for row in reader:
            if len(row) == len(names):
                attributes = {name: text or None for name, text in zip(names, row, strict=True)}
                del attributes[table.geometry]
                yield reader.line_num, attributes, row[place].strip()
            elif row:
                yield reader.line_num, None, ""


def _line_rows(file: Iterable[str]) -> Iterator[Row]:
    """Yield the features of GeoJSON lines; a record separator before one (RFC 8142) is left out."""
    for number, line in enumerate(file, start=1):
        text = line.strip().lstrip("\x1e")
        if not text:
            continue
        try:
            feature = json.loads(text)
        except ValueError:
            feature = None
        if not isinstance(feature, dict) or not isinstance(feature.get("properties") or {}, dict):
            yield number, None, text
        else:
            without = feature.get("type") == "Feature" and feature.get("geometry") is None
            yield number, feature.get("properties") or {}, "" if without else text


def _is_feature(lines: Sequence[str]) -> bool:
    """Return whether the first of some lines is a GeoJSON feature."""
    return any('"Feature"' in text and attributes is not None for _, attributes, text in _line_rows(lines))


@contextmanager
def _opened(path: Path, encoding: str | None) -> Iterator[IO[str]]:
    """Open text, decompressed where it is gzipped; what is wrong with it is a LabelError."""
    packed = suffix_of(path) == ".gz"
    try:
        opener: Any = gzip.open if packed else open
        with opener(path, "rt", encoding=encoding or "utf-8-sig", newline="") as file:
            yield file
    except (UnicodeError, LookupError) as error:
        raise LabelError(
            f"{path} holds text that is not in the encoding {encoding or 'UTF-8'!r}: {error}",
            expected="the encoding it was written in, such as UTF-8, ISO-8859-1 or cp1252",
            remedy="Give the right one, such as encoding=cp1252.",
        ) from error
    except _BROKEN_GZIP as error:
        raise LabelError(
            f"{path} is damaged or not complete: {str(error).rstrip('.')}.",
            expected="a complete gzip file", remedy="Copy or download the file again.",
        ) from error  # fmt: skip
    except (OSError, csv.Error) as error:
        raise LabelError(
            f"{path} cannot be read as text: {error}",
            expected="a table with a column of well-known text, or GeoJSON lines",
            remedy="Check that the file is complete and of the format its name says.",
        ) from error


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let fields of tables be as long as outlines are; Python's default is 131,072 characters."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
