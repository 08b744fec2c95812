"""Registration of vectors against a scene or scores: estimated, judged, corrected."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, SchemaError
from crispmap.events import SILENT, Events
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.geo.grid import Grid
from crispmap.labels.mask import is_vector_file
from crispmap.labels.offset import TargetKind
from crispmap.labels.offset_sample import SampledOffset, estimate_offset_on
from crispmap.labels.osm import OSM_PRESETS, default_schema, preset_schema
from crispmap.labels.reader import LabelOptions
from crispmap.labels.translate import check_moved_target, write_moved
from crispmap.labels.vectors import read_vectors
from crispmap.raster.files import open_scene
from crispmap.raster.scene import Scene
from crispmap.raster.scores import open_scores
from crispmap.raster.spec import CLASSES_TAG, SCORES_TAG
from crispmap.raster.targets import check_paths

Verdict = Literal["unreliable", "aligned", "displaced"]

_INSTEAD_OF_A_MAP = "Give the scores, such as coarse_scores.tif; or kind=image, to compare with its borders as edges."
_ERRORS = 2.0  # offsets below this many standard errors are not significant


@dataclass(frozen=True)
class Registration:
    """The offset of vectors against a scene or scores."""

    vectors: Path
    against: Path  # the scene or scores
    kind: TargetKind  # which of the two
    grid: Grid  # of the scene or scores
    found: SampledOffset
    options: LabelOptions  # how the vectors were read

    @property
    def verdict(self) -> Verdict:
        """Whether the vectors are displaced, if the offset is reliable."""
        offset = self.found.offset
        if not offset.reliable:
            return "unreliable"
        unsure = max(_ERRORS * offset.error_m, self.found.gsd_m / 2)
        return "aligned" if math.hypot(offset.dx_m, offset.dy_m) <= unsure else "displaced"

    @property
    def correction_m(self) -> tuple[float, float]:
        """(east, north) in metres: the displacement that corrects the vectors."""
        return -self.found.offset.dx_m, -self.found.offset.dy_m

    def write_corrected(self, out: Path, *, force: bool = False) -> int:
        """Write the vectors near the scene, moved by the correction, to a GeoPackage; see ``write_moved``."""
        return write_moved(self.vectors, out, self.grid, self.correction_m, options=self.options, force=force)


def estimate_registration(  # noqa: PLR0913 - what a person may choose
    vectors: Path,
    against: Path,
    schema: ClassSchema | None = None,
    *,
    max_shift_m: float = 10.0,
    kind: TargetKind | Literal["auto"] = "auto",
    assume_gsd_m: float | None = None,
    options: LabelOptions | None = None,
    events: Events = SILENT,
) -> Registration:
    """Return the offset of vectors, as a whole, against a scene or scores.

    Args:
        schema: The classes to compare; by default those named by the bands of scores, else buildings and roads.
        kind: What ``against`` is; "auto" recognises scores written by crispmap.

    Raises:
        InputError: If the vectors are a raster, the target is a class map or names no classes, or ``max_shift_m`` is
            out of range.
        LabelError: If the vectors cannot be read, or have no outline where the scene holds data.
        SceneError: If the scene or the scores cannot be read.
        SchemaError: If the classes are not those of the scores.
    """
    options = options or LabelOptions()
    check_order(vectors, against)
    known = kind_of_target(against) if kind == "auto" else kind
    with _open(against, known, assume_gsd_m) as target:
        if known == "scores":
            schema = schema_of_scores(target, schema)
        schema = schema or default_schema(options.all_as)
        features = read_vectors(vectors, schema, grid=target.grid, options=options)
        found = estimate_offset_on(target, features, schema, max_shift_m=max_shift_m, kind=known, events=events)
    return Registration(vectors, against, known, target.grid, found, options)


def check_correction_target(out: Path, vectors: Path, against: Path, *, force: bool = False) -> None:
    """Raise OutputError, before the offset is estimated, unless corrected vectors may be written to a path."""
    check_paths([out], [vectors, against])
    check_moved_target(out, force=force)


def kind_of_target(path: Path, *, otherwise: str = _INSTEAD_OF_A_MAP) -> TargetKind:
    """Return "scores" for a raster with our tag of scores, else "image"; InputError for a class map.

    Args:
        otherwise: The remedy where it is a class map.
    """
    with open_dataset(path) as dataset:
        tags = tags_of(dataset)
    if CLASSES_TAG in tags:
        raise InputError(
            f"{path} is a class map.",
            expected="a scene, or the scores behind a map"
            if otherwise == _INSTEAD_OF_A_MAP
            else "the image of a scene",
            remedy=otherwise,
        )
    return "scores" if SCORES_TAG in tags else "image"


def schema_of_scores(scores: Scene, schema: ClassSchema | None) -> ClassSchema:
    """Return the classes of scores: those given, else presets by the names of the bands.

    Raises:
        InputError: If none are given and the bands are not named like presets.
        SchemaError: If the given ones do not fit the bands.
    """
    names = scores.band_names
    if schema is None:
        if names[0] == "background" and set(names[1:]) <= set(OSM_PRESETS):
            return preset_schema(names[1:])
        raise InputError(
            f"{scores.path} scores {', '.join(names)}, which are not preset classes.",
            expected="classes= with the classes of the scores, in their order",
            remedy="Add classes=project.yaml, or presets such as classes=building,road.",
        )
    if len(schema) != len(names) or (set(schema.names) == set(names) and schema.names != names):
        raise SchemaError(
            f"{scores.path} scores {', '.join(names)}; the classes are {', '.join(schema.names)}.",
            expected="one class for each score, in the same order",
            remedy="Give the classes of the scores.",
        )
    return schema


def check_order(vectors: Path, against: Path) -> None:
    """Raise InputError if a raster is given for the vectors."""
    if not vectors.exists() or is_vector_file(vectors):
        return
    swapped = is_vector_file(against)
    raise InputError(
        f"{vectors} is not a file of vectors.",
        expected="vectors first, then against= with a scene or scores",
        remedy=f"Swap the two: {shlex.quote(str(against))} first, then against={shlex.quote(str(vectors))}"
        if swapped
        else "Give vectors; crispmap vectorize makes polygons of a class map.",
    )


def _open(path: Path, kind: TargetKind, assume_gsd_m: float | None) -> Scene:
    """Open what labels are compared with; scores as they are stored: class borders do not depend on their units."""
    if kind == "scores":
        return open_scores(path, kind="logit", assume_gsd_m=assume_gsd_m)
    return open_scene(path, assume_gsd_m=assume_gsd_m)
