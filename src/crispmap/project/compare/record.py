"""The files of a finished method: its figures, and what they were made from."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from crispmap.errors import CrispmapError, OutputError
from crispmap.files.address import is_address, shown
from crispmap.files.atomic import write_atomically
from crispmap.geo.area_pieces import AREA_ROLES
from crispmap.labels.mask import is_vector_file
from crispmap.project.compare.mapping import MappingCost
from crispmap.project.compare.methods import Method, settings_of
from crispmap.project.compare.scoring import Scores
from crispmap.project.file import Project, ProjectScene
from crispmap.raster.fingerprint import fingerprint
from crispmap.report.tables.comparison import RETHRESHOLDED

FIGURES = "figures.json"
IDENTITY = "identity.json"
_WHOLE_BYTES = 256 << 20
_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


@dataclass(frozen=True, eq=False)
class Record:
    """The figures of a finished method."""

    scores: Scores
    rethresholded: Scores | None  # of a coarse network's map with class biases, where they can be fitted
    biases: tuple[float, ...]
    parameters: dict[str, int]  # numbers learned, by "coarse", "finetuned" and "refiner"
    training_s: dict[str, float]  # seconds of training, likewise
    mapping: MappingCost
    steps: dict[str, list[float]]  # mean IoU after 0, 1, .. steps, by "test" and "training"; empty without a refiner
    models: dict[str, str]  # SHA-256 of the model files, by "coarse" and "refiner"
    note: str = ""

    def maps(self, name: str) -> dict[str, Scores]:
        """Return the figures of each map of a method of this name: its own and, if it has one, the re-thresholded."""
        again = {} if self.rethresholded is None else {name + RETHRESHOLDED: self.rethresholded}
        return {name: self.scores, **again}

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, safe for JSON."""
        second = None if self.rethresholded is None else self.rethresholded.to_dict()
        return vars(self) | {
            "scores": self.scores.to_dict(), "rethresholded": second, "biases": list(self.biases),
            "mapping": asdict(self.mapping),
        }  # fmt: skip


class _Figures(BaseModel):
    """A record as it is written."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    format: Literal[2]
    scores: dict[str, Any]
    rethresholded: dict[str, Any] | None
    biases: tuple[float, ...]
    parameters: dict[str, int]
    training_s: dict[str, float]
    mapping: MappingCost
    steps: dict[str, list[float]]
    models: dict[str, str]
    note: str


def write_record(folder: Path, record: Record) -> None:
    """Write a method's figures into its folder, whole or not at all."""
    text = json.dumps({"format": 2, **record.to_dict()}, indent=1, allow_nan=False)
    write_atomically(folder / FIGURES, (text + "\n").encode())


def read_record(folder: Path) -> Record | None:
    """Return the figures in a method's folder; None where they are missing or cannot be read."""
    try:
        figures = _Figures.model_validate_json((folder / FIGURES).read_bytes())
        second = figures.rethresholded
        values = {one.name: getattr(figures, one.name) for one in fields(Record)}
        return Record(**values | {
            "scores": Scores.from_dict(figures.scores),
            "rethresholded": None if second is None else Scores.from_dict(second),
        })  # fmt: skip
    except (OSError, ValueError, CrispmapError):
        return None


def data_facts(project: Project) -> dict[str, str]:
    """Return what identifies the inputs of a project: scenes, labels, references, scores, areas and classes."""
    facts = {"classes": project.schema.to_json(), "gsd_m": json.dumps(project.gsd_m)}
    for scene in project.scenes:
        own = _scene_facts(scene)
        facts |= own if len(project.scenes) == 1 else {f"{name} of {scene.name}": fact for name, fact in own.items()}
    return facts


def _scene_facts(scene: ProjectScene) -> dict[str, str]:
    ref = scene.ref
    read_as = [ref.bands, ref.assume_gsd_m, ref.nodata, ref.nodata_tolerance]
    facts = {"scene": fingerprint(ref), "read as": json.dumps(read_as)}
    for name, section in (("labels", scene.labels), ("reference", scene.reference), ("scores", scene.scores)):
        if section is not None:
            facts[name] = _file_fact(section.path) + section.model_dump_json(exclude={"path"}, exclude_defaults=True)
    areas = {
        role: [
            [one.window, one.bounds, one.polygon, one.layer, one.crs, one.file and _file_fact(one.file)]
            for one in scene.areas.get(role, ())
        ]
        for role in AREA_ROLES
    }
    return {**facts, "areas": json.dumps(areas)}


def _file_fact(path: Path) -> str:
    """Return what identifies a file's content: its hash or, if large, size and time; of vectors elsewhere, the name.

    The query of an address is left out: it may hold a secret, and a signature that changes every hour.
    """
    raster = not is_vector_file(path)
    if not path.is_file():
        return fingerprint(path) if raster and is_address(path) else shown(path)
    if raster:
        return fingerprint(path)
    state = path.stat()
    if state.st_size > _WHOLE_BYTES:
        return f"{state.st_size} {state.st_mtime_ns}"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identity_of(method: Method, project: Project, facts: Mapping[str, str]) -> dict[str, Any]:
    """Return all that a method's figures depend on, as plain values."""
    text = json.dumps(facts, sort_keys=True)
    return {
        "method": method.name, "seed": project.seed, "settings": json.loads(json.dumps(settings_of(method, project))),
        "data": hashlib.sha256(text.encode()).hexdigest(), "crispmap": importlib.metadata.version("crispmap"),
        "torch": importlib.metadata.version("torch"),
    }  # fmt: skip


def check_identity(folder: Path, identity: dict[str, Any]) -> None:
    """Check that the content of a folder was made from the same, or raise OutputError."""
    path = folder / IDENTITY
    if not path.exists():
        return
    try:
        there = _OBJECT.validate_json(path.read_bytes())
    except (OSError, ValueError):
        there = {}
    other = [key for key in {**identity, **there} if there.get(key) != identity.get(key)]
    if other:
        raise OutputError(
            f"{folder} holds the method made from something else: {', '.join(other)} differ.",
            expected="the comparison that was begun, or a free folder",
            remedy="give force=True to run it again, or another output: folder",
        )


def write_identity(folder: Path, identity: dict[str, Any]) -> None:
    """Write into a folder what is made there."""
    write_atomically(folder / IDENTITY, (json.dumps(identity, indent=1) + "\n").encode())
