"""The sections of a project file, each value checked by itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)

from crispmap.classes import ROAD_WIDTH_M, ClassDef, TagRule
from crispmap.errors import CrispmapError, ProjectError
from crispmap.files.address import is_address, typed
from crispmap.geo.area_pieces import AREA_ROLES, AreaPiece, parse_crs
from crispmap.labels.osm import OSM_PRESETS, PRESET_WIDTHS_M
from crispmap.labels.reader import SCENE_COORDINATES
from crispmap.project.file.findings import bad_value, did_you_mean, shown

NAME = r"^\w[\w .+-]*$"
"""What names of projects and scenes are made of: they name folders."""
FORMAT = 2
"""The layout of project files this version writes; it reads those of format 1 too."""


_UNFIT = re.compile("[\0\ud800-\udfff]")  # no file name holds a NUL or half of a character


def _as_path(value: object, info: ValidationInfo) -> Path:
    """Return text as a path, counted from the project file's folder; an address stays as it is."""
    if not isinstance(value, str) or not value.strip() or _UNFIT.search(value):
        raise bad_value(f"is {shown(value)}", remedy="Write the path as text; put it in quotes where it has : or #.")
    if is_address(value):
        return Path(value)
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:
        raise bad_value(f"is {shown(value)}: {error}") from error
    return Path((info.context or {}).get("folder", Path())) / path


def _must_exist(path: Path, info: ValidationInfo) -> Path:
    """Check that an input is there; what lies at an address is seen when it is read."""
    if (info.context or {}).get("check_files") and not is_address(path):
        try:
            missing = not path.exists()
        except OSError:
            missing = True
        if missing:
            raise bad_value(
                f"names {path}, which does not exist",
                remedy="Check the path: it counts from the folder of the project file.",
            )
    return path


def _must_be_here(path: Path) -> Path:
    """Check that results go to a folder, for nothing is written to addresses."""
    if is_address(path):
        raise bad_value(f"names {typed(path)}, an address", remedy="Name a folder on a disk.")
    return path


def _checked_crs(text: str) -> str:
    """Check that a coordinate reference system is known."""
    try:
        parse_crs(text, "it")
    except ProjectError as error:
        raise bad_value(f"is {text!r}, which is not known", error.expected, error.remedy) from error
    return text


def _checked_label_crs(text: str) -> str:
    """Check that text is a coordinate reference system that is known, or the scene's."""
    return text if text == SCENE_COORDINATES else _checked_crs(text)


def _as_rules(value: object) -> object:
    """Return one rule or preset as a list of one."""
    return (value,) if isinstance(value, str) else value


def _checked_rule(text: str) -> str:
    """Check that text is a tag rule or the name of a preset."""
    if text in OSM_PRESETS:
        return text
    if "=" not in text:
        raise bad_value(
            f"is {text!r}, which is neither a rule nor a preset",
            f"rules such as building=* or highway=primary|secondary, or one of {', '.join(OSM_PRESETS)}",
            did_you_mean(text, OSM_PRESETS),
        )
    try:
        TagRule.parse(text)
    except CrispmapError as error:
        raise bad_value(f"is {text!r}, which cannot be read", error.expected, error.remedy) from error
    return text


