"""The sections of a project file, each value checked by itself.

A field's description says what the key means, then what it takes; errors and the guide's tables show it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationInfo

from crispmap.classes import ROAD_WIDTH_M, ClassDef, TagRule
from crispmap.errors import CrispmapError, ProjectError, did_you_mean
from crispmap.files.address import is_address, typed
from crispmap.geo.area_pieces import AREA_ROLES, AreaPiece, parse_crs
from crispmap.labels.osm import OSM_PRESETS, PRESET_WIDTHS_M
from crispmap.labels.reader import SCENE_COORDINATES
from crispmap.project.file.findings import bad_value, shown

FORMAT = 2
"""The format of project files this version writes; it reads format 1 too."""

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
    """Check that an input exists; an address is checked when it is read."""
    if (info.context or {}).get("check_files") and not is_address(path):
        try:
            missing = not path.exists()
        except OSError:
            missing = True
        if missing:
            remedy = "Check the path: it counts from the folder of the project file."
            raise bad_value(f"names {path}, which does not exist", remedy=remedy)
    return path


def checked_path(value: object, info: ValidationInfo) -> Path:
    """Return text as the path of an input that exists."""
    return _must_exist(_as_path(value, info), info)


def _must_be_here(path: Path) -> Path:
    if is_address(path):
        raise bad_value(f"names {typed(path)}, an address", remedy="Name a folder on a disk.")
    return path


def _checked_crs(text: str) -> str:
    try:
        parse_crs(text, "it")
    except ProjectError as error:
        raise bad_value(f"is {text!r}, which is not known", error.expected, error.remedy) from error
    return text


def _checked_label_crs(text: str) -> str:
    return text if text == SCENE_COORDINATES else _checked_crs(text)


def _as_rules(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _checked_rule(text: str) -> str:
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
# Names of projects and scenes become names of folders.
Name = Annotated[str, StringConstraints(pattern=r"^\w[\w .+-]*$", max_length=100)]
NAME = "letters, digits, spaces and . _ + -, in quotes if it reads as a number or a date"
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
GSD = "in metres a pixel: a number above 0"
_CRS = "a coordinate reference system such as EPSG:4326"
_LINE_WIDTH = "total width of every line, in metres: a number above 0"


def key(description: str, default: Any = None) -> Any:
    """Return a key of a section that may be absent: what it means, then what it takes."""
    return Field(default, description=description)


class Section(BaseModel):
    """A part of the project file: no unknown keys, no values of another type, no infinities."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class ClassEntry(Section):
    """One class as the file gives it."""

    name: Text = Field(description="name of the class: a short text, in quotes if it reads as a number or yes/no")
    colour: str = Field(description='colour on the map: six hexadecimal digits in quotes, such as "#d7191c"')
    osm: Annotated[tuple[Annotated[str, AfterValidator(_checked_rule)], ...], BeforeValidator(_as_rules)] = key(
        "features of the class: tag rules such as [building=*], or the name of a preset such as road", ()
    )
    width_m: Positive | None = key("total width of its lines, in metres: a number above 0")

    def class_def(self) -> ClassDef:
        """Return the class, presets written out as rules."""
        rules = tuple(rule for entry in self.osm for rule in OSM_PRESETS.get(entry, (entry,)))
        widths = [PRESET_WIDTHS_M[entry] for entry in self.osm if entry in PRESET_WIDTHS_M]
        return ClassDef(self.name, self.colour, rules, self.width_m or (widths or [ROAD_WIDTH_M])[0])


class NoiseSection(Section):
    """Noise to simulate on good labels: see ``crispmap.labels.noise.LabelNoise``, which has the same names."""

    shift_m: NotNegative = key("how far objects are moved, neighbours together, in metres: 0 or more", 0.0)
    smooth_m: Positive = key("distance over which that shift changes, in metres: above 0", 100.0)
    offset_m: tuple[float, float] = key("shift of everything, in metres: [east, north]", (0.0, 0.0))
    jitter_m: NotNegative = key("how far each object is moved by itself, in metres: 0 or more", 0.0)
    omission: Annotated[float, Field(ge=0, le=1)] = key("share of objects left out: a number from 0 to 1", 0.0)
    omission_cluster_m: NotNegative = key("size of the gaps this leaves, in metres: 0 or more", 0.0)
    road_width_m: Positive | None = key(_LINE_WIDTH)
    generalise_m: NotNegative = key("size of the detail that is lost, in metres: 0 or more", 0.0)


