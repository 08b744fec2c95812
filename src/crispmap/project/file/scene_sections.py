"""The sections of a project file that name scenes: a raster, or bands of several files and indices of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from crispmap.files.address import gdal_name, name_of
from crispmap.project.file.findings import UNION_TAG, bad_value
from crispmap.project.file.sections import (
    AREAS,
    GSD,
    LABELS,
    NAME,
    REFERENCE,
    SCORES,
    AreasSection,
    Count,
    InputPath,
    LabelSection,
    Name,
    NotNegative,
    Positive,
    ReferenceSection,
    ScoreSource,
    Section,
    Text,
    key,
)
from crispmap.raster.compose.composition import Composition, Reflectance, SourceBand
from crispmap.raster.refs import SceneRef


class BandEntry(Section):
    """One band of a scene that is composed: one of a file, or an index."""

    file: InputPath | None = key("file of a band: the path or address of a raster, such as B4.tif")
    band: Count = key("number of the band in its file: a number counted from 1", 1)
    name: Text | None = key("name of the band, by default that of its file: a short text such as red or nir")
    index: Text | None = key("index in place of a file: NDVI, NBR, NDWI, MNDWI, EVI or dNBR")
    scale: Positive | None = key("factor from stored values to reflectance: a number above 0")
    offset: float = key("what is added to that for reflectance: a number", 0.0)

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.file is None) == (self.index is None):
            given = "has neither file nor index" if self.file is None else "has both file and index"
            raise bad_value(given, "a mapping such as {file: B4.tif, name: red} or {index: NDVI}")
        return self

    @property
    def source(self) -> SourceBand:
        """The band of a file, as it is read."""
        file = gdal_name(self.file or "")
        own = name_of(file) if self.band == 1 else f"{name_of(file)}_{self.band}"
        how = None if self.scale is None else Reflectance(self.scale, self.offset)
        return SourceBand(file, self.name or own, self.band, reflectance=how)


def _kind_of_band(value: object) -> str:
    return f"{UNION_TAG}entry" if isinstance(value, dict | BandEntry) else f"{UNION_TAG}number"


_Band = Annotated[
    Annotated[Count, Tag(f"{UNION_TAG}number")] | Annotated[BandEntry, Tag(f"{UNION_TAG}entry")],
    Discriminator(_kind_of_band),
]


class SceneFile(Section):
    """An image."""

    path: InputPath = Field(description="the image: the path or address of a raster, such as scene.tif")
    bands: Annotated[tuple[_Band, ...], Field(min_length=1)] | None = key(
        "bands to use, all by default: a list of numbers counted from 1, such as [1, 2, 3]; or, in place of path, of "
        "bands of several files, such as [{file: B4.tif, name: red}, {index: NDVI}]"
    )
    assume_gsd_m: Positive | None = key(f"pixel size of a scene without georeference, {GSD}")
    nodata: float | Literal["nan"] | None = key(
        "value of pixels without data, in place of the file's own: a number, or nan for no such value"
    )
    nodata_tolerance: NotNegative = key(
        "how far from nodata all bands of a pixel without data may be, for lossy compression: 0 or more", 0.0
    )

    @model_validator(mode="before")
    @classmethod
    def _path_of_bands(cls, value: object) -> object:
        """Take the first file of bands as the path, where they are named one by one."""
        if any(isinstance(one, str) for one in _listed(value, "bands")):
            raise bad_value(
                "has texts as bands", "numbers, such as [1, 2, 3], or files, such as [{file: B4.tif, name: red}]"
            )
        entries = [one for one in _listed(value, "bands") if isinstance(one, dict)]
        if not isinstance(value, dict) or not entries:
            return value
        if len(entries) < len(_listed(value, "bands")) or "path" in value:
            raise bad_value(
                "has bands of files beside path or numbers", "either path, or bands that each name a file or an index"
            )
        files = [one["file"] for one in entries if "file" in one]
        if not files and all("index" in one for one in entries):
            raise bad_value("has indices alone", "the files of bands beside them, such as {file: B4.tif, name: red}")
        return {**value, "path": next(iter(files), None)}

    @property
    def ref(self) -> SceneRef:
        """The scene as it is read."""
        nodata = None if self.nodata is None else float(self.nodata)
        numbers = tuple(one for one in self.bands or () if isinstance(one, int))
        return self._files.choosing(
            bands=numbers or None, assume_gsd_m=self.assume_gsd_m, nodata=nodata, nodata_tolerance=self.nodata_tolerance
        )

    @property
    def _files(self) -> SceneRef:
        return SceneRef.of(self.path)


def _listed(value: object, name: str) -> tuple[object, ...]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, tuple) else ()


class ImageSection(SceneFile):
    """An image, or bands of several files on one grid."""

    extent: Literal["intersection", "union"] = key(
        "ground of a scene of several files, that which all cover or any: intersection or union", "intersection"
    )
    like: InputPath | None = key("whose grid a scene of several files gets: the path of a raster")

    @property
    def _files(self) -> SceneRef:
        entries = [one for one in self.bands or () if isinstance(one, BandEntry)]
        if not entries:
            return super()._files
        sources = tuple(one.source for one in entries if one.file is not None)
        take = tuple(one.index or one.source.name for one in entries)
        composition = Composition(
            sources,
            take,
            self.extent,
            None if self.like is None else gdal_name(self.like),
            getattr(self, "gsd_m", None),
        )
        return SceneRef.composed(name_of(self.path), composition)


class SceneSection(ImageSection):
    """The image of a project of one scene."""

    gsd_m: Positive | None = key(f"pixel size to work at, the scene's own by default, {GSD}")


class SceneEntry(ImageSection):
    """One scene of several, with its own labels, reference, areas and scores."""

    name: Name | None = key(f"name of the scene in results, by default that of its file: {NAME}")
    labels: LabelSection | None = key(LABELS)
    reference: ReferenceSection | None = key(REFERENCE)
    scores: ScoreSource | None = key(SCORES)
    areas: AreasSection = key(AREAS, AreasSection())