OutputPath = Annotated[Path, BeforeValidator(_as_path), AfterValidator(_must_be_here)]
InputPath = Annotated[Path, BeforeValidator(_as_path), AfterValidator(_must_exist)]
CrsText = Annotated[str, AfterValidator(_checked_crs)]
LabelCrsText = Annotated[str, AfterValidator(_checked_label_crs)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
ABOVE_0 = "a number above 0"
_PIXEL = f"{ABOVE_0}: metres on the ground a pixel"
_CRS = "a coordinate reference system such as EPSG:4326"


class Section(BaseModel):
    """A part of the project file: no unknown keys, no values of another type, no infinities."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class SceneFile(Section):
    """An image.

    Attributes:
        path: Any raster GDAL reads, or the address of one.
        bands: Bands to use, counted from 1; None means all.
        assume_gsd_m: The ground sampling distance of a scene that has no georeference.
    """

    path: InputPath = Field(description="the path of a raster file, such as scene.tif")
    bands: Annotated[tuple[Count, ...], Field(min_length=1)] | None = Field(
        None, description="a list of band numbers, counted from 1, such as [1, 2, 3]"
    )
    assume_gsd_m: Positive | None = Field(None, description=_PIXEL)


class SceneSection(SceneFile):
    """The image of a project of one scene.

    Attributes:
        gsd_m: The working ground sampling distance; None means the scene's own.
    """

    gsd_m: Positive | None = Field(None, description=_PIXEL)


class ClassEntry(Section):
    """One class as the file gives it."""

    name: Text = Field(description="a short name such as building, in quotes if it reads as a number or yes/no")
    colour: str = Field(description='six hexadecimal digits in quotes, such as "#d7191c"')
    osm: Annotated[tuple[Annotated[str, AfterValidator(_checked_rule)], ...], BeforeValidator(_as_rules)] = Field(
        (), description="tag rules such as [building=*], or the name of a preset such as road"
    )
    width_m: Positive | None = Field(None, description=f"{ABOVE_0}: the total width of lines, in metres")

    def class_def(self) -> ClassDef:
        """Return the class, presets written out as rules.

        Raises:
            SchemaError: If the name or colour will not do.
        """
        rules = tuple(rule for entry in self.osm for rule in OSM_PRESETS.get(entry, (entry,)))
        widths = [PRESET_WIDTHS_M[entry] for entry in self.osm if entry in PRESET_WIDTHS_M]
        return ClassDef(self.name, self.colour, rules, self.width_m or (widths or [ROAD_WIDTH_M])[0])


class NoiseSection(Section):
    """Imprecision to simulate on good labels: see ``crispmap.labels.noise.LabelNoise``, whose names these are."""

    shift_m: NotNegative = Field(0.0, description="0 or more metres: how far objects are moved, neighbours alike")
    smooth_m: Positive = Field(100.0, description="a distance above 0 metres, over which that shift changes")
    offset_m: tuple[float, float] = Field((0.0, 0.0), description="[east, north] in metres, of everything")
    jitter_m: NotNegative = Field(0.0, description="0 or more metres: how far each object is moved by itself")
    omission: Annotated[float, Field(ge=0, le=1)] = Field(0.0, description="a share from 0 to 1")
    omission_cluster_m: NotNegative = Field(0.0, description="0 or more metres: the size of gaps in the labels")
    road_width_m: Positive | None = Field(None, description="a width above 0 metres, for every line")
    generalise_m: NotNegative = Field(0.0, description="0 or more metres: detail finer than this is lost")


class _LabelFile(Section):
    """Vectors or masks.

    Attributes:
        path: A vector file, or a raster of class ids or colours, or the address of one.
        layer: The layer of a vector file that has several.
        assume_crs: The CRS of a file that declares none; "scene" for vectors in the scene's own coordinates.
        all_as: The class of every vector feature, whatever its tags.
        road_width_m: The total width of every line, whatever its tags and its class say.
        unknown: Whether a mask's values or colours of no class are an error, or ground to leave out.
    """

    path: InputPath = Field(description="the path of a vector file or a mask raster, such as labels.gpkg")
    layer: Text | None = Field(None, description="the name of a layer in the file")
    assume_crs: LabelCrsText | None = Field(
        None, description=f"{_CRS}, or {SCENE_COORDINATES} for vectors in the scene's own coordinates"
    )
    all_as: Text | None = Field(None, description="the name of a class")
    road_width_m: Positive | None = Field(None, description="a width above 0 metres, for every line")
    unknown: Literal["error", "ignore"] = Field("error", description="error or ignore")


class ReferenceSection(_LabelFile):
    """Precise labels: the refiner learns from them, and scores are taken against them."""


class LabelSection(_LabelFile):
    """Plentiful, imprecise labels the coarse network learns from.

    Attributes:
        noise: Imprecision to simulate on labels that are good.
    """

    noise: NoiseSection | None = Field(None, description="a mapping such as {shift_m: 3, smooth_m: 100}")


class AreaEntry(Section):
    """One piece of ground as the file gives it: see ``crispmap.geo.areas.AreaPiece``."""

    window: tuple[int, int, int, int] | None = Field(
        None, description="[row, col, height, width] in pixels of the scene"
    )
    bounds: tuple[float, float, float, float] | None = Field(None, description="[left, bottom, right, top]")
    polygon: tuple[tuple[float, float], ...] | None = Field(
        None, description="a list of points such as [[x, y], [x, y], [x, y]]"
    )
    file: InputPath | None = Field(None, description="the path of a vector file of polygons")
    layer: Text | None = Field(None, description="the name of a layer in the file")
    crs: CrsText | None = Field(None, description=_CRS)

    def piece(self, origin: str) -> AreaPiece:
        """Return the piece of ground; ``origin`` is what errors call it.

        Raises:
            ProjectError: If the piece encloses no ground.
        """
        return AreaPiece(**dict(self), origin=origin)


_AreaList = Annotated[tuple[AreaEntry, ...], Field(min_length=1)]
_AREA_LIST = "a list of pieces, such as [{window: [0, 0, 512, 512]}]"


class AreasSection(Section):
    """What ground is for; pieces of different roles share none."""

    coarse: _AreaList | None = Field(None, description=_AREA_LIST)
    refiner: _AreaList | None = Field(None, description=_AREA_LIST)
    validation: _AreaList | None = Field(None, description=_AREA_LIST)
    test: _AreaList | None = Field(None, description=_AREA_LIST)


class ScoreSource(Section):
    """Coarse scores made by another tool.

    Attributes:
        path: A raster with one band a class, or one band for the second of two classes.
        kind: Logits, probabilities (0..1 or 0..255), or told from the values.
    """

    path: InputPath = Field(description="the path of a raster of scores, such as coarse.tif")
    kind: Literal["auto", "logit", "probability"] = Field("auto", description="auto, logit or probability")


class SceneEntry(SceneFile):
    """One scene of several, with its own labels, reference, areas and scores.

    Attributes:
        name: What the scene is called in results; None means the name of its file.
        labels: Its imprecise labels; None means those of the project.
        reference: Its precise labels, likewise.
        scores: Its coarse scores, where another tool gave them.
        areas: What its areas are for.
    """

    name: Annotated[str, StringConstraints(pattern=NAME, max_length=100)] | None = Field(
        None, description="text of letters, digits, spaces and . _ + -, in quotes if it reads as a number or a date"
    )
    labels: LabelSection | None = Field(None, description="a mapping with the key path")
    reference: ReferenceSection | None = Field(None, description="a mapping with the key path")
    scores: ScoreSource | None = Field(None, description="a mapping such as {path: coarse.tif, kind: auto}")
    areas: AreasSection = Field(AreasSection(), description=f"a mapping of {', '.join(AREA_ROLES)}")
