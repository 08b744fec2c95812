"""Facts about any file: a scene, a class map, a model, vectors or a project; readers are imported when needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from crispmap.errors import InputError, LabelError, SceneError
from crispmap.files.address import is_address, is_missing, is_remote, shown, suffix_of
from crispmap.geo.area_pieces import AREA_ROLES

if TYPE_CHECKING:
    from crispmap.project.file import Project


class FileFacts(Protocol):
    """What a file holds."""

    @property
    def kind(self) -> str:
        """What the file is, such as "scene" or "coarse model"."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""


@dataclass(frozen=True)
class ProjectFacts:
    """The facts of a project file; files it names may be missing."""

    project: Project
    kind = "project"

    @property
    def files(self) -> dict[str, Path]:
        """The inputs it names, by what they are for."""
        found: dict[str, Path] = {}
        for one in self.project.scenes:
            end = "" if len(self.project.scenes) == 1 else f" of {one.name}"
            found[f"scene{end}"] = one.path
            sections = {"labels": one.labels, "reference": one.reference, "coarse scores": one.scores}
            found |= {f"{name}{end}": section.path for name, section in sections.items() if section is not None}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""
        project = self.project
        coarse = project.coarse.model_dump(exclude_none=True, exclude={"scores"})
        counts = {role: sum(len(one.areas.get(role, ())) for one in project.scenes) for role in AREA_ROLES}
        return {
            "kind": self.kind,
            "path": project.path,
            "name": project.name,
            "seed": project.seed,
            "classes": project.schema.legend(),
            "files": [
                {"for": name, "path": shown(one), "exists": is_address(one) or one.exists()}
                for name, one in self.files.items()
            ],
            "areas": {role: count for role, count in counts.items() if count},
            "coarse": None if project.scores_given else coarse,
            "refiner": None if project.refiner is None else project.refiner.model_dump(exclude_none=True),
            "output_folder": project.output_folder,
        }


def describe(path: str | Path) -> FileFacts:
    """Return the facts of a file or an address."""
    path = Path(path)
    suffix = suffix_of(path)
    if "#" in str(path):
        from crispmap.raster.describe import describe_raster, names_assets

        if names_assets(path):
            return describe_raster(path)
    if is_missing(path):
        raise InputError(f"There is no file {path}.", expected="a file that exists", remedy="Check the path.")
    if suffix in (".yaml", ".yml") or (path.is_dir() and suffix != ".gdb"):
        from crispmap.project.file import load_project

        return ProjectFacts(load_project(path, check_files=False))
    if suffix == ".safetensors":
        from crispmap.models.describe import describe_model

        return describe_model(path)
    return _describe_raster_or_vectors(path)


def _describe_raster_or_vectors(path: Path) -> FileFacts:
    """Return the facts of a raster or vectors; the name may not show which."""
    from crispmap.labels.describe import VECTOR_SUFFIXES, describe_vectors
    from crispmap.labels.mask import is_vector_file
    from crispmap.raster.describe import describe_raster

    if suffix_of(path) in VECTOR_SUFFIXES:
        return describe_vectors(path)
    try:
        return describe_raster(path)
    except SceneError as scene_error:
        if is_remote(path) and not is_vector_file(path):
            raise
        try:
            return describe_vectors(path)
        except LabelError:
            raise scene_error from None