class _LabelFile(Section):
    """Vectors or masks."""

    path: InputPath = Field(description="the labels: the path or address of vectors or a mask, such as labels.gpkg")
    layer: Text | None = key("layer of a vector file that has several: its name")
    encoding: Text | None = key("encoding of a vector file's text, by default as it says: a name such as latin-1")
    assume_crs: LabelCrsText | None = key(
        f"CRS of a file that declares none: {_CRS}, or {SCENE_COORDINATES} for the scene's own"
    )
    all_as: Text | None = key("class of every feature, whatever its tags: the name of a class")
    road_width_m: Positive | None = key(_LINE_WIDTH)
    unknown: Literal["error", "ignore"] = key("how to treat values of no class: error or ignore", "error")
    tolerance: Annotated[int, Field(ge=0, le=255)] = key(
        "how far colours of a mask may be from those of classes, in each channel: a whole number of 0 to 255", 16
    )
    threshold: float | None = key("grey values of a mask from this on are the second of two classes: a number")


class ReferenceSection(_LabelFile):
    """Precise labels: the refiner learns from them, and maps are scored against them."""


class AlignSection(Section):
    """How polygons are moved to where the scene shows them: see ``crispmap.labels.align.objects.AlignRules``."""

    max_shift_m: Positive = key("how far an object may be off, in metres: above 0", 9.0)
    sure: Annotated[float, Field(gt=0, le=1)] = key("how probable a shift must be to be made: above 0, up to 1", 0.5)
    sizes: bool = key("whether lengths, widths and directions of outlines are fitted too: true or false", True)


def _section_of_true(value: Any) -> Any:
    return {} if value is True else None if value is False else value


class LabelSection(_LabelFile):
    """Plentiful, imprecise labels the coarse network learns from."""

    align: Annotated[AlignSection | None, BeforeValidator(_section_of_true)] = key(
        "move each polygon to where the scene shows it, and learn nothing of the doubtful: true, or a mapping such as "
        "{max_shift_m: 9, sure: 0.5}"
    )
    noise: NoiseSection | None = key("noise to simulate on good labels: a mapping such as {shift_m: 3, smooth_m: 100}")


class AreaEntry(Section):
    """One piece of an area as the file gives it: see ``crispmap.geo.areas.AreaPiece``."""

    window: tuple[int, int, int, int] | None = key("rectangle in pixels of the scene's file: [row, col, height, width]")
    bounds: tuple[float, float, float, float] | None = key("rectangle in coordinates: [left, bottom, right, top]")
    polygon: tuple[tuple[float, float], ...] | None = key(
        "outline in coordinates: a list of points such as [[x, y], [x, y], [x, y]]"
    )
    file: InputPath | None = key("polygons from a file: the path of a vector file")
    layer: Text | None = key("layer of a vector file that has several: its name")
    crs: CrsText | None = key(f"CRS of the coordinates, the scene's by default: {_CRS}")

    def piece(self, origin: str) -> AreaPiece:
        """Return the piece; ``origin`` is what errors call it."""
        return AreaPiece(**dict(self), origin=origin)


_AreaList = Annotated[tuple[AreaEntry, ...], Field(min_length=1)]
_AREA_LIST = "a list of pieces, such as [{window: [0, 0, 512, 512]}]"


class AreasSection(Section):
    """What each area is used for; areas of different roles share no pixel."""

    coarse: _AreaList | None = key(f"where the coarse network learns: {_AREA_LIST}")
    refiner: _AreaList | None = key(f"where the refiner learns: {_AREA_LIST}")
    validation: _AreaList | None = key(f"where trainings are validated: {_AREA_LIST}")
    test: _AreaList | None = key(f"where maps are scored: {_AREA_LIST}")


class ScoreSource(Section):
    """Coarse scores made by another tool."""

    path: InputPath = Field(
        description="the scores, one band a class, or one for the second of two: the path of a raster"
    )
    kind: Literal["auto", "logit", "probability"] = key("what the scores are: auto, logit or probability", "auto")
    full_scale: Positive | None = key("value that stands for probability 1, such as 100 or 255: a number above 0")


class ModelsSection(Section):
    """Finished models that a project's scenes are mapped with: nothing is trained."""

    coarse: InputPath | None = key("the coarse network: the path of a model file")
    refiner: InputPath | None = key("the refiner: the path of a model file")


LABELS = "imprecise labels, for the coarse network: a mapping with the key path"
REFERENCE = "precise labels, for refiner and figures: a mapping with the key path"
AREAS = f"what each area is used for: a mapping of {', '.join(AREA_ROLES)}"
SCORES = "coarse scores of another tool: a mapping such as {path: coarse.tif, kind: auto}"
